/* write_denet.so: takes the lines that denet.so hands over and keeps them as files. collectd's
 * threads only put lines into a queue; one thread of our own writes, so nobody waits for a disk. */
#include "plugin/collectd/collectd_api.h"

#include "plugin/collectd/config_value.h"
#include "plugin/collectd/line_channel.h"

#include "core/store/queue.h"
#include "core/store/store.h"
#include "core/util/cleanup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>

#define NAME DENET_WRITER
#define LOG_NAME NAME " plugin: "
#define MIB (UINT64_C(1) << 20)
#define NS_PER_SECOND UINT64_C(1000000000)

#define DEFAULT_DIRECTORY "denet"
#define DEFAULT_FILE_BYTES (64 * MIB)
#define DEFAULT_TOTAL_BYTES (1024 * MIB)
#define DEFAULT_QUEUE_BYTES (16 * MIB)

#define OPEN_FILES_MIN 16
#define DISK_BLOCK_BYTES 4096 /* of nearly every file system, ext4, XFS and Btrfs among them */
#define OPEN_FILES_MAX 16384

/* How long a flush may hold up the thread of collectd's that asked for it. */
#define FLUSH_TIMEOUT_NS (5 * NS_PER_SECOND)
/* How long the writer may take to write the rest at collectd's end, behind a last flush. */
#define STOP_TIMEOUT_S 5
/* Trouble is over when it has stayed away so long: coming and going, it would fill the log. */
#define QUIET_NS (5 * NS_PER_SECOND)

struct settings {
  char *directory;     /* owned; NULL: DEFAULT_DIRECTORY */
  uint64_t file_bytes; /* 0: not given, which is DEFAULT_FILE_BYTES or the total if that is less */
  uint64_t total_bytes;
  uint64_t flush_ns;
  uint64_t queue_bytes;
};

/* Failures of the store. The writer thread's own. */
struct trouble {
  bool is_on;
  uint64_t lost_count; /* lines, since it began */
  uint64_t latest_ns;  /* as read_clock() */
};

/* Lines that did not fit into the queue. */
struct overflow {
  atomic_bool is_on; /* set by whoever drops, cleared by the writer thread */
  /* The writer thread's own: drops seen, when the latest was, and those that the log has told. */
  uint64_t seen_count;
  uint64_t latest_ns;
  uint64_t told_count;
};

static struct {
  struct settings settings; /* unchanged once collectd has read its configuration */
  pthread_once_t queue_once;
  struct denet_queue *queue; /* get_queue() */
  struct denet_store *store; /* the writer thread's, which closes it, once there is one */
  pthread_t thread;
  atomic_bool is_running;   /* there is a thread */
  atomic_bool is_broken;    /* init failed: there will be none */
  atomic_bool is_abandoned; /* collectd ends without the thread, whose log is gone */
  struct trouble trouble;
  struct overflow overflow;
  atomic_uint_fast64_t oversize_count; /* lines that an empty queue could not take either */
  atomic_uint_fast64_t lost_count;     /* lines that the store could not write, ever */
} writer = {
    .settings = {.total_bytes = DEFAULT_TOTAL_BYTES,
                 .flush_ns = NS_PER_SECOND,
                 .queue_bytes = DEFAULT_QUEUE_BYTES},
    .queue_once = PTHREAD_ONCE_INIT,
};

static const struct denet_option options[] = {
    {"Directory", DENET_OPTION_STRING, offsetof(struct settings, directory), 0, 0, NULL},
    {"MaxFileSize", DENET_OPTION_MEBIBYTES, offsetof(struct settings, file_bytes), 0.001, 1 << 20,
     NULL},
    {"MaxTotalSize", DENET_OPTION_MEBIBYTES, offsetof(struct settings, total_bytes), 0.004, 1 << 30,
     NULL},
    {"FlushInterval", DENET_OPTION_SECONDS, offsetof(struct settings, flush_ns), 0.01, 3600, NULL},
    {"QueueSize", DENET_OPTION_MEBIBYTES, offsetof(struct settings, queue_bytes), 0.01, 4096, NULL},
};

static uint64_t effective_file_bytes(const struct settings *settings) {
  if (settings->file_bytes)
    return settings->file_bytes;
  return settings->total_bytes < DEFAULT_FILE_BYTES ? settings->total_bytes : DEFAULT_FILE_BYTES;
}

/* The folder of the files, owned by the caller; NULL without memory. */
static char *make_path(const struct settings *settings) {
  const char *directory = settings->directory ? settings->directory : DEFAULT_DIRECTORY;
  const char *base = global_option_get("BaseDir");
  char *path;
  if (*directory == '/' || !base)
    return strdup(directory);
  return asprintf(&path, "%s/%s", base, directory) < 0 ? NULL : path;
}

static int check_directory(const char *path) {
  struct denet_error error = {0};
  int outcome = denet_store_check(path, &error);
  if (outcome)
    ERROR(LOG_NAME "%s. Set Directory to a folder that collectd may write, or let it write there.",
          error.text);
  return outcome;
}

static void apply_option(struct settings *settings, const oconfig_item_t *item) {
  struct denet_setting setting;
  struct denet_error error = {0};
  int outcome = denet_config_value_setting(item, &setting, &error);
  if (!outcome)
    outcome = denet_option_set(options, DENET_COUNT_OF(options), settings, &setting, &error);
  if (outcome == DENET_UNKNOWN_OPTION)
    WARNING(LOG_NAME "unknown option %.100s is ignored.", item->key);
  else if (outcome)
    ERROR(LOG_NAME "%s; it keeps its value.", outcome == -ENOMEM ? item->key : error.text);
}

/* Once all blocks are read: each may give one of the two. */
static void check_sizes(struct settings *settings) {
  if (settings->file_bytes <= settings->total_bytes)
    return;
  ERROR(LOG_NAME "MaxFileSize is greater than MaxTotalSize; both get their defaults.");
  settings->file_bytes = DEFAULT_FILE_BYTES;
  settings->total_bytes = DEFAULT_TOTAL_BYTES;
}

static int configure_block(oconfig_item_t *block) {
  for (int i = 0; i < block->children_num; i++)
    apply_option(&writer.settings, &block->children[i]);
  DENET_FREE char *path = make_path(&writer.settings);
  return !path || check_directory(path) ? -1 : 0;
}

static void make_queue(void) {
  if (denet_queue_new(writer.settings.queue_bytes, &writer.queue))
    ERROR(LOG_NAME "no memory for QueueSize.");
}

/* The queue, or NULL without memory. Made by whoever comes first: denet's sampler may hand over the
 * first lines, the ones with the metadata, before our init callback has its turn. */
static struct denet_queue *get_queue(void) {
  pthread_once(&writer.queue_once, make_queue);
  return writer.queue;
}

/* Not cdtime(), which somebody may set. */
static uint64_t read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static bool is_quiet(uint64_t latest_ns) { return read_clock() - latest_ns >= QUIET_NS; }

static void note_trouble(struct trouble *trouble, const struct denet_line *line,
                         const struct denet_error *error) {
  if (!trouble->is_on && !atomic_load(&writer.is_abandoned))
    ERROR(LOG_NAME "lines are being lost: %s.", error->text);
  trouble->is_on = true;
  trouble->latest_ns = read_clock();
  /* The store remembers metadata and writes it later. */
  if (line->kind == DENET_LINE_METADATA)
    return;
  trouble->lost_count++;
  atomic_fetch_add(&writer.lost_count, 1);
}

static void write_line(void *context, const struct denet_line *line) {
  struct denet_error error = {0};
  int outcome = denet_store_write(writer.store, line, &error);
  if (!outcome)
    return;
  /* denet sends no line before we have taken its process's metadata, so this should not be. */
  if (outcome == DENET_GONE)
    denet_error_set(&error, outcome, "process %d of %s has no file", (int)line->pid,
                    line->instance);
  note_trouble(context, line, &error);
}

static void watch_trouble(struct trouble *trouble) {
  if (!trouble->is_on || !is_quiet(trouble->latest_ns))
    return;
  NOTICE(LOG_NAME "writing works again; %" PRIu64 " lines were lost.", trouble->lost_count);
  *trouble = (struct trouble){0};
}

static void watch_overflow(struct overflow *overflow, struct denet_queue *queue) {
  /* In this order: a drop counts before it sets the mark, so a mark never comes without its drop.
   */
  bool is_on = atomic_load(&overflow->is_on);
  uint64_t dropped_count = denet_queue_dropped(queue);
  if (dropped_count != overflow->seen_count)
    overflow->latest_ns = read_clock();
  overflow->seen_count = dropped_count;
  if (!is_on || !is_quiet(overflow->latest_ns))
    return;
  NOTICE(LOG_NAME "the queue has room again; %" PRIu64 " lines were dropped.",
         dropped_count - overflow->told_count);
  overflow->told_count = dropped_count;
  atomic_store(&overflow->is_on, false);
}

/* What went on until the end. */
static void tell_losses(const struct trouble *trouble, uint64_t dropped_count) {
  uint64_t oversize_count = atomic_load(&writer.oversize_count);
  if (trouble->lost_count)
    ERROR(LOG_NAME "%" PRIu64 " lines were lost.", trouble->lost_count);
  if (dropped_count > writer.overflow.told_count)
    WARNING(LOG_NAME "%" PRIu64 " lines were dropped.", dropped_count - writer.overflow.told_count);
  if (oversize_count)
    WARNING(LOG_NAME "%" PRIu64 " lines were too long for QueueSize.", oversize_count);
}

static void *run_writer(void *context) {
  struct denet_queue *queue = context;
  while (denet_queue_take(queue, writer.settings.flush_ns, write_line, &writer.trouble)) {
    denet_store_resume(writer.store);
    if (atomic_load(&writer.is_abandoned))
      continue;
    watch_trouble(&writer.trouble);
    watch_overflow(&writer.overflow, queue);
  }
  denet_store_close(DENET_TAKE(writer.store));
  if (!atomic_load(&writer.is_abandoned))
    tell_losses(&writer.trouble, denet_queue_dropped(queue));
  return NULL;
}

/* 0 or an errno. The signals are collectd's main thread's. */
static int start_thread(struct denet_queue *queue) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&writer.thread, NULL, run_writer, queue);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error)
    pthread_setname_np(writer.thread, "denet-writer");
  return error;
}

/* How many files are kept open. To open a file for each line costs several times what the line
 * itself does, so the limit is raised as far as it may be (systemd starts services with 1,024, of
 * 524,288). Where that is well above FD_SETSIZE the files have all above (part.h); else a quarter,
 * since others in collectd need theirs. */
static unsigned choose_open_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit))
    return OPEN_FILES_MIN;
  rlim_t wanted = FD_SETSIZE + OPEN_FILES_MAX;
  struct rlimit raised = {limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max};
  if (raised.rlim_cur > limit.rlim_cur && !setrlimit(RLIMIT_NOFILE, &raised))
    limit = raised;
  rlim_t count =
      limit.rlim_cur > (rlim_t)2 * FD_SETSIZE ? limit.rlim_cur - FD_SETSIZE : limit.rlim_cur / 4;
  if (count < OPEN_FILES_MIN)
    return OPEN_FILES_MIN;
  return count < OPEN_FILES_MAX ? (unsigned)count : OPEN_FILES_MAX;
}

static int open_store(const char *path) {
  const struct denet_store_limits limits = {
      .file_bytes = effective_file_bytes(&writer.settings),
      .total_bytes = writer.settings.total_bytes,
      .open_files = choose_open_files(),
      .block_bytes = DISK_BLOCK_BYTES,
  };
  struct denet_error error = {0};
  int outcome = denet_store_open(path, hostname_g, &limits, &error, &writer.store);
  if (outcome)
    ERROR(LOG_NAME "%s.", error.text);
  return outcome;
}

static int start_writer(void) {
  check_sizes(&writer.settings);
  DENET_FREE char *path = make_path(&writer.settings);
  struct denet_queue *queue = get_queue();
  if (!path || !queue || check_directory(path) || open_store(path))
    return -1;
  int error = start_thread(queue);
  if (error) {
    denet_store_close(DENET_TAKE(writer.store));
    ERROR(LOG_NAME "cannot start a thread: %s.", STRERROR(error));
    return -1;
  }
  atomic_store(&writer.is_running, true);
  return 0;
}

static int init_writer(void) {
  int error = start_writer();
  atomic_store(&writer.is_broken, error != 0);
  return error;
}

static void tell_dropped(const struct denet_line *line, int error) {
  if (error != -EMSGSIZE && !atomic_exchange(&writer.overflow.is_on, true))
    WARNING(LOG_NAME "the queue is full, lines are being dropped: the disk is too "
                     "slow or QueueSize too small.");
  if (error == -EMSGSIZE && !atomic_fetch_add(&writer.oversize_count, 1))
    WARNING(LOG_NAME "QueueSize is too small for a line of %zu bytes; such lines are dropped.",
            line->json.length);
}

/* 0 or an errno; ENOENT: there is no writer and will be none, which makes denet send no more. */
static int push_line(const struct denet_line *line) {
  struct denet_queue *queue = atomic_load(&writer.is_broken) ? NULL : get_queue();
  if (!queue)
    return ENOENT;
  int error = denet_queue_push(queue, line);
  if (error && line->kind != DENET_LINE_END)
    tell_dropped(line, error);
  return -error;
}

/* collectd offers every value list of every plugin; only denet's lines are ours. */
static int receive_list(const data_set_t *set, const value_list_t *list, user_data_t *user_data) {
  (void)user_data;
  struct denet_received received;
  if (!denet_line_channel_receive(set, list, &received))
    return 0;
  int error = push_line(&received.line);
  uint64_t lost_count = atomic_load(&writer.lost_count);
  if (lost_count)
    denet_line_channel_tell_lost(list, lost_count);
  denet_received_done(&received);
  return error;
}

static int flush_writer(cdtime_t timeout, const char *identifier, user_data_t *user_data) {
  (void)timeout;
  (void)identifier;
  (void)user_data;
  return atomic_load(&writer.is_running) ? denet_queue_flush(writer.queue, FLUSH_TIMEOUT_NS) : 0;
}

/* Whether the thread has ended. It ends once everything is written, unless the disk hangs. */
static bool join_writer(void) {
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += STOP_TIMEOUT_S;
  if (!pthread_timedjoin_np(writer.thread, NULL, &deadline))
    return true;
  atomic_store(&writer.is_abandoned, true);
  ERROR(LOG_NAME "the disk does not answer or is too slow: %" PRIu64 " lines are lost.",
        denet_queue_waiting(writer.queue));
  return false;
}

/* The write callback's free_func. Not a shutdown callback: denet's may come after ours and still
 * has the last lines to hand over, while this comes after all of those. */
static void stop_writer(void *data) {
  (void)data;
  if (writer.queue)
    denet_queue_close(writer.queue);
  /* A thread that hangs keeps what it uses: collectd ends now and unloads no plugin before. */
  if (atomic_exchange(&writer.is_running, false) && !join_writer())
    return;
  denet_queue_free(DENET_TAKE(writer.queue));
  free(DENET_TAKE(writer.settings.directory));
}

__attribute__((visibility("default"))) void module_register(void) {
  user_data_t user_data = {.data = &writer, .free_func = stop_writer};
  plugin_register_complex_config(NAME, configure_block);
  plugin_register_init(NAME, init_writer);
  plugin_register_write(NAME, receive_list, &user_data);
  plugin_register_flush(NAME, flush_writer, NULL);
}
