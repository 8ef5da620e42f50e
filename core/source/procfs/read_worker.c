#include "core/source/procfs/read_worker.h"

#include "core/source/procfs/proc_file.h"
#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "core/util/error.h"
#include "core/util/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A read usually takes 10 us. A thread stalls if it gets no further for WAIT_NS and waits for
 * something other than a CPU. After LONG_WAITS_NS of such waits in a period SHORT_WAIT_NS is
 * enough, and after TEXT_WAITS_NS no read of a text begins. */
#define PERIOD_NS UINT64_C(500000000)
#define WAIT_NS UINT64_C(10000000)
#define SHORT_WAIT_NS UINT64_C(1000000)
#define LONG_WAITS_NS UINT64_C(20000000)
#define TEXT_WAITS_NS UINT64_C(40000000)
#define STALLED_MOST 64              /* threads that are left behind */
#define KEEP_NS UINT64_C(2000000000) /* so long a text waits for a call that takes it, at least */

struct file {
  struct denet_read_key key;
  char path[64];
  size_t limit;
  struct denet_buffer text;
  int outcome; /* DENET_LATER before a read: the file is skipped */
};

/* One thread, detached. It has a file of its own, so that it can be left behind. */
struct thread {
  int dir;              /* owned */
  struct file own;      /* copy of the file that is read, with the text */
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t has_changed;
  pid_t tid;
  bool is_busy;
  bool is_stalled;    /* left behind: once the read is over, the outcome stays in own */
  bool is_over;       /* it frees itself, after a read that may stall */
  struct file *files; /* of the worker */
  unsigned at, count; /* the file that is read; all files */
  uint64_t done_ns;   /* CLOCK_MONOTONIC */
  bool is_taken;      /* of the worker: a call of this pass has returned the text */
};

struct denet_read_worker {
  int dir;
  struct thread *thread; /* owned, idle between calls; NULL: none */
  struct thread *stalled[STALLED_MOST];
  unsigned stalled_count;
  struct file files[DENET_READ_WORKER_FILES];
  unsigned done, count; /* files that were read; files of the list */
  uint64_t period_ns;   /* start of the present period, CLOCK_MONOTONIC, as are */
  uint64_t pass_ns;     /* the start of the present pass */
  uint64_t drop_ns;     /* texts that were there before it are dropped */
  uint64_t waited_ns;   /* in this period, for threads that stalled */
};

static void free_thread(struct thread *thread) {
  denet_buffer_done(&thread->own.text);
  pthread_cond_destroy(&thread->has_changed);
  pthread_mutex_destroy(&thread->lock);
  denet_closep(&thread->dir);
  free(thread);
}

/* Reads the files in their order, with the lock, which is not held during a read. */
static void read_files(struct thread *thread) {
  for (; thread->at < thread->count && !thread->is_stalled; thread->at++) {
    struct file *file = &thread->files[thread->at], *own = &thread->own;
    if (file->outcome == DENET_LATER)
      continue;
    struct denet_buffer text = own->text;
    *own = *file;
    own->text = text;
    pthread_mutex_unlock(&thread->lock);
    own->outcome = denet_proc_file_read(&own->text, thread->dir, own->path, own->limit);
    pthread_mutex_lock(&thread->lock);
    if (thread->is_stalled)
      break;
    file->text = DENET_EXCHANGE(own->text, file->text);
    file->outcome = own->outcome;
  }
  thread->is_busy = false;
  thread->done_ns = denet_clock_monotonic_ns();
  pthread_cond_signal(&thread->has_changed);
}

static void *run(void *context) {
  struct thread *thread = context;
  pthread_mutex_lock(&thread->lock);
  thread->tid = gettid();
  while (!thread->is_over) {
    if (thread->is_busy)
      read_files(thread);
    else
      pthread_cond_wait(&thread->has_changed, &thread->lock);
  }
  pthread_mutex_unlock(&thread->lock);
  free_thread(thread);
  return NULL;
}

static struct thread *start_thread(int dir) {
  struct thread *thread = calloc(1, sizeof(*thread));
  if (!thread)
    return NULL;
  pthread_t id;
  pthread_mutex_init(&thread->lock, NULL);
  pthread_cond_init(&thread->has_changed, NULL);
  thread->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
  if (thread->dir < 0 || denet_thread_start(&id, "denet-read", run, thread)) {
    free_thread(thread);
    return NULL;
  }
  pthread_detach(id);
  return thread;
}

/* Ends a thread, and does not wait for it. */
static void dismiss(struct thread *thread) {
  pthread_mutex_lock(&thread->lock);
  thread->is_over = true;
  pthread_cond_signal(&thread->has_changed);
  pthread_mutex_unlock(&thread->lock);
}

/* Returns since when the thread is idle, CLOCK_MONOTONIC; 0 if it is not. */
static uint64_t read_done_ns(struct thread *thread) {
  pthread_mutex_lock(&thread->lock);
  uint64_t done_ns = thread->is_busy ? 0 : thread->done_ns;
  pthread_mutex_unlock(&thread->lock);
  return done_ns;
}

/* Returns whether a thread of this process waits for something other than a CPU (its state in
 * proc_pid_stat(5)), or its state cannot be read. tid: 0 if it has not run yet. */
static bool is_blocked(pid_t tid) {
  char path[48], text[64] = "", state;
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
  DENET_CLOSE int fd = tid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  bool is_read = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0;
  return tid && !(is_read && sscanf(text, "%*d (%*[^)]) %c", &state) == 1 && state == 'R');
}

/* Waits until the thread is done, or stalls. Returns the index of the file on which it stalls, or
 * the number of files. */
static unsigned wait_for(struct thread *thread, uint64_t wait_ns) {
  pthread_mutex_lock(&thread->lock);
  while (thread->is_busy && !thread->is_stalled) {
    unsigned at = thread->at;
    uint64_t until_ns = denet_clock_monotonic_ns() + wait_ns;
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    int error = 0;
    while (thread->is_busy && !error)
      error = pthread_cond_clockwait(&thread->has_changed, &thread->lock, CLOCK_MONOTONIC, &until);
    if (!thread->is_busy || thread->at != at)
      continue;
    pid_t tid = thread->tid;
    pthread_mutex_unlock(&thread->lock);
    bool blocks = is_blocked(tid);
    pthread_mutex_lock(&thread->lock);
    thread->is_stalled = blocks && thread->is_busy && thread->at == at;
  }
  unsigned at = thread->at;
  pthread_mutex_unlock(&thread->lock);
  return at;
}

struct denet_read_worker *denet_read_worker_new(int dir) {
  struct denet_read_worker *worker = calloc(1, sizeof(*worker));
  if (worker)
    worker->dir = dir;
  return worker;
}

void denet_read_worker_free(struct denet_read_worker *worker) {
  if (!worker)
    return;
  if (worker->thread)
    dismiss(worker->thread);
  for (unsigned i = 0; i < worker->stalled_count; i++)
    dismiss(worker->stalled[i]);
  for (unsigned i = 0; i < DENET_READ_WORKER_FILES; i++)
    denet_buffer_done(&worker->files[i].text);
  free(worker);
}

/* Removes a thread of those that stalled. */
static void remove_stalled(struct denet_read_worker *worker, unsigned i) {
  dismiss(worker->stalled[i]);
  worker->stalled[i] = worker->stalled[--worker->stalled_count];
}

void denet_read_worker_begin(struct denet_read_worker *worker) {
  uint64_t now_ns = denet_clock_monotonic_ns();
  uint64_t drop_ns = worker->stalled_count < STALLED_MOST ? worker->drop_ns : UINT64_MAX;
  if (now_ns - worker->period_ns >= PERIOD_NS) {
    worker->period_ns = now_ns;
    worker->waited_ns = 0;
  }
  for (unsigned i = worker->stalled_count; i-- > 0;) {
    uint64_t done_ns = read_done_ns(worker->stalled[i]);
    if (done_ns && done_ns < drop_ns)
      remove_stalled(worker, i);
  }
  worker->done = worker->count = 0;
}

static struct file *add(struct denet_read_worker *worker, const struct denet_read_key *key,
                        const char *path, size_t limit) {
  struct file *file = &worker->files[worker->count++];
  snprintf(file->path, sizeof(file->path), "%s", path);
  file->key = *key;
  file->limit = limit;
  file->outcome = 0;
  return file;
}

unsigned denet_read_worker_add(struct denet_read_worker *worker, pid_t pid, const char *path,
                               size_t limit) {
  struct file *file = add(worker, &(struct denet_read_key){.pid = pid}, path, limit);
  for (unsigned i = 0; i < worker->stalled_count; i++)
    if (worker->stalled[i]->own.key.pid == pid && !read_done_ns(worker->stalled[i]))
      file->outcome = DENET_LATER;
  return worker->count - 1;
}

/* Reads until all files are read or the thread stalls. Then it is left behind, and all files of the
 * same process are skipped. Returns false if there is no thread. */
static bool read_in_thread(struct denet_read_worker *worker) {
  if (!worker->thread && worker->stalled_count < STALLED_MOST)
    worker->thread = start_thread(worker->dir);
  struct thread *thread = worker->thread;
  if (!thread)
    return false;
  pthread_mutex_lock(&thread->lock);
  thread->files = worker->files;
  thread->at = worker->done;
  thread->count = worker->count;
  thread->is_busy = true;
  pthread_cond_signal(&thread->has_changed);
  pthread_mutex_unlock(&thread->lock);
  uint64_t wait_ns = worker->waited_ns < LONG_WAITS_NS ? WAIT_NS : SHORT_WAIT_NS;
  worker->done = wait_for(thread, wait_ns);
  if (worker->done == worker->count)
    return true;
  pid_t pid = worker->files[worker->done].key.pid;
  for (unsigned i = worker->done; i < worker->count; i++)
    if (worker->files[i].key.pid == pid)
      worker->files[i].outcome = DENET_LATER;
  worker->stalled[worker->stalled_count++] = thread;
  worker->thread = NULL;
  worker->waited_ns += wait_ns;
  return true;
}

void denet_read_worker_read(struct denet_read_worker *worker) {
  while (worker->done < worker->count) {
    struct file *file = &worker->files[worker->done];
    if (read_in_thread(worker))
      continue;
    if (file->outcome != DENET_LATER)
      file->outcome = denet_proc_file_read(&file->text, worker->dir, file->path, file->limit);
    worker->done++;
  }
}

int denet_read_worker_text(const struct denet_read_worker *worker, unsigned index,
                           struct denet_text *out_text) {
  *out_text = denet_buffer_text(&worker->files[index].text);
  return worker->files[index].outcome;
}

void denet_read_worker_begin_pass(struct denet_read_worker *worker) {
  uint64_t now_ns = denet_clock_monotonic_ns(), kept_ns = now_ns > KEEP_NS ? now_ns - KEEP_NS : 0;
  worker->drop_ns = kept_ns < worker->pass_ns ? kept_ns : worker->pass_ns;
  worker->pass_ns = now_ns;
  for (unsigned i = worker->stalled_count; i-- > 0;)
    if (worker->stalled[i]->is_taken)
      remove_stalled(worker, i);
}

int denet_read_worker_read_text(struct denet_read_worker *worker, const struct denet_read_key *key,
                                const char *path, size_t limit, struct denet_buffer *out) {
  for (unsigned i = 0; i < worker->stalled_count; i++) {
    struct thread *thread = worker->stalled[i];
    const struct denet_read_key *its = &thread->own.key;
    if (its->pid != key->pid || its->start_ticks != key->start_ticks ||
        its->exec_stamp != key->exec_stamp || its->never_execd != key->never_execd ||
        strcmp(thread->own.path, path) != 0)
      continue;
    if (!read_done_ns(thread))
      return DENET_LATER;
    thread->is_taken = true;
    denet_buffer_clear(out);
    int error = denet_buffer_append(out, thread->own.text.bytes, thread->own.text.length);
    return error ? error : thread->own.outcome;
  }
  denet_read_worker_begin(worker);
  if (worker->waited_ns >= TEXT_WAITS_NS)
    return DENET_LATER;
  struct file *file = add(worker, key, path, limit);
  if (!read_in_thread(worker))
    return DENET_LATER;
  if (file->outcome != DENET_LATER)
    *out = DENET_EXCHANGE(file->text, *out);
  return file->outcome;
}
