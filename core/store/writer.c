#include "core/store/writer.h"

#include "core/store/queue.h"
#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "core/util/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>

#define OPEN_FILES_MIN 16
#define OPEN_FILES_MAX 16384
#define DISK_BLOCK_BYTES 4096 /* of nearly every file system: ext4, XFS, Btrfs */
/* A failure is over when it has not recurred for so long; else one that comes and goes would fill
 * the log. */
#define QUIET_NS UINT64_C(5000000000)

struct denet_writer {
  struct denet_log log;
  struct denet_queue *queue;
  struct denet_store *store; /* of the thread, which closes it */
  uint64_t flush_ns;
  pthread_t thread;
  atomic_bool is_running;   /* there is a thread */
  atomic_bool is_broken;    /* denet_writer_start() failed */
  atomic_bool is_abandoned; /* the thread outlives denet_writer_stop() and has no log */

  /* Lines that the store could not write. Of the thread, except lost_count. */
  bool is_failing;
  uint64_t failed_count; /* since it is failing */
  uint64_t failed_ns;    /* of the latest one, CLOCK_MONOTONIC */
  atomic_uint_fast64_t lost_count;

  /* Lines that did not fit into the queue. */
  atomic_bool is_overflowing;           /* set by a push that drops, cleared by the thread */
  atomic_uint_fast64_t oversized_count; /* lines that never fit */
  /* Of the thread: drops seen, when the latest of them was, and those logged. */
  uint64_t seen_dropped, dropped_ns, logged_dropped;
};

int denet_writer_new(uint64_t queue_bytes, const struct denet_log *log,
                     struct denet_writer **out_writer) {
  struct denet_writer *writer = calloc(1, sizeof(*writer));
  if (!writer || denet_queue_new(queue_bytes, &writer->queue)) {
    free(writer);
    return -ENOMEM;
  }
  writer->log = *log;
  *out_writer = writer;
  return 0;
}

static void write_line(void *context, const struct denet_line *line) {
  struct denet_writer *writer = context;
  struct denet_error error = {0};
  int outcome = denet_store_write(writer->store, line, &error);
  if (!outcome)
    return;
  /* The emitter sends no line before the metadata was accepted, so this should not happen. */
  if (outcome == DENET_GONE)
    denet_error_set(&error, outcome, "process %d of %s has no file", (int)line->pid,
                    line->instance);
  if (!writer->is_failing && !writer->is_abandoned)
    denet_log_write(&writer->log, DENET_SEVERITY_ERROR, "lines are being lost: %s", error.text);
  writer->is_failing = true;
  writer->failed_ns = denet_clock_monotonic_ns();
  if (line->kind == DENET_LINE_METADATA)
    return; /* the store keeps it and writes it later */
  writer->failed_count++;
  writer->lost_count++;
}

static bool is_quiet(uint64_t latest_ns) {
  return denet_clock_monotonic_ns() - latest_ns >= QUIET_NS;
}

/* Logs failures that are over. */
static void log_recovery(struct denet_writer *writer) {
  /* In this order: a drop is counted before it sets the mark. */
  bool is_overflowing = writer->is_overflowing;
  uint64_t dropped = denet_queue_dropped(writer->queue);
  if (dropped != writer->seen_dropped)
    writer->dropped_ns = denet_clock_monotonic_ns();
  writer->seen_dropped = dropped;
  if (writer->is_failing && is_quiet(writer->failed_ns)) {
    denet_log_write(&writer->log, DENET_SEVERITY_NOTICE,
                    "writing works again; %" PRIu64 " lines were lost", writer->failed_count);
    writer->is_failing = false;
    writer->failed_count = 0;
  }
  if (is_overflowing && is_quiet(writer->dropped_ns)) {
    denet_log_write(&writer->log, DENET_SEVERITY_NOTICE,
                    "the queue has room again; %" PRIu64 " lines were dropped",
                    dropped - writer->logged_dropped);
    writer->logged_dropped = dropped;
    writer->is_overflowing = false;
  }
}

/* Logs failures that lasted until the end. */
static void log_losses(const struct denet_writer *writer) {
  uint64_t dropped = denet_queue_dropped(writer->queue) - writer->logged_dropped;
  uint64_t oversized = writer->oversized_count;
  if (writer->failed_count)
    denet_log_write(&writer->log, DENET_SEVERITY_ERROR, "%" PRIu64 " lines were lost",
                    writer->failed_count);
  if (dropped)
    denet_log_write(&writer->log, DENET_SEVERITY_WARNING, "%" PRIu64 " lines were dropped",
                    dropped);
  if (oversized)
    denet_log_write(&writer->log, DENET_SEVERITY_WARNING,
                    "%" PRIu64 " lines were too long for the queue", oversized);
}

static void *run(void *context) {
  struct denet_writer *writer = context;
  while (denet_queue_take(writer->queue, writer->flush_ns, write_line, writer)) {
    denet_store_resume(writer->store);
    if (!writer->is_abandoned)
      log_recovery(writer);
  }
  denet_store_close(DENET_TAKE(writer->store));
  if (!writer->is_abandoned)
    log_losses(writer);
  return NULL;
}

/* Returns how many files stay open. To open a file for each line costs several times what the line
 * itself does, so the limit is raised as far as permitted (systemd starts services with 1,024 of
 * 524,288). If it is well above FD_SETSIZE, the files get all descriptors above (segment.c); else a
 * quarter, since other code in the process needs descriptors. */
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

/* Opens the store and starts the thread. 0 or -errno with a sentence. */
static int start(struct denet_writer *writer, const struct denet_store_settings *settings,
                 struct denet_error *error) {
  int outcome = denet_store_open(settings, error, &writer->store);
  if (outcome)
    return outcome;
  outcome = denet_thread_start(&writer->thread, "denet-writer", run, writer);
  if (!outcome)
    return 0;
  denet_store_close(DENET_TAKE(writer->store));
  errno = -outcome;
  return denet_error_set(error, outcome, "cannot start a thread: %m");
}

int denet_writer_start(struct denet_writer *writer, const struct denet_writer_settings *settings,
                       struct denet_error *error) {
  const struct denet_store_settings store = {
      .path = settings->path,
      .host = settings->host,
      .file_bytes = settings->file_bytes,
      .total_bytes = settings->total_bytes,
      .open_files = choose_open_files(),
      .block_bytes = DISK_BLOCK_BYTES,
  };
  writer->flush_ns = settings->flush_ns;
  int outcome = settings->path ? start(writer, &store, error) : -EINVAL;
  writer->is_running = !outcome;
  writer->is_broken = outcome != 0;
  return outcome;
}

int denet_writer_push(void *writer, const struct denet_line *line) {
  struct denet_writer *to = writer;
  if (to->is_broken)
    return ENOENT;
  int error = -denet_queue_push(to->queue, line);
  if (!error || line->kind == DENET_LINE_END)
    return error;
  if (error != EMSGSIZE && !atomic_exchange(&to->is_overflowing, true))
    denet_log_write(&to->log, DENET_SEVERITY_WARNING,
                    "the queue is full, lines are being dropped: the disk is too slow or the queue "
                    "too small");
  if (error == EMSGSIZE && !atomic_fetch_add(&to->oversized_count, 1))
    denet_log_write(&to->log, DENET_SEVERITY_WARNING,
                    "the queue is too small for a line of %zu bytes; such lines are dropped",
                    line->json.length);
  return error;
}

int denet_writer_flush(struct denet_writer *writer, uint64_t timeout_ns) {
  return writer->is_running ? denet_queue_flush(writer->queue, timeout_ns) : 0;
}

uint64_t denet_writer_lost_count(const struct denet_writer *writer) { return writer->lost_count; }

bool denet_writer_stop(struct denet_writer *writer, unsigned timeout_s) {
  if (!writer)
    return true;
  denet_queue_close(writer->queue);
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline); /* ThreadSanitizer supports no other clock here */
  deadline.tv_sec += timeout_s;
  if (writer->is_running && pthread_timedjoin_np(writer->thread, NULL, &deadline)) {
    writer->is_abandoned = true;
    denet_log_write(&writer->log, DENET_SEVERITY_ERROR,
                    "the disk does not answer or is too slow: %" PRIu64 " lines are lost",
                    denet_queue_waiting(writer->queue));
    return false;
  }
  denet_queue_free(writer->queue);
  free(writer);
  return true;
}
