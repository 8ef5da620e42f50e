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

/* Lines that are being lost for one reason. */
struct losses {
  atomic_bool is_going_on;
  atomic_uint_fast64_t latest_ns; /* CLOCK_MONOTONIC */
  atomic_uint_fast64_t count;     /* in all */
  uint64_t logged;                /* those of failures that are over; of the thread */
};

struct denet_writer {
  struct denet_log log;
  struct denet_queue *queue;
  struct denet_store *store; /* of the thread, which closes it */
  uint64_t flush_ns;
  pthread_t thread;
  /* NEW: not started. ABANDONED: the thread outlives denet_writer_stop() and has no log. */
  _Atomic enum { NEW, RUNNING, BROKEN, ABANDONED } state;
  struct losses failed;                 /* the store could not write them */
  struct losses dropped;                /* the queue was full */
  atomic_uint_fast64_t oversized_count; /* lines that never fit into the queue */
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

/* Notes so many lines. Returns whether their loss begins with them. */
static bool note_loss(struct losses *losses, unsigned count) {
  losses->count += count;
  losses->latest_ns = denet_clock_monotonic_ns();
  return !atomic_exchange(&losses->is_going_on, true);
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
  /* The store keeps metadata and writes it later. */
  bool begins = note_loss(&writer->failed, line->kind != DENET_LINE_METADATA);
  if (begins && writer->state != ABANDONED)
    denet_log_write(&writer->log, DENET_SEVERITY_ERROR, "lines are being lost: %s", error.text);
}

/* Logs a failure that is over. */
static void log_recovery(const struct denet_writer *writer, struct losses *losses, const char *what,
                         const char *fate) {
  uint64_t latest_ns = losses->latest_ns; /* before the clock: a push may note a later one */
  if (!losses->is_going_on || denet_clock_monotonic_ns() - latest_ns < QUIET_NS)
    return;
  losses->is_going_on = false;
  uint64_t count = losses->count;
  denet_log_write(&writer->log, DENET_SEVERITY_NOTICE, "%s; %" PRIu64 " lines were %s", what,
                  count - losses->logged, fate);
  losses->logged = count;
}

/* Logs lines that no message has counted yet. */
static void log_rest(const struct denet_writer *writer, enum denet_severity severity,
                     uint64_t count, const char *fate) {
  if (count)
    denet_log_write(&writer->log, severity, "%" PRIu64 " lines were %s", count, fate);
}

static void *run(void *context) {
  struct denet_writer *writer = context;
  while (denet_queue_take(writer->queue, writer->flush_ns, write_line, writer)) {
    denet_store_resume(writer->store);
    if (writer->state == ABANDONED)
      continue;
    log_recovery(writer, &writer->failed, "writing works again", "lost");
    log_recovery(writer, &writer->dropped, "the queue has room again", "dropped");
  }
  denet_store_close(writer->store);
  if (writer->state == ABANDONED)
    return NULL;
  log_rest(writer, DENET_SEVERITY_ERROR, writer->failed.count - writer->failed.logged, "lost");
  log_rest(writer, DENET_SEVERITY_WARNING, writer->dropped.count - writer->dropped.logged,
           "dropped");
  log_rest(writer, DENET_SEVERITY_WARNING, writer->oversized_count, "too long for the queue");
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
  rlim_t wanted = FD_SETSIZE + OPEN_FILES_MAX + 1; /* the last one is opened for a write */
  struct rlimit raised = {limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max};
  if (raised.rlim_cur > limit.rlim_cur && !setrlimit(RLIMIT_NOFILE, &raised))
    limit = raised;
  rlim_t count = limit.rlim_cur > (rlim_t)2 * FD_SETSIZE ? limit.rlim_cur - FD_SETSIZE - 1
                                                         : limit.rlim_cur / 4;
  count = count < OPEN_FILES_MAX ? count : OPEN_FILES_MAX;
  return count < OPEN_FILES_MIN ? OPEN_FILES_MIN : (unsigned)count;
}

int denet_writer_start(struct denet_writer *writer, const struct denet_store_settings *settings,
                       uint64_t flush_ns, struct denet_error *error) {
  struct denet_store_settings store = *settings;
  store.open_files = choose_open_files();
  store.block_bytes = DISK_BLOCK_BYTES;
  store.unix_ms = denet_clock_unix_ms;
  writer->flush_ns = flush_ns;
  int outcome = store.path ? denet_store_open(&store, error, &writer->store) : -EINVAL;
  if (!outcome) {
    outcome = denet_thread_start(&writer->thread, "denet-writer", run, writer);
    if (outcome) {
      denet_store_close(writer->store);
      denet_error_set(error, outcome, "cannot start a thread: %m");
    }
  }
  writer->state = outcome ? BROKEN : RUNNING;
  return outcome;
}

int denet_writer_push(void *writer, const struct denet_line *line) {
  struct denet_writer *to = writer;
  if (to->state == BROKEN)
    return ENOENT;
  int error = -denet_queue_push(to->queue, line);
  if (!error || line->kind == DENET_LINE_END)
    return error;
  if (error != EMSGSIZE && note_loss(&to->dropped, 1))
    denet_log_write(&to->log, DENET_SEVERITY_WARNING,
                    "the queue is full, lines are being dropped: the disk is too slow or the queue "
                    "too small");
  if (error == EMSGSIZE && !to->oversized_count++)
    denet_log_write(&to->log, DENET_SEVERITY_WARNING,
                    "the queue is too small for a line of %zu bytes; such lines are dropped",
                    line->json.length);
  return error;
}

int denet_writer_flush(struct denet_writer *writer, uint64_t timeout_ns) {
  return writer->state == RUNNING ? denet_queue_flush(writer->queue, timeout_ns) : 0;
}

uint64_t denet_writer_lost_count(const struct denet_writer *writer) { return writer->failed.count; }

bool denet_writer_stop(struct denet_writer *writer, unsigned timeout_s) {
  if (!writer)
    return true;
  denet_queue_close(writer->queue);
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline); /* ThreadSanitizer supports no other clock here */
  deadline.tv_sec += timeout_s;
  if (writer->state == RUNNING && pthread_timedjoin_np(writer->thread, NULL, &deadline)) {
    writer->state = ABANDONED;
    denet_log_write(&writer->log, DENET_SEVERITY_ERROR,
                    "the disk does not answer or is too slow: %" PRIu64 " lines are lost",
                    denet_queue_waiting(writer->queue));
    return false;
  }
  denet_queue_free(writer->queue);
  free(writer);
  return true;
}
