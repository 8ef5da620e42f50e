#include "core/model/process_table.h"

#include "core/util/array.h"

#include <errno.h>
#include <stdlib.h>

static void free_processes(struct denet_process **list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    denet_process_done(list[i]);
    free(list[i]);
  }
}

void denet_process_table_done(struct denet_process_table *table) {
  if (!table)
    return;
  free_processes(table->processes, table->count);
  free_processes(table->gone, table->gone_count);
  free(table->processes);
  free(table->gone);
  free(table->before);
  *table = (struct denet_process_table){0};
}

static int reserve(struct denet_process ***list, size_t *capacity, size_t wanted) {
  return denet_array_reserve(list, capacity, wanted, sizeof(struct denet_process *));
}

int denet_process_table_begin(struct denet_process_table *table) {
  /* All present processes may stay, and all may be gone. */
  if (reserve(&table->before, &table->before_capacity, table->count) ||
      reserve(&table->gone, &table->gone_capacity, table->count))
    return -ENOMEM;
  free_processes(table->gone, table->gone_count);
  table->gone_count = 0;

  struct denet_process **list = table->processes;
  size_t capacity = table->capacity;
  table->processes = table->before;
  table->capacity = table->before_capacity;
  table->before = list;
  table->before_capacity = capacity;
  table->before_count = table->count;
  table->count = 0;
  table->cursor = 0;
  return 0;
}

/* Makes a process, and leaves room for those that the pass has not come to: each may be appended to
 * processes or to gone. The last one upserted may be gone too. */
static int make_process(struct denet_process_table *table, pid_t pid,
                        struct denet_process **out_process) {
  size_t unseen = table->before_count - table->cursor;
  if (reserve(&table->processes, &table->capacity, table->count + unseen + 1) ||
      reserve(&table->gone, &table->gone_capacity, table->gone_count + unseen + 2))
    return -ENOMEM;
  struct denet_process *process = calloc(1, sizeof(*process));
  if (!process)
    return -ENOMEM;
  process->pid = pid;
  process->is_new = true;
  *out_process = process;
  return 0;
}

struct denet_process *denet_process_table_next_unseen(const struct denet_process_table *table,
                                                      pid_t limit) {
  if (table->cursor == table->before_count || table->before[table->cursor]->pid >= limit)
    return NULL;
  struct denet_process *process = table->before[table->cursor];
  process->is_new = false; /* it may have been new in the last pass */
  return process;
}

void denet_process_table_remove(struct denet_process_table *table) {
  table->gone[table->gone_count++] = table->before[table->cursor++];
}

int denet_process_table_upsert(struct denet_process_table *table, pid_t pid,
                               struct denet_process **out_process) {
  while (denet_process_table_next_unseen(table, pid))
    denet_process_table_remove(table);
  struct denet_process *process = denet_process_table_next_unseen(table, pid + 1);
  if (process)
    table->cursor++;
  else if (make_process(table, pid, &process))
    return -ENOMEM;
  *out_process = table->processes[table->count++] = process;
  return 0;
}

int denet_process_table_replace(struct denet_process_table *table,
                                struct denet_process **out_process) {
  struct denet_process *old = table->processes[table->count - 1], *process;
  if (make_process(table, old->pid, &process))
    return -ENOMEM;
  table->gone[table->gone_count++] = old;
  *out_process = table->processes[table->count - 1] = process;
  return 0;
}

void denet_process_table_undo(struct denet_process_table *table) {
  struct denet_process **last = &table->processes[--table->count];
  if ((*last)->is_new)
    free_processes(last, 1);
  else
    table->cursor--;
}

int denet_process_table_add_gone(struct denet_process_table *table, pid_t pid,
                                 struct denet_process **out_process) {
  if (make_process(table, pid, out_process))
    return -ENOMEM;
  table->gone[table->gone_count++] = *out_process;
  return 0;
}

static int compare_gone(const void *a, const void *b) {
  const struct denet_process *left = *(struct denet_process *const *)a;
  const struct denet_process *right = *(struct denet_process *const *)b;
  if (left->pid != right->pid)
    return left->pid < right->pid ? -1 : 1;
  return (left->born_ns > right->born_ns) - (left->born_ns < right->born_ns);
}

void denet_process_table_end(struct denet_process_table *table, bool complete) {
  while (table->cursor < table->before_count) {
    struct denet_process *process = table->before[table->cursor++];
    process->is_new = false;
    if (complete)
      table->gone[table->gone_count++] = process;
    else
      table->processes[table->count++] = process;
  }
  table->before_count = 0;
  table->cursor = 0;
  if (table->gone_count)
    qsort(table->gone, table->gone_count, sizeof(struct denet_process *), compare_gone);
}

static int compare_pid(const void *item, const void *key) {
  pid_t pid = (*(struct denet_process *const *)item)->pid, wanted = *(const pid_t *)key;
  return (pid > wanted) - (pid < wanted);
}

static struct denet_process *find(struct denet_process **list, size_t count, pid_t pid) {
  size_t at = denet_array_lower_bound(list, count, sizeof(*list), &pid, compare_pid);
  return at < count && list[at]->pid == pid ? list[at] : NULL;
}

struct denet_process *denet_process_table_find(const struct denet_process_table *table, pid_t pid) {
  return find(table->processes, table->count, pid);
}

const struct denet_process *denet_process_table_peek(const struct denet_process_table *table,
                                                     pid_t pid) {
  if (!table->before)
    return NULL;
  return find(table->before + table->cursor, table->before_count - table->cursor, pid);
}

struct denet_process *denet_process_table_find_gone(const struct denet_process_table *table,
                                                    pid_t pid, uint64_t born_ns) {
  struct denet_process *found = NULL;
  size_t at = denet_array_lower_bound(table->gone, table->gone_count, sizeof(*table->gone), &pid,
                                      compare_pid);
  for (; at < table->gone_count && table->gone[at]->pid == pid; at++)
    if (table->gone[at]->born_ns <= born_ns)
      found = table->gone[at];
  return found;
}

struct denet_process *denet_process_table_find_parent(const struct denet_process_table *table,
                                                      const struct denet_process *process) {
  struct denet_process *parent = denet_process_table_find(table, process->parent_pid);
  if (parent && parent->born_ns <= process->born_ns)
    return parent;
  return denet_process_table_find_gone(table, process->parent_pid, process->born_ns);
}
