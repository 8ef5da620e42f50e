#include "tests/unit/read_at_once.h"

#include "core/source/procfs/proc_file.h"
#include "core/source/procfs/read_worker.h"
#include "core/util/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool read_at_once_stalls;

struct denet_read_worker {
  int dir;
  unsigned done, count;
  struct file {
    char path[64];
    size_t limit;
    struct denet_buffer text;
    int outcome;
  } files[DENET_READ_WORKER_FILES];
};

struct denet_read_worker *denet_read_worker_new(int dir) {
  struct denet_read_worker *worker = calloc(1, sizeof(*worker));
  if (worker)
    worker->dir = dir;
  return worker;
}

void denet_read_worker_free(struct denet_read_worker *worker) {
  for (unsigned i = 0; worker && i < DENET_READ_WORKER_FILES; i++)
    denet_buffer_done(&worker->files[i].text);
  free(worker);
}

void denet_read_worker_begin(struct denet_read_worker *worker) { worker->done = worker->count = 0; }

void denet_read_worker_begin_pass(struct denet_read_worker *worker) {}

unsigned denet_read_worker_add(struct denet_read_worker *worker, pid_t pid, const char *path,
                               size_t limit) {
  struct file *file = &worker->files[worker->count];
  snprintf(file->path, sizeof(file->path), "%s", path);
  file->limit = limit;
  return worker->count++;
}

void denet_read_worker_read(struct denet_read_worker *worker) {
  for (; worker->done < worker->count; worker->done++) {
    struct file *file = &worker->files[worker->done];
    bool stalls = read_at_once_stalls && !strncmp(file->path, "102/", strlen("102/"));
    file->outcome = stalls
                        ? DENET_LATER
                        : denet_proc_file_read(&file->text, worker->dir, file->path, file->limit);
  }
}

int denet_read_worker_text(const struct denet_read_worker *worker, unsigned index,
                           struct denet_text *out_text) {
  *out_text = denet_buffer_text(&worker->files[index].text);
  return worker->files[index].outcome;
}

int denet_read_worker_read_text(struct denet_read_worker *worker, const struct denet_read_key *key,
                                const char *path, size_t limit, struct denet_buffer *out) {
  return read_at_once_stalls ? DENET_LATER : denet_proc_file_read(out, worker->dir, path, limit);
}
