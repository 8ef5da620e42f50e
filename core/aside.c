#include "aside.h"

#include "cleanup.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define READERS_MOST 64 /* so many can be held up; then nothing more is read */
#define WAIT_NS UINT64_C(10000000)
#define WAITS_MOST 10                  /* for one that has nothing to wait for but a CPU */
#define PATIENCE_NS UINT64_C(20000000) /* in each period, for all that are held up */
#define PERIOD_NS UINT64_C(500000000)
#define UNASKED_NS UINT64_C(2000000000)
#define STACK_BYTES (1 << 16)

enum state { IDLE, READING, READ };

/* One thread and the read that it is at. */
struct reader {
  pthread_t thread;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t is_called, has_read;
  pid_t tid;
  enum state state;
  uint64_t read_ns;  /* CLOCK_MONOTONIC, when the read ended */
  bool is_over;      /* the thread is to end */
  bool is_abandoned; /* and to free this when it does */
  struct denet_aside_key key;
  int folder;
  char path[64];
  size_t limit;
  struct denet_buffer text; /* the thread's while it is reading */
  int outcome;
};

struct denet_aside {
  struct reader *readers[READERS_MOST]; /* owned */
  unsigned count;
  uint64_t period_ns; /* when the present period began, CLOCK_MONOTONIC */
  uint64_t lost_ns;   /* in this period, with those that were held up */
};

static uint64_t read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void free_reader(struct reader *reader) {
  denet_buffer_done(&reader->text);
  pthread_cond_destroy(&reader->has_read);
  pthread_cond_destroy(&reader->is_called);
  pthread_mutex_destroy(&reader->lock);
  free(reader);
}

/* With the lock, which is not held while reading. */
static void serve(struct reader *reader) {
  pthread_mutex_unlock(&reader->lock);
  int outcome =
      denet_buffer_read_path(&reader->text, reader->folder, reader->path, reader->limit);
  pthread_mutex_lock(&reader->lock);
  reader->outcome = outcome;
  reader->state = READ;
  reader->read_ns = read_clock();
  pthread_cond_signal(&reader->has_read);
}

static void *run_reader(void *context) {
  struct reader *reader = context;
  pthread_setname_np(pthread_self(), "denet-reader");
  pthread_mutex_lock(&reader->lock);
  reader->tid = gettid();
  while (!reader->is_over) {
    if (reader->state == READING)
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
static int start_thread(struct reader *reader) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error)
    return error;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&reader->thread, &attributes, run_reader, reader);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

static struct reader *add_reader(struct denet_aside *aside) {
  struct reader *reader = aside->count < READERS_MOST ? calloc(1, sizeof(*reader)) : NULL;
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
  return aside->readers[aside->count++] = reader;
}

int denet_aside_new(struct denet_aside **out_aside) {
  struct denet_aside *aside = calloc(1, sizeof(*aside));
  if (!aside)
    return -ENOMEM;
  *out_aside = aside;
  return 0;
}

/* Ends the thread and frees the reader: at once, or when its read has come to an end. */
static void dismiss(struct reader *reader) {
  pthread_t thread = reader->thread;
  pthread_mutex_lock(&reader->lock);
  bool is_reading = reader->state == READING;
  reader->is_over = true;
  reader->is_abandoned = is_reading;
  pthread_cond_signal(&reader->is_called);
  pthread_mutex_unlock(&reader->lock);
  if (is_reading) {
    pthread_detach(thread);
    return;
  }
  pthread_join(thread, NULL);
  free_reader(reader);
}

void denet_aside_free(struct denet_aside *aside) {
  if (!aside)
    return;
  for (unsigned i = 0; i < aside->count; i++)
    dismiss(aside->readers[i]);
  free(aside);
}

static enum state look_at(struct reader *reader) {
  pthread_mutex_lock(&reader->lock);
  enum state state = reader->state;
  pthread_mutex_unlock(&reader->lock);
  return state;
}

/* The reader that was asked for the same before and not for the result yet, or NULL. */
static struct reader *find_reader(const struct denet_aside *aside, struct denet_aside_key key,
                                  const char *path) {
  for (unsigned i = 0; i < aside->count; i++) {
    const struct denet_aside_key *held = &aside->readers[i]->key;
    if (held->pid == key.pid && held->start_ticks == key.start_ticks &&
        !strcmp(aside->readers[i]->path, path) && look_at(aside->readers[i]) != IDLE)
      return aside->readers[i];
  }
  return NULL;
}

/* One that can read: idle, or new, or one whose result nobody has asked for; NULL if there is none.
 */
static struct reader *choose_reader(struct denet_aside *aside) {
  struct reader *unasked = NULL;
  for (unsigned i = 0; i < aside->count; i++) {
    enum state state = look_at(aside->readers[i]);
    if (state == IDLE)
      return aside->readers[i];
    /* Whoever has not asked by now is gone, most likely. */
    if (state == READ && read_clock() - aside->readers[i]->read_ns > UNASKED_NS)
      return aside->readers[i];
    if (state == READ)
      unasked = aside->readers[i];
  }
  struct reader *added = add_reader(aside);
  return added ? added : unasked;
}

static void call(struct reader *reader, struct denet_aside_key key, int folder, const char *path,
                 size_t limit) {
  pthread_mutex_lock(&reader->lock);
  reader->key = key;
  reader->folder = folder;
  snprintf(reader->path, sizeof(reader->path), "%s", path);
  reader->limit = limit;
  reader->state = READING;
  pthread_cond_signal(&reader->is_called);
  pthread_mutex_unlock(&reader->lock);
}

/* Whether the thread may lack nothing but a CPU: it has not begun yet, its state is R
 * (proc_pid_stat(5)), or there is no telling. */
static bool is_runnable(pid_t tid) {
  char path[48], text[64] = "", state = '?';
  if (!tid)
    return true;
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
    return true;
  return sscanf(text, "%*d (%*[^)]) %c", &state) == 1 && state == 'R';
}

/* Without the lock, so that a reader that only waits for that is no longer held up. */
static bool is_held_up(struct reader *reader) {
  pid_t tid = reader->tid;
  pthread_mutex_unlock(&reader->lock);
  bool is_held_up = !is_runnable(tid);
  pthread_mutex_lock(&reader->lock);
  return is_held_up;
}

/* With the lock. Waits until the read is over, or the reader is held up. */
static void wait_for_read(struct reader *reader) {
  for (int i = 0; i < WAITS_MOST && reader->state == READING; i++) {
    uint64_t until_ns = read_clock() + WAIT_NS;
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    int error = 0;
    while (reader->state == READING && !error)
      error = pthread_cond_timedwait(&reader->has_read, &reader->lock, &until);
    if (error && is_held_up(reader))
      return;
  }
}

/* DENET_LATER while the read goes on; else its outcome, once, with its text in exchange for what
 * out had. */
static int take_result(struct reader *reader, struct denet_buffer *out) {
  if (reader->state == READING)
    return DENET_LATER;
  struct denet_buffer text = reader->text;
  reader->text = *out;
  *out = text;
  reader->state = IDLE;
  return reader->outcome;
}

static int finish(struct denet_aside *aside, struct reader *reader, bool waits,
                  struct denet_buffer *out) {
  uint64_t began_ns = read_clock();
  pthread_mutex_lock(&reader->lock);
  if (waits)
    wait_for_read(reader);
  int outcome = take_result(reader, out);
  pthread_mutex_unlock(&reader->lock);
  if (outcome == DENET_LATER)
    aside->lost_ns += read_clock() - began_ns;
  return outcome;
}

static bool is_patient(struct denet_aside *aside) {
  uint64_t now_ns = read_clock();
  if (now_ns - aside->period_ns >= PERIOD_NS) {
    aside->period_ns = now_ns;
    aside->lost_ns = 0;
  }
  return aside->lost_ns < PATIENCE_NS;
}

int denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                     const char *path, size_t limit, struct denet_buffer *out) {
  struct reader *reader = find_reader(aside, key, path);
  if (reader)
    return finish(aside, reader, false, out);
  if (!is_patient(aside))
    return DENET_LATER;
  reader = choose_reader(aside);
  if (!reader)
    return DENET_LATER;
  call(reader, key, folder, path, limit);
  return finish(aside, reader, true, out);
}
