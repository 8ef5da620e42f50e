#include "core/source/procfs/reader.h"

#include "core/util/cleanup.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (1 << 16)
#define UNKNOWN_MOST 10 /* so often it is not known in a row what the thread waits for */

struct denet_reader {
  pthread_t thread;
  pthread_mutex_t lock; /* of all below, but for text */
  pthread_cond_t is_called, has_read;
  pid_t tid;
  bool is_busy;
  uint64_t since_ns; /* CLOCK_MONOTONIC, when it was busy last */
  bool is_over;      /* the thread is to end */
  bool is_abandoned; /* and to free this when it does */
  int folder;
  struct denet_reader_file *files; /* the caller's: untouched once it is over */
  unsigned at, count;              /* the one that is read, and how many there are */
  struct denet_buffer text;        /* the thread's own */
};

static uint64_t read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void free_reader(struct denet_reader *reader) {
  denet_buffer_done(&reader->text);
  pthread_cond_destroy(&reader->has_read);
  pthread_cond_destroy(&reader->is_called);
  pthread_mutex_destroy(&reader->lock);
  free(reader);
}

/* With the lock, which is not held while reading. */
static void read_file(struct denet_reader *reader) {
  char path[sizeof(reader->files->path)];
  size_t limit = reader->files[reader->at].limit;
  snprintf(path, sizeof(path), "%s", reader->files[reader->at].path);
  pthread_mutex_unlock(&reader->lock);
  int outcome = denet_buffer_read_path(&reader->text, reader->folder, path, limit);
  pthread_mutex_lock(&reader->lock);
  if (reader->is_over)
    return;
  struct denet_reader_file *file = &reader->files[reader->at];
  struct denet_buffer text = reader->text;
  reader->text = file->text;
  file->text = text;
  file->outcome = outcome;
}

/* With the lock. */
static void serve(struct denet_reader *reader) {
  for (; reader->at < reader->count && !reader->is_over; reader->at++)
    if (!reader->files[reader->at].is_spared)
      read_file(reader);
  reader->is_busy = false;
  reader->since_ns = read_clock();
  pthread_cond_signal(&reader->has_read);
}

static void *run(void *context) {
  struct denet_reader *reader = context;
  pthread_setname_np(pthread_self(), "denet-reader");
  pthread_mutex_lock(&reader->lock);
  reader->tid = gettid();
  while (!reader->is_over) {
    if (reader->is_busy)
      serve(reader);
    else
      pthread_cond_wait(&reader->is_called, &reader->lock);
  }
  bool is_abandoned = reader->is_abandoned;
  pthread_mutex_unlock(&reader->lock);
  if (is_abandoned)
    free_reader(reader);
  return NULL;
}

/* 0 or an errno. The signals are the program's main thread's. */
static int start_thread(struct denet_reader *reader) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error)
    return error;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&reader->thread, &attributes, run, reader);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

struct denet_reader *denet_reader_new(void) {
  struct denet_reader *reader = calloc(1, sizeof(*reader));
  if (!reader)
    return NULL;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&reader->lock, NULL);
  pthread_cond_init(&reader->is_called, NULL);
  pthread_cond_init(&reader->has_read, &attributes);
  pthread_condattr_destroy(&attributes);
  if (start_thread(reader)) {
    free_reader(reader);
    return NULL;
  }
  return reader;
}

void denet_reader_call(struct denet_reader *reader, int folder, struct denet_reader_file *files,
                       unsigned from, unsigned count) {
  pthread_mutex_lock(&reader->lock);
  reader->folder = folder;
  reader->files = files;
  reader->at = from;
  reader->count = count;
  reader->is_busy = true;
  pthread_cond_signal(&reader->is_called);
  pthread_mutex_unlock(&reader->lock);
}

bool denet_reader_is_busy(struct denet_reader *reader, uint64_t *out_since_ns) {
  pthread_mutex_lock(&reader->lock);
  bool is_busy = reader->is_busy;
  *out_since_ns = reader->since_ns;
  pthread_mutex_unlock(&reader->lock);
  return is_busy;
}

/* What the thread waits for. */
enum wait {
  FOR_A_CPU, /* its state is R (proc_pid_stat(5)), or it has not begun yet */
  FOR_MORE,
  UNKNOWN,
};

static enum wait find_wait(pid_t tid) {
  char path[48], text[64] = "", state;
  if (!tid)
    return FOR_A_CPU;
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
      sscanf(text, "%*d (%*[^)]) %c", &state) != 1)
    return UNKNOWN;
  return state == 'R' ? FOR_A_CPU : FOR_MORE;
}

/* Without the lock, so that a reader that only waits for that is no longer held up. */
static enum wait look_at(struct denet_reader *reader) {
  pid_t tid = reader->tid;
  pthread_mutex_unlock(&reader->lock);
  enum wait wait = find_wait(tid);
  pthread_mutex_lock(&reader->lock);
  return wait;
}

/* With the lock: until it is busy no more or patience_ns are over. Returns what it waits for then,
 * FOR_A_CPU also if it has read something meanwhile. */
static enum wait wait_once(struct denet_reader *reader, uint64_t patience_ns) {
  unsigned at = reader->at;
  uint64_t until_ns = read_clock() + patience_ns;
  struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
  int error = 0;
  while (reader->is_busy && !error)
    error = pthread_cond_timedwait(&reader->has_read, &reader->lock, &until);
  enum wait wait = reader->is_busy && reader->at == at ? look_at(reader) : FOR_A_CPU;
  return reader->at == at ? wait : FOR_A_CPU;
}

bool denet_reader_wait(struct denet_reader *reader, uint64_t patience_ns, unsigned times_most) {
  pthread_mutex_lock(&reader->lock);
  for (unsigned times = 0; times < times_most && reader->is_busy; times++)
    if (wait_once(reader, patience_ns) == FOR_MORE)
      break;
  bool is_busy = reader->is_busy;
  pthread_mutex_unlock(&reader->lock);
  return !is_busy;
}

unsigned denet_reader_finish(struct denet_reader *reader, uint64_t patience_ns) {
  enum wait wait = FOR_A_CPU;
  pthread_mutex_lock(&reader->lock);
  for (unsigned unknown = 0; reader->is_busy && wait != FOR_MORE && unknown < UNKNOWN_MOST;) {
    wait = wait_once(reader, patience_ns);
    unknown = wait == UNKNOWN ? unknown + 1 : 0;
  }
  unsigned at = reader->at;
  reader->is_over = reader->is_busy;
  pthread_mutex_unlock(&reader->lock);
  return at;
}

void denet_reader_dismiss(struct denet_reader *reader) {
  pthread_t thread = reader->thread;
  pthread_mutex_lock(&reader->lock);
  bool is_busy = reader->is_busy;
  reader->is_over = true;
  reader->is_abandoned = is_busy;
  pthread_cond_signal(&reader->is_called);
  pthread_mutex_unlock(&reader->lock);
  if (is_busy) {
    pthread_detach(thread);
    return;
  }
  pthread_join(thread, NULL);
  free_reader(reader);
}
