#include "core/source/bpf/task_sums.h"

#include "core/source/bpf/records.h"
#include "core/util/array.h"

#include <stdlib.h>

static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_BPF_COMPACT:
    return sizeof(struct denet_bpf_compact);
  case DENET_BPF_PROCESS:
    return sizeof(struct denet_bpf_process);
  case DENET_BPF_THREAD:
    return sizeof(struct denet_bpf_thread);
  default:
    return 0;
  }
}

struct denet_bpf_head *denet_task_sums_next(const struct denet_buffer *records, size_t *offset) {
  size_t at = *offset;
  return denet_records_next(records, size_of, offset) ? (void *)(records->bytes + at) : NULL;
}

void denet_task_sums_done(struct denet_task_sums *task_sums) {
  free(task_sums->sums);
  *task_sums = (struct denet_task_sums){0};
}

void denet_task_sums_clear(struct denet_task_sums *task_sums) { task_sums->count = 0; }

int denet_task_sums_add(struct denet_task_sums *task_sums, struct denet_bpf_process *record) {
  int error = denet_array_reserve(&task_sums->sums, &task_sums->capacity, task_sums->count + 1,
                                  sizeof(*task_sums->sums));
  if (!error)
    task_sums->sums[task_sums->count++] = (struct denet_task_sum){record, 1};
  return error;
}

static int compare_pid(const void *item, const void *key) {
  denet_u32 left = ((const struct denet_task_sum *)item)->record->identity.compact.head.pid;
  denet_u32 right = *(const denet_u32 *)key;
  return (left > right) - (left < right);
}

static struct denet_task_sum *find_sum(const struct denet_task_sums *task_sums, denet_u32 pid) {
  size_t at = denet_array_lower_bound(task_sums->sums, task_sums->count, sizeof(*task_sums->sums),
                                      &pid, compare_pid);
  bool is_found = at < task_sums->count && !compare_pid(&task_sums->sums[at], &pid);
  return is_found ? &task_sums->sums[at] : NULL;
}

const struct denet_task_sum *denet_task_sums_find(const struct denet_task_sums *task_sums,
                                                  pid_t pid) {
  return find_sum(task_sums, (denet_u32)pid);
}

bool denet_task_sum_is_sound(const struct denet_task_sum *task_sum) {
  return task_sum->threads_seen <= task_sum->record->identity.threads;
}

static void add_thread(struct denet_task_sum *task_sum, const struct denet_bpf_thread *thread) {
  struct denet_bpf_process *record = task_sum->record;
  /* A usage consists of counters only. */
  denet_u64 *sums = (denet_u64 *)&record->usage;
  const denet_u64 *parts = (const denet_u64 *)&thread->usage;
  for (size_t i = 0; i < sizeof(record->usage) / sizeof(*sums); i++)
    sums[i] += parts[i];
  task_sum->threads_seen++;
  record->identity.state |= thread->state & DENET_BPF_ON_CPU;
  if (!record->vm_pages) { /* the main thread has no mm_struct any more */
    record->rss_pages = thread->rss_pages;
    record->vm_pages = thread->vm_pages;
  }
}

/* The iterator lists tasks by their ids: a thread may come before its process. */
void denet_task_sums_add_threads(struct denet_task_sums *task_sums,
                                 const struct denet_buffer *records) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  while ((head = denet_task_sums_next(records, &offset))) {
    struct denet_task_sum *task_sum =
        head->kind == DENET_BPF_THREAD ? find_sum(task_sums, head->pid) : NULL;
    if (task_sum)
      add_thread(task_sum, (const struct denet_bpf_thread *)head);
  }
}
