#include "core/model/process_table.h"

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

/* There is room: denet_roster_begin() and denet_roster_add_gone() have made it. */
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

struct denet_process *denet_roster_unseen(const struct denet_roster *roster, pid_t limit) {
  if (roster->cursor == roster->before_count || roster->before[roster->cursor]->pid >= limit)
    return NULL;
  struct denet_process *process = roster->before[roster->cursor];
  process->is_new = false; /* it was, in the last pass */
  return process;
}

void denet_roster_miss(struct denet_roster *roster) {
  bury(roster, roster->before[roster->cursor++]);
}

static struct denet_process *make_process(pid_t pid) {
  struct denet_process *process = calloc(1, sizeof(*process));
  if (process) {
    process->pid = pid;
    process->is_new = true;
  }
  return process;
}

static int append_new(struct denet_roster *roster, pid_t pid, struct denet_process **out_process) {
  struct denet_process *process = make_process(pid);
  if (!process)
    return -ENOMEM;
  int error = append(roster, process);
  if (error)
    free_process(process);
  else
    *out_process = process;
  return error;
}

int denet_roster_see(struct denet_roster *roster, pid_t pid, struct denet_process **out_process) {
  while (denet_roster_unseen(roster, pid))
    denet_roster_miss(roster);
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

int denet_roster_add_gone(struct denet_roster *roster, pid_t pid,
                          struct denet_process **out_process) {
  /* The one that was shown last and all that were there before may still have to go in as well. */
  size_t most = roster->gone_count + 2 + (roster->before_count - roster->cursor);
  struct denet_process *process = make_process(pid);
  if (!process || reserve(&roster->gone, most, &roster->gone_capacity)) {
    free(process);
    return -ENOMEM;
  }
  bury(roster, process);
  *out_process = process;
  return 0;
}

static int compare_gone(const void *a, const void *b) {
  const struct denet_process *left = *(struct denet_process *const *)a;
  const struct denet_process *right = *(struct denet_process *const *)b;
  if (left->pid != right->pid)
    return left->pid < right->pid ? -1 : 1;
  return (left->born_ns > right->born_ns) - (left->born_ns < right->born_ns);
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
  roster->cursor = 0;
  if (roster->gone_count)
    qsort(roster->gone, roster->gone_count, sizeof(struct denet_process *), compare_gone);
}

/* Looks in the list from low until below high. */
static struct denet_process *find(struct denet_process **list, size_t low, size_t high, pid_t pid) {
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (list[middle]->pid == pid)
      return list[middle];
    if (list[middle]->pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

struct denet_process *denet_roster_find(const struct denet_roster *roster, pid_t pid) {
  return find(roster->processes, 0, roster->count, pid);
}

const struct denet_process *denet_roster_expect(const struct denet_roster *roster, pid_t pid) {
  return find(roster->before, roster->cursor, roster->before_count, pid);
}

struct denet_process *denet_roster_find_gone(const struct denet_roster *roster, pid_t pid,
                                             uint64_t born_ns) {
  size_t low = 0, high = roster->gone_count; /* the first that is too young or of another pid */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct denet_process *process = roster->gone[middle];
    if (process->pid < pid || (process->pid == pid && process->born_ns <= born_ns))
      low = middle + 1;
    else
      high = middle;
  }
  return low && roster->gone[low - 1]->pid == pid ? roster->gone[low - 1] : NULL;
}
