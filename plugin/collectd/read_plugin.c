/* The read plugin: reads the configuration, runs the sampler, dispatches what it reports. */
#include "plugin/collectd/collectd_api.h"

#include "plugin/collectd/config.h"
#include "plugin/collectd/line_channel.h"
#include "plugin/collectd/sampler.h"
#include "plugin/collectd/values.h"

#include <errno.h>
#include <stdatomic.h>

#define NAME "denet"
#define LOG_NAME "denet plugin: "

static struct {
  struct denet_config config;
  struct denet_env env;
  struct denet_sampler *sampler;
  struct denet_values_batch batch;
  struct denet_error no_stacks;    /* why they cannot be had */
  atomic_uint_fast64_t lost_count; /* records that the writer took but could not write */
  atomic_bool is_over;             /* collectd ends without the sampler, which may still go on */
} plugin;

static int configure(oconfig_item_t *block) { return denet_config_read(&plugin.config, block); }

static int send_line(void *context, const struct denet_line *line) {
  (void)context;
  if (plugin.is_over)
    return ENOENT;
  uint64_t lost_count = atomic_load(&plugin.lost_count);
  int error = denet_line_channel_send(line, &lost_count);
  atomic_store(&plugin.lost_count, lost_count);
  return error;
}

static int open_source(struct denet_source **out_source) {
  struct denet_error error = {0};
  const char *choice = plugin.config.source;
  if (denet_source_open(choice, &plugin.env, &error, out_source)) {
    ERROR(LOG_NAME "Source \"%s\" cannot be had: %s.", choice, error.text);
    return -1;
  }
  if (error.text[0])
    INFO(LOG_NAME "%s: sampling through %s. What is born and dies between two samples is not seen.",
         error.text, plugin.config.proc_path);
  else
    INFO(LOG_NAME "sampling through %s.", (*out_source)->name);
  return 0;
}

/* Off-CPU stacks, if a rule asks for them; NULL where they cannot be had, which one line says. */
static struct denet_profiler *open_profiler(const struct denet_source *source) {
  struct denet_config *config = &plugin.config;
  struct denet_profiler *profiler = NULL;
  struct denet_error *error = &plugin.no_stacks;
  if (!denet_config_wants_stacks(config))
    return NULL;
  if (source->source_id != DENET_SOURCE_ID_BPF)
    denet_error_set(error, -ENOTSUP, "they need the bpf source");
  else if (!denet_profiler_open(&config->profiler, config->proc_path, error, &profiler)) {
    if (error->text[0])
      WARNING(LOG_NAME "OffCPU \"stacks\": %s.", error->text);
    return profiler;
  }
  WARNING(LOG_NAME "OffCPU \"stacks\" cannot be had: %s. Times are told, without reasons and "
                   "stacks.",
          error->text);
  denet_config_forgo_stacks(config);
  return NULL;
}

static int make_monitor(struct denet_source *source, struct denet_monitor **out_monitor) {
  struct denet_config *config = &plugin.config;
  struct denet_error error = {0};
  struct denet_monitor_settings settings = {
      .interval = {config->base_interval_ns, config->max_interval_ns},
      .since_process_start = config->since_process_start,
      .host_name = hostname_g,
      .no_stacks = plugin.no_stacks.text,
      .sink = send_line,
      .profiler = open_profiler(source),
  };
  int failure = denet_monitor_new(&settings, &plugin.env, source, config->rules, config->rule_count,
                                  &error, out_monitor);
  if (failure) {
    ERROR(LOG_NAME "%s.", error.text);
    denet_profiler_free(settings.profiler);
  }
  return failure;
}

/* Threads only from here on: collectd forks between configuration and init. */
static int init(void) {
  if (plugin.sampler)
    return 0;
  struct denet_source *source;
  struct denet_monitor *monitor;
  if (!plugin.config.source || denet_config_finish(&plugin.config)) {
    ERROR(LOG_NAME "there is no memory.");
    return -1;
  }
  plugin.env = denet_env_here(plugin.config.proc_path);
  if (open_source(&source))
    return -1;
  if (make_monitor(source, &monitor)) {
    denet_source_free(source);
    return -1;
  }
  int error = denet_sampler_start(monitor, &plugin.sampler);
  if (error) {
    ERROR(LOG_NAME "the sampler cannot be started: %s.", strerror(-error));
    denet_monitor_free(monitor);
  }
  return error;
}

static int read_values(void) {
  struct denet_monitor_stats stats;
  if (!plugin.sampler)
    return -1;
  denet_values_batch_clear(&plugin.batch);
  if (denet_sampler_report(plugin.sampler, denet_values_batch_add, &plugin.batch, &stats))
    return 0; /* collectd would ask ever more seldom after a failure */
  if (plugin.batch.lost)
    ERROR(LOG_NAME "there is no memory for the values of %zu groups.", plugin.batch.lost);
  denet_values_dispatch(plugin.config.plugin_name, &plugin.batch, &stats,
                        atomic_load(&plugin.lost_count),
                        denet_sampler_source_gauge(plugin.sampler));
  return 0;
}

static int shutdown_plugin(void) {
  /* A thread that is held up keeps what it uses: collectd unloads no plugin before it ends. */
  plugin.is_over = !denet_sampler_stop(plugin.sampler);
  if (plugin.is_over)
    return 0;
  plugin.sampler = NULL;
  denet_values_batch_done(&plugin.batch);
  denet_config_done(&plugin.config);
  return 0;
}

__attribute__((visibility("default"))) void module_register(void) {
  denet_config_init(&plugin.config);
  plugin_register_complex_config(NAME, configure);
  plugin_register_init(NAME, init);
  plugin_register_read(NAME, read_values);
  plugin_register_shutdown(NAME, shutdown_plugin);
}
