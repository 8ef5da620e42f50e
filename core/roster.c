#include "roster.h"

#include <errno.h>
#include <stdlib.h>

static void free_process(struct denet_process *process) {
  denet_process_done(process);
  free(process);
}

static void free_list(struct denet_process **list, size_t count) {
  for (size_t i = 0; i < count; i++)
    free_process(list[i]);
  free(list);
}

void denet_roster_done(struct denet_roster *roster) {
  if (!roster)
    return;
  free_list(roster->processes, roster->count);
  free_list(roster->gone, roster->gone_count);
  free(roster->before);
  *roster = (struct denet_roster){0};
}

/* Makes room for one more in a list. */
static int reserve(struct denet_process ***list, size_t count, size_t *capacity) {
  if (count < *capacity)
    return 0;
  size_t more = *capacity ? 2 * *capacity : 256;
  struct denet_process **grown = reallocarray(*list, more, sizeof(struct denet_process *));
  if (!grown)
    return -ENOMEM;
  *list = grown;
  *capacity = more;
  return 0;
}

static int append(struct denet_roster *roster, struct denet_process *process) {
  int error = reserve(&roster->processes, roster->count, &roster->capacity);
  if (!error)
    roster->processes[roster->count++] = process;
  return error;
}

static int bury(struct denet_roster *roster, struct denet_process *process) {
  int error = reserve(&roster->gone, roster->gone_count, &roster->gone_capacity);
  if (!error)
    roster->gone[roster->gone_count++] = process;
  return error;
}

void denet_roster_begin(struct denet_roster *roster) {
  for (size_t i = 0; i < roster->gone_count; i++)
    free_process(roster->gone[i]);
  roster->gone_count = 0;

  struct denet_process **list = roster->processes;
  size_t capacity = roster->capacity;
  roster->processes = roster->before;
  roster->capacity = roster->before_capacity;
  roster->before = list;
  roster->before_capacity = capacity;
  roster->before_count = roster->count;
  roster->count = 0;
  roster->cursor = 0;
}

/* Gives up the processes before pid that were not shown. */
static int pass_over(struct denet_roster *roster, pid_t pid) {
  for (; roster->cursor < roster->before_count; roster->cursor++) {
    struct denet_process *process = roster->before[roster->cursor];
    if (process->pid >= pid)
      return 0;
    int error = bury(roster, process);
    if (error)
      return error;
  }
  return 0;
}

static int append_new(struct denet_roster *roster, pid_t pid, struct denet_process **out_process) {
  struct denet_process *process = calloc(1, sizeof(*process));
  if (!process)
    return -ENOMEM;
  process->pid = pid;
  process->is_new = true;
  int error = append(roster, process);
  if (error)
    free_process(process);
  else
    *out_process = process;
  return error;
}

int denet_roster_see(struct denet_roster *roster, pid_t pid, struct denet_process **out_process) {
  int error = pass_over(roster, pid);
  if (error)
    return error;
  if (roster->cursor == roster->before_count || roster->before[roster->cursor]->pid != pid)
    return append_new(roster, pid, out_process);
  struct denet_process *process = roster->before[roster->cursor];
  error = append(roster, process);
  if (error)
    return error;
  roster->cursor++;
  process->is_new = false;
  *out_process = process;
  return 0;
}

int denet_roster_replace(struct denet_roster *roster, struct denet_process **out_process) {
  struct denet_process *old = roster->processes[roster->count - 1];
  int error = bury(roster, old);
  if (error)
    return error;
  roster->count--;
  return append_new(roster, old->pid, out_process);
}

void denet_roster_unsee(struct denet_roster *roster) {
  struct denet_process *process = roster->processes[--roster->count];
  if (process->is_new)
    free_process(process);
  else
    roster->cursor--;
}

int denet_roster_end(struct denet_roster *roster, bool complete) {
  for (; roster->cursor < roster->before_count; roster->cursor++) {
    struct denet_process *process = roster->before[roster->cursor];
    if (complete && !bury(roster, process))
      continue;
    process->is_new = false;
    if (append(roster, process))
      return -ENOMEM;
  }
  roster->before_count = 0;
  return 0;
}

struct denet_process *denet_roster_find(const struct denet_roster *roster, pid_t pid) {
  size_t low = 0, high = roster->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct denet_process *process = roster->processes[middle];
    if (process->pid == pid)
      return process;
    if (process->pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}
