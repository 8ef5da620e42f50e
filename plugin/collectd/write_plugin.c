/* write_denet.so: takes the lines that denet.so hands over and gives them to core's writer, whose
 * thread keeps them as files. */
#include "plugin/collectd/collectd_api.h"

#include "plugin/collectd/config_value.h"
#include "plugin/collectd/line_channel.h"

#include "core/store/writer.h"
#include "core/util/cleanup.h"

#include <pthread.h>

#define NAME DENET_WRITER
#define LOG_NAME NAME " plugin: "
#define MIB (UINT64_C(1) << 20)
#define NS_PER_SECOND UINT64_C(1000000000)

#define DEFAULT_DIRECTORY "denet"
#define DEFAULT_FILE_BYTES (64 * MIB)
#define DEFAULT_TOTAL_BYTES (1024 * MIB)

/* The bound of how long a flush blocks the thread of collectd that requests it. */
#define FLUSH_TIMEOUT_NS (5 * NS_PER_SECOND)
/* The bound of how long collectd's end waits for the disk, after a last flush. */
#define STOP_TIMEOUT_S 5

struct settings {
  char *directory;     /* owned; NULL: DEFAULT_DIRECTORY */
  uint64_t file_bytes; /* 0: not given, which is DEFAULT_FILE_BYTES or the total if that is less */
  uint64_t total_bytes;
  uint64_t flush_ns;
  uint64_t queue_bytes;
};

static struct {
  struct settings settings; /* constant once collectd has read its configuration */
  pthread_once_t once;
  struct denet_writer *writer; /* get_writer() */
} plugin = {
    .settings = {.total_bytes = DEFAULT_TOTAL_BYTES,
                 .flush_ns = NS_PER_SECOND,
                 .queue_bytes = 16 * MIB},
    .once = PTHREAD_ONCE_INIT,
};

#define FIELD(name) offsetof(struct settings, name)

static const struct denet_option options[] = {
    {"Directory", DENET_OPTION_STRING, FIELD(directory), 0, 0, NULL},
    {"MaxFileSize", DENET_OPTION_MEBIBYTES, FIELD(file_bytes), 0.001, 1 << 20, NULL},
    {"MaxTotalSize", DENET_OPTION_MEBIBYTES, FIELD(total_bytes), 0.004, 1 << 30, NULL},
    {"FlushInterval", DENET_OPTION_SECONDS, FIELD(flush_ns), 0.01, 3600, NULL},
    {"QueueSize", DENET_OPTION_MEBIBYTES, FIELD(queue_bytes), 0.01, 4096, NULL},
};

static void write_log(void *context, enum denet_severity severity, const char *sentence) {
  (void)context;
  plugin_log((int)severity, LOG_NAME "%s.", sentence);
}

/* Returns the folder of the files, owned by the caller, if files can be made in it; else NULL. */
static char *get_checked_path(const struct settings *settings) {
  const char *directory = settings->directory ? settings->directory : DEFAULT_DIRECTORY;
  const char *base = global_option_get("BaseDir");
  bool is_complete = *directory == '/' || !base;
  struct denet_error error = {0};
  char *path;
  if (asprintf(&path, "%s%s%s", is_complete ? "" : base, is_complete ? "" : "/", directory) < 0)
    return NULL;
  if (!denet_store_check(path, &error))
    return path;
  ERROR(LOG_NAME "%s. Set Directory to a folder that collectd may write, or let it write there.",
        error.text);
  free(path);
  return NULL;
}

static void apply_option(struct settings *settings, const oconfig_item_t *item) {
  struct denet_setting setting = denet_config_value(item, -1);
  struct denet_error error = {0};
  int outcome = denet_option_set(options, DENET_COUNT_OF(options), settings, &setting, &error);
  if (outcome == DENET_UNKNOWN_OPTION)
    WARNING(LOG_NAME "unknown option %.100s is ignored.", item->key);
  else if (outcome)
    ERROR(LOG_NAME "%s; it keeps its value.", outcome == -ENOMEM ? item->key : error.text);
}

static int configure(oconfig_item_t *block) {
  for (int i = 0; i < block->children_num; i++)
    apply_option(&plugin.settings, &block->children[i]);
  DENET_FREE char *path = get_checked_path(&plugin.settings);
  return path ? 0 : -1;
}

/* Completes both sizes once all blocks are read, since each block may give one of them. */
static void check_sizes(struct settings *settings) {
  if (!settings->file_bytes)
    settings->file_bytes =
        settings->total_bytes < DEFAULT_FILE_BYTES ? settings->total_bytes : DEFAULT_FILE_BYTES;
  if (settings->file_bytes <= settings->total_bytes)
    return;
  ERROR(LOG_NAME "MaxFileSize is greater than MaxTotalSize; both get their defaults.");
  settings->file_bytes = DEFAULT_FILE_BYTES;
  settings->total_bytes = DEFAULT_TOTAL_BYTES;
}

static void make_writer(void) {
  const struct denet_log log = {.write = write_log};
  if (denet_writer_new(plugin.settings.queue_bytes, &log, &plugin.writer))
    ERROR(LOG_NAME "no memory for QueueSize.");
}

/* Returns the writer, or NULL without memory. The first caller makes it: denet's thread may hand
 * over the first lines, which have the metadata, before collectd calls init(). */
static struct denet_writer *get_writer(void) {
  pthread_once(&plugin.once, make_writer);
  return plugin.writer;
}

static int init(void) {
  check_sizes(&plugin.settings);
  DENET_FREE char *path = get_checked_path(&plugin.settings);
  struct denet_writer *writer = get_writer();
  const struct denet_store_settings settings = {
      .path = path,
      .host = hostname_g,
      .file_bytes = plugin.settings.file_bytes,
      .total_bytes = plugin.settings.total_bytes,
  };
  struct denet_error error = {0};
  if (!writer || denet_writer_start(writer, &settings, plugin.settings.flush_ns, &error)) {
    if (error.text[0])
      ERROR(LOG_NAME "%s.", error.text);
    return -1;
  }
  return 0;
}

/* collectd offers every value list of every plugin. ENOENT (no writer, and none to come) makes
 * denet send no more lines. */
static int receive_list(const data_set_t *set, const value_list_t *list, user_data_t *user_data) {
  (void)user_data;
  struct denet_line_message *message = denet_line_channel_receive(set, list);
  if (!message)
    return 0;
  struct denet_writer *writer = get_writer();
  if (!writer)
    return ENOENT;
  int error = denet_writer_push(writer, message->line);
  message->lost_count = denet_writer_lost_count(writer);
  return error;
}

static int flush(cdtime_t timeout, const char *identifier, user_data_t *user_data) {
  (void)timeout;
  (void)identifier;
  (void)user_data;
  struct denet_writer *writer = get_writer();
  return writer ? denet_writer_flush(writer, FLUSH_TIMEOUT_NS) : 0;
}

/* The write callback's free_func. A shutdown callback would be too early: denet's may come after
 * it, and hands over the last lines; this comes after all shutdown callbacks. */
static void stop(void *data) {
  (void)data;
  denet_writer_stop(DENET_TAKE(plugin.writer), STOP_TIMEOUT_S);
  free(DENET_TAKE(plugin.settings.directory));
}

__attribute__((visibility("default"))) void module_register(void) {
  user_data_t user_data = {.data = &plugin, .free_func = stop};
  plugin_register_complex_config(NAME, configure);
  plugin_register_init(NAME, init);
  plugin_register_write(NAME, receive_list, &user_data);
  plugin_register_flush(NAME, flush, NULL);
}
