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
  if (count <= *capacity)
    return 0;
  size_t more = count > 2 * *capacity ? count : 2 * *capacity;
  struct denet_process **grown = reallocarray(*list, more, sizeof(struct denet_process *));
  if (!grown)
    return -ENOMEM;
  *list = grown;
  *capacity = more;
  return 0;
}

static int append(struct denet_roster *roster, struct denet_process *process) {
  int error = reserve(&roster->processes, roster->count + 1, &roster->capacity);
  if (!error)
    roster->processes[roster->count++] = process;
  return error;
}

/* There is room: denet_roster_begin() has made it. */
static void bury(struct denet_roster *roster, struct denet_process *process) {
  roster->gone[roster->gone_count++] = process;
}

int denet_roster_begin(struct denet_roster *roster) {
  /* All that are there now may stay, and all may be gone. */
  if (reserve(&roster->before, roster->count, &roster->before_capacity) ||
      reserve(&roster->gone, roster->count, &roster->gone_capacity))
    return -ENOMEM;
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
  return 0;
}

/* Gives up the processes before pid that were not shown. */
static void pass_over(struct denet_roster *roster, pid_t pid) {
  for (; roster->cursor < roster->before_count; roster->cursor++) {
    struct denet_process *process = roster->before[roster->cursor];
    if (process->pid >= pid)
      return;
    bury(roster, process);
  }
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
  pass_over(roster, pid);
  if (roster->cursor == roster->before_count || roster->before[roster->cursor]->pid != pid)
    return append_new(roster, pid, out_process);
  struct denet_process *process = roster->before[roster->cursor];
  int error = append(roster, process);
  if (error)
    return error;
  roster->cursor++;
  process->is_new = false;
  *out_process = process;
  return 0;
}

int denet_roster_replace(struct denet_roster *roster, struct denet_process **out_process) {
  struct denet_process *old = roster->processes[--roster->count];
  int error = append_new(roster, old->pid, out_process);
  if (error)
    roster->processes[roster->count++] = old;
  else
    bury(roster, old);
  return error;
}

void denet_roster_unsee(struct denet_roster *roster) {
  struct denet_process *process = roster->processes[--roster->count];
  if (process->is_new)
    free_process(process);
  else
    roster->cursor--;
}

void denet_roster_end(struct denet_roster *roster, bool complete) {
  for (; roster->cursor < roster->before_count; roster->cursor++) {
    struct denet_process *process = roster->before[roster->cursor];
    process->is_new = false;
    /* New ones may have taken the room of those that were there. */
    if (complete || append(roster, process))
      bury(roster, process);
  }
  roster->before_count = 0;
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
