#include "core/source/bpf/task_sums.h"

#include "core/source/bpf/records.h"

#include <errno.h>
#include <stdlib.h>

static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_BPF_BRIEF:
    return sizeof(struct denet_bpf_brief);
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
  if (task_sums->count == task_sums->capacity) {
    size_t capacity = task_sums->capacity ? 2 * task_sums->capacity : 512;
    struct denet_task_sum *grown = reallocarray(task_sums->sums, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    task_sums->sums = grown;
    task_sums->capacity = capacity;
  }
  task_sums->sums[task_sums->count++] = (struct denet_task_sum){record, 1};
  return 0;
}

static struct denet_task_sum *find_sum(const struct denet_task_sums *task_sums, denet_u32 pid) {
  size_t low = 0, high = task_sums->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct denet_task_sum *task_sum = &task_sums->sums[middle];
    denet_u32 there = task_sum->record->identity.brief.head.pid;
    if (there == pid)
      return task_sum;
    if (there < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
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
  /* A usage is nothing but counters. */
  denet_u64 *sums = (denet_u64 *)&record->usage;
  const denet_u64 *parts = (const denet_u64 *)&thread->usage;
  for (size_t i = 0; i < sizeof(record->usage) / sizeof(*sums); i++)
    sums[i] += parts[i];
  task_sum->threads_seen++;
  record->identity.state |= thread->state & DENET_BPF_ON_CPU;
  if (!record->vm_pages) { /* the main thread has no memory any more */
    record->rss_pages = thread->rss_pages;
    record->vm_pages = thread->vm_pages;
  }
}

/* Threads come in the order of their numbers, not behind their processes. */
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
