#include "core/source/procfs/aside.h"

#include "core/source/procfs/reader.h"
#include "core/util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READS_MOST 64 /* so many can be held up; then nothing more is read */
#define WAIT_NS UINT64_C(10000000)
#define HASTY_WAIT_NS UINT64_C(1000000)
#define WAITS_MOST 10 /* for one that has nothing to wait for but a CPU */
/* In each period, for all that are held up. */
#define PATIENCE_NS UINT64_C(20000000)
#define HASTE_NS (PATIENCE_NS + UINT64_C(20000000))
#define PERIOD_NS UINT64_C(500000000)
#define UNASKED_NS UINT64_C(2000000000)

/* A reader and what it was called for. */
struct read {
  struct denet_reader *reader; /* owned */
  struct denet_reader_file file;
  struct denet_aside_key key;
  bool is_open; /* the outcome has not been told yet */
};

struct denet_aside {
  struct read reads[READS_MOST];
  unsigned count;
  uint64_t period_ns; /* when the present period began, CLOCK_MONOTONIC */
  uint64_t waited_ns; /* in this period, for those that were held up */
};

static uint64_t read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int denet_aside_new(struct denet_aside **out_aside) {
  struct denet_aside *aside = calloc(1, sizeof(*aside));
  if (!aside)
    return -ENOMEM;
  *out_aside = aside;
  return 0;
}

void denet_aside_free(struct denet_aside *aside) {
  if (!aside)
    return;
  for (unsigned i = 0; i < aside->count; i++) {
    denet_reader_dismiss(aside->reads[i].reader);
    denet_buffer_done(&aside->reads[i].file.text);
  }
  free(aside);
}

static bool is_same(struct denet_aside_key one, struct denet_aside_key other) {
  return one.pid == other.pid && one.start_ticks == other.start_ticks &&
         one.exec_stamp == other.exec_stamp && one.never_execd == other.never_execd;
}

/* The one that was asked for the same before and whose outcome has not been told, or NULL. */
static struct read *find_read(struct denet_aside *aside, struct denet_aside_key key,
                              const char *path) {
  for (unsigned i = 0; i < aside->count; i++) {
    struct read *read = &aside->reads[i];
    if (read->is_open && is_same(read->key, key) && !strcmp(read->file.path, path))
      return read;
  }
  return NULL;
}

static struct read *add_read(struct denet_aside *aside) {
  struct denet_reader *reader = aside->count < READS_MOST ? denet_reader_new() : NULL;
  if (!reader)
    return NULL;
  struct read *read = &aside->reads[aside->count++];
  *read = (struct read){.reader = reader};
  return read;
}

/* One whose reader can be called: its outcome was told, or it is new, or nobody has asked for it;
 * NULL if there is none. */
static struct read *choose_read(struct denet_aside *aside) {
  struct read *unasked = NULL;
  for (unsigned i = 0; i < aside->count; i++) {
    struct read *read = &aside->reads[i];
    uint64_t since_ns;
    if (!read->is_open)
      return read;
    if (denet_reader_is_busy(read->reader, &since_ns))
      continue;
    /* Whoever has not asked by now is gone, most likely. */
    if (read_clock() - since_ns > UNASKED_NS)
      return read;
    unasked = read;
  }
  struct read *added = add_read(aside);
  return added ? added : unasked;
}

/* The outcome, once, with the text in exchange for what out had. */
static int take_outcome(struct read *read, struct denet_buffer *out) {
  struct denet_buffer text = read->file.text;
  read->file.text = *out;
  *out = text;
  read->is_open = false;
  return read->file.outcome;
}

/* How long to wait for the next one. Those that nobody holds up take some 10 µs. */
static uint64_t find_wait(struct denet_aside *aside) {
  uint64_t now_ns = read_clock();
  if (now_ns - aside->period_ns >= PERIOD_NS) {
    aside->period_ns = now_ns;
    aside->waited_ns = 0;
  }
  if (aside->waited_ns < PATIENCE_NS)
    return WAIT_NS;
  return aside->waited_ns < HASTE_NS ? HASTY_WAIT_NS : 0;
}

int denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                     const char *path, size_t limit, struct denet_buffer *out) {
  uint64_t since_ns;
  struct read *read = find_read(aside, key, path);
  if (read)
    return denet_reader_is_busy(read->reader, &since_ns) ? DENET_LATER : take_outcome(read, out);
  uint64_t wait_ns = find_wait(aside);
  read = wait_ns ? choose_read(aside) : NULL;
  if (!read)
    return DENET_LATER;
  read->key = key;
  read->is_open = true;
  read->file.limit = limit;
  snprintf(read->file.path, sizeof(read->file.path), "%s", path);
  denet_reader_call(read->reader, folder, &read->file, 0, 1);
  if (denet_reader_wait(read->reader, wait_ns, WAITS_MOST))
    return take_outcome(read, out);
  aside->waited_ns += wait_ns; /* what it lacked a CPU is not held against the others */
  return DENET_LATER;
}
