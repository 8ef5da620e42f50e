/* The read plugin: adapts the loop of core to collectd's callbacks. */
#include "plugin/collectd/collectd_api.h"

#include "core/monitor/loop.h"
#include "plugin/collectd/config.h"
#include "plugin/collectd/line_channel.h"
#include "plugin/collectd/values.h"

#include <stdatomic.h>

#define NAME "denet"
#define REPORT_TIMEOUT_NS UINT64_C(5000000000)
#define STOP_TIMEOUT_NS UINT64_C(10000000000)

static struct {
  struct denet_config config;
  struct denet_loop *loop;
  struct denet_values_batch batch;
  atomic_uint_fast64_t lost_count; /* lines that the writer took and could not write */
} plugin;

static int configure(oconfig_item_t *block) { return denet_config_read(&plugin.config, block); }

static int send_line(void *context, const struct denet_line *line) {
  (void)context;
  uint64_t lost_count = atomic_load(&plugin.lost_count);
  int error = denet_line_channel_send(line, &lost_count);
  atomic_store(&plugin.lost_count, lost_count);
  return error;
}

static void write_log(void *context, enum denet_severity severity, const char *sentence) {
  (void)context;
  plugin_log((int)severity, "denet plugin: %s.", sentence);
}

/* Starts the loop's thread here: collectd forks between configuration and init. */
static int init(void) {
  struct denet_loop_face face = {
      .host_name = hostname_g, .sink = send_line, .log = {.write = write_log}};
  if (plugin.loop)
    return 0;
  return denet_loop_start(&plugin.config.settings, &face, &plugin.loop);
}

static int read_values(void) {
  struct denet_monitor_stats stats;
  if (!plugin.loop)
    return -1;
  plugin.batch.count = plugin.batch.lost = 0;
  if (denet_loop_report(plugin.loop, REPORT_TIMEOUT_NS, denet_values_batch_add, &plugin.batch,
                        &stats))
    return 0; /* after a failure collectd reads at longer and longer intervals */
  if (plugin.batch.lost)
    ERROR("denet plugin: out of memory for the values of %zu groups.", plugin.batch.lost);
  denet_values_dispatch(plugin.config.plugin_name, &plugin.batch, &stats,
                        atomic_load(&plugin.lost_count));
  return 0;
}

/* A thread that has stalled keeps what it uses: collectd unloads no plugin before it ends. */
static int shutdown_plugin(void) {
  if (!denet_loop_stop(plugin.loop, STOP_TIMEOUT_NS))
    return 0;
  plugin.loop = NULL;
  free(plugin.batch.rows);
  plugin.batch = (struct denet_values_batch){0};
  denet_config_done(&plugin.config);
  return 0;
}

__attribute__((visibility("default"))) void module_register(void) {
  if (denet_config_init(&plugin.config)) {
    ERROR("denet plugin: out of memory.");
    return;
  }
  plugin_register_complex_config(NAME, configure);
  plugin_register_init(NAME, init);
  plugin_register_read(NAME, read_values);
  plugin_register_shutdown(NAME, shutdown_plugin);
}
