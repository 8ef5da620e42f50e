#include "core/source/procfs/batch.h"

#include "core/source/procfs/reader.h"
#include "core/util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD_MOST 64
#define WAIT_NS UINT64_C(10000000)
#define NEXT_WAIT_NS UINT64_C(1000000)

/* A reader and who holds it up. */
struct held {
  struct denet_reader *reader; /* owned, given up */
  pid_t pid;
};

struct denet_batch {
  int folder;
  struct denet_reader *reader; /* owned, never busy between reads; NULL: there is none */
  struct held held[HELD_MOST];
  unsigned held_count;
  struct denet_reader_file files[DENET_BATCH_FILES];
  pid_t pids[DENET_BATCH_FILES];
  unsigned done, count; /* those that have been read, and all */
};

int denet_batch_new(int folder, struct denet_batch **out_batch) {
  struct denet_batch *batch = calloc(1, sizeof(*batch));
  if (!batch)
    return -ENOMEM;
  batch->folder = folder;
  *out_batch = batch;
  return 0;
}

void denet_batch_free(struct denet_batch *batch) {
  if (!batch)
    return;
  if (batch->reader)
    denet_reader_dismiss(batch->reader);
  for (unsigned i = 0; i < batch->held_count; i++)
    denet_reader_dismiss(batch->held[i].reader);
  for (unsigned i = 0; i < DENET_BATCH_FILES; i++)
    denet_buffer_done(&batch->files[i].text);
  free(batch);
}

/* Those that have been let go. */
static void dismiss_free_ones(struct denet_batch *batch) {
  unsigned kept = 0;
  uint64_t since_ns;
  for (unsigned i = 0; i < batch->held_count; i++)
    if (denet_reader_is_busy(batch->held[i].reader, &since_ns))
      batch->held[kept++] = batch->held[i];
    else
      denet_reader_dismiss(batch->held[i].reader);
  batch->held_count = kept;
}

void denet_batch_begin(struct denet_batch *batch) {
  batch->done = batch->count = 0;
  dismiss_free_ones(batch);
}

static bool holds_up(const struct denet_batch *batch, pid_t pid) {
  for (unsigned i = 0; i < batch->held_count; i++)
    if (batch->held[i].pid == pid)
      return true;
  return false;
}

static void spare(struct denet_reader_file *file) {
  file->is_spared = true;
  file->outcome = DENET_LATER;
}

unsigned denet_batch_add(struct denet_batch *batch, pid_t pid, const char *path, size_t limit) {
  struct denet_reader_file *file = &batch->files[batch->count];
  snprintf(file->path, sizeof(file->path), "%s", path);
  file->limit = limit;
  file->is_spared = false;
  if (holds_up(batch, pid))
    spare(file);
  batch->pids[batch->count] = pid;
  return batch->count++;
}

unsigned denet_batch_room(const struct denet_batch *batch) {
  return DENET_BATCH_FILES - batch->count;
}

/* Where no thread can be had. */
static void read_here(struct denet_batch *batch, unsigned from) {
  for (unsigned i = from; i < batch->count; i++) {
    struct denet_reader_file *file = &batch->files[i];
    if (!file->is_spared)
      file->outcome = denet_buffer_read_path(&file->text, batch->folder, file->path, file->limit);
  }
}

/* The file at a place holds the reader up: so do all of that process. */
static void leave_behind(struct denet_batch *batch, unsigned place) {
  pid_t pid = batch->pids[place];
  batch->held[batch->held_count++] = (struct held){batch->reader, pid};
  batch->reader = NULL;
  for (unsigned i = place; i < batch->count; i++)
    if (batch->pids[i] == pid)
      spare(&batch->files[i]);
}

/* Reads the files from there on, as far as the reader comes. Returns how far. */
static unsigned read_some(struct denet_batch *batch, unsigned from) {
  if (!batch->reader && batch->held_count < HELD_MOST)
    batch->reader = denet_reader_new();
  if (!batch->reader) {
    read_here(batch, from);
    return batch->count;
  }
  uint64_t wait_ns = batch->held_count ? NEXT_WAIT_NS : WAIT_NS;
  denet_reader_call(batch->reader, batch->folder, batch->files, from, batch->count);
  unsigned at = denet_reader_finish(batch->reader, wait_ns);
  if (at < batch->count)
    leave_behind(batch, at);
  return at;
}

void denet_batch_read(struct denet_batch *batch) {
  while (batch->done < batch->count)
    batch->done = read_some(batch, batch->done);
}

int denet_batch_text(const struct denet_batch *batch, unsigned place, struct denet_text *out_text) {
  *out_text = denet_buffer_text(&batch->files[place].text);
  return batch->files[place].outcome;
}
