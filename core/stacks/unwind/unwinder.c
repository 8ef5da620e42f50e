#include "core/stacks/unwind/unwinder.h"

#include "core/stacks/unwind/address_space.h"
#include "core/stacks/unwind/stack_cache.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define BUCKETS 1024
#define PROCESSES_MOST 8192 /* known at a time: more, and the ends of some were missed */
#define REFRESH_NS UINT64_C(1000000000)
#define KNOWN_BYTES_MOST (UINT64_C(64) << 20) /* of all processes' known stacks */

struct known_process {
  uint64_t start_ns, exec_id;
  bool is_met;          /* its mappings are known */
  uint64_t space_bytes; /* as counted */
  struct denet_address_space space;
  struct denet_stack_cache stacks;
  struct known_process *next; /* of the same bucket */
};

struct denet_unwinder {
  char *proc_path;
  struct known_process *buckets[BUCKETS];
  struct denet_dsos images;
  struct denet_unwinder_stats stats;
  struct denet_cursor walk;   /* too large for a thread's stack */
  struct denet_buffer frames; /* of the stack that is told */
};

/* The frames on the way: addresses within the instruction that called, or that is run. */
struct path {
  uint64_t addresses[DENET_FRAMES_MOST];
  size_t count;
  bool is_truncated;
  bool left_mappings; /* an address was met that the mappings do not have */
};

int denet_unwinder_new(const char *proc_path, uint64_t symbol_bytes,
                       struct denet_unwinder **out_unwinder) {
  struct denet_unwinder *unwinder = calloc(1, sizeof(*unwinder));
  char *path = strdup(proc_path);
  if (!unwinder || !path) {
    free(unwinder);
    free(path);
    return -ENOMEM;
  }
  unwinder->proc_path = path;
  unwinder->images.budget_bytes = symbol_bytes;
  *out_unwinder = unwinder;
  return 0;
}

static void drop_stacks(struct denet_unwinder *unwinder, struct known_process *process) {
  unwinder->stats.cache_bytes -= process->stacks.bytes;
  denet_stack_cache_clear(&process->stacks);
}

static void count_space(struct denet_unwinder *unwinder, struct known_process *process) {
  uint64_t bytes = denet_address_space_bytes(&process->space);
  unwinder->stats.space_bytes += bytes - process->space_bytes;
  process->space_bytes = bytes;
}

static void free_process(struct denet_unwinder *unwinder, struct known_process *process) {
  drop_stacks(unwinder, process);
  unwinder->stats.space_bytes -= process->space_bytes;
  denet_address_space_done(&process->space);
  free(process);
  unwinder->stats.processes--;
}

/* Those that are still there are met again with their next stack. */
static void drop_processes(struct denet_unwinder *unwinder) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct known_process *process = unwinder->buckets[i], *next; process; process = next) {
      next = process->next;
      free_process(unwinder, process);
    }
  memset(unwinder->buckets, 0, sizeof(unwinder->buckets));
}

void denet_unwinder_free(struct denet_unwinder *unwinder) {
  if (!unwinder)
    return;
  drop_processes(unwinder);
  denet_dsos_done(&unwinder->images);
  denet_buffer_done(&unwinder->frames);
  free(unwinder->proc_path);
  free(unwinder);
}

/* The link that leads to the process, or to where it would be put. */
static struct known_process **find_link(struct denet_unwinder *unwinder, pid_t pid,
                                        uint64_t start_ns) {
  struct known_process **link = &unwinder->buckets[(size_t)pid % BUCKETS];
  while (*link && ((*link)->space.pid != pid || (*link)->start_ns != start_ns))
    link = &(*link)->next;
  return link;
}

/* Reads the mappings, which may have changed: the stacks that were known are not any more. */
static int read_space(struct denet_unwinder *unwinder, struct known_process *process) {
  int error = denet_address_space_read(&process->space);
  if (error)
    return error;
  unwinder->stats.mappings_read++;
  drop_stacks(unwinder, process);
  process->is_met = true;
  return 0;
}

static int take_over(struct denet_unwinder *unwinder, struct known_process *process,
                     pid_t parent_pid, uint64_t parent_start_ns) {
  const struct known_process *parent = *find_link(unwinder, parent_pid, parent_start_ns);
  if (parent_pid == 0 || !parent || !parent->is_met)
    return -ESRCH;
  int error = denet_address_space_copy(&parent->space, &process->space);
  process->is_met = !error;
  return error;
}

static int add_process(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns,
                       struct known_process **out_process) {
  struct known_process **link = find_link(unwinder, pid, start_ns);
  struct known_process *process = *link;
  if (!process) {
    if (unwinder->stats.processes >= PROCESSES_MOST)
      drop_processes(unwinder);
    process = calloc(1, sizeof(*process));
    if (!process)
      return -ENOMEM;
    link = find_link(unwinder, pid, start_ns);
    process->space.pid = pid;
    process->space.images = &unwinder->images;
    process->space.proc_path = unwinder->proc_path;
    process->start_ns = start_ns;
    *link = process;
    unwinder->stats.processes++;
  }
  *out_process = process;
  return 0;
}

static int meet(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns, uint64_t exec_id,
                pid_t parent_pid, uint64_t parent_start_ns) {
  struct known_process *process = *find_link(unwinder, pid, start_ns);
  if (process && process->is_met && process->exec_id == exec_id)
    return 0;
  int error = add_process(unwinder, pid, start_ns, &process);
  if (error)
    return error;
  if (process->exec_id != exec_id) {
    drop_stacks(unwinder, process);
    denet_address_space_done(&process->space);
    process->is_met = false;
    process->exec_id = exec_id;
  }
  error = read_space(unwinder, process);
  if (error && take_over(unwinder, process, parent_pid, parent_start_ns) == 0)
    error = 0;
  count_space(unwinder, process);
  if (error)
    denet_unwinder_forget(unwinder, pid, start_ns);
  return error;
}

static struct known_process *find_largest(struct denet_unwinder *unwinder) {
  struct known_process *largest = NULL;
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct known_process *process = unwinder->buckets[i]; process; process = process->next)
      if (!largest || process->space_bytes > largest->space_bytes)
        largest = process;
  return largest;
}

/* Not while a process is in use. */
static void limit_spaces(struct denet_unwinder *unwinder) {
  while (unwinder->stats.space_bytes > DENET_SPACES_MOST) {
    const struct known_process *largest = find_largest(unwinder);
    denet_unwinder_forget(unwinder, largest->space.pid, largest->start_ns);
  }
}

int denet_unwinder_meet(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns,
                        uint64_t exec_id, pid_t parent_pid, uint64_t parent_start_ns) {
  int error = meet(unwinder, pid, start_ns, exec_id, parent_pid, parent_start_ns);
  limit_spaces(unwinder);
  return error;
}

void denet_unwinder_forget(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns) {
  struct known_process **link = find_link(unwinder, pid, start_ns), *process = *link;
  if (!process)
    return;
  *link = process->next;
  free_process(unwinder, process);
}

/* By the unwind table of the file that the address is in. False if there is no entry for it. */
static bool step_by_table(struct denet_unwinder *unwinder, struct denet_dso *image,
                          uint64_t address, bool *out_is_signal, enum denet_step *out_step) {
  const struct denet_unwind_table *table =
      image ? denet_dsos_table(&unwinder->images, image) : NULL;
  return table && denet_unwind_table_step(table, address, &unwinder->walk, out_is_signal, out_step);
}

/* The chain of frame pointers ends, where it is kept, with 0. */
static enum denet_step step_by_frame_pointer(struct denet_cursor *walk, size_t depth) {
  uint64_t frame;
  if (denet_cursor_frame_pointer(walk))
    return DENET_STEP_DONE;
  bool is_end = depth > 0 && denet_cursor_use_register(walk, DENET_RBP, &frame) && frame == 0;
  return is_end ? DENET_STEP_END : DENET_STEP_CUT;
}

/* From the frame at *is_exact (its address is of the instruction itself, not behind a call) to its
 * caller. */
static enum denet_step step(struct denet_unwinder *unwinder, struct known_process *process,
                            bool *is_exact, struct path *path) {
  struct denet_cursor *walk = &unwinder->walk;
  struct denet_dso *image = NULL;
  uint64_t pc = 0, file_address = 0, stack_pointer = walk->now.value[DENET_RSP];
  denet_cursor_use_register(walk, DENET_RIP, &pc);
  uint64_t address = pc - (*is_exact ? 0 : 1);
  bool is_signal = false;
  enum denet_step outcome;
  bool is_mapped = denet_address_space_find(&process->space, address, &image, &file_address);
  if (pc == 0 && path->count > 0)
    return DENET_STEP_END;
  path->left_mappings |= !is_mapped;
  /* What a wrong step would lead to is not shown; the leaf is where it is. */
  if (!is_mapped && path->count > 0)
    return DENET_STEP_CUT;
  uint64_t *shown = &path->addresses[path->count++];
  *shown = address;
  if (!step_by_table(unwinder, image, file_address, &is_signal, &outcome))
    outcome = step_by_frame_pointer(walk, path->count - 1);
  if (is_signal) /* entered by the kernel, at its first instruction */
    *shown = pc;
  if (outcome == DENET_STEP_DONE && walk->now.value[DENET_RSP] < stack_pointer && !is_signal)
    return DENET_STEP_CUT;
  *is_exact = is_signal;
  return outcome;
}

static void walk_up(struct denet_unwinder *unwinder, struct known_process *process,
                    const struct denet_snapshot *snapshot, struct path *path) {
  enum denet_step outcome = DENET_STEP_DONE;
  bool is_exact = true;
  path->count = 0;
  path->left_mappings = false;
  denet_cursor_start(&unwinder->walk, snapshot);
  while (outcome == DENET_STEP_DONE && path->count < DENET_FRAMES_MOST)
    outcome = step(unwinder, process, &is_exact, path);
  path->is_truncated = outcome != DENET_STEP_END;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The way up; where it left what is known of the process's code, that is read again first. */
static void find_path(struct denet_unwinder *unwinder, struct known_process *process,
                      const struct denet_snapshot *snapshot, struct path *path) {
  walk_up(unwinder, process, snapshot, path);
  uint64_t now = now_ns();
  if (!path->left_mappings || now - process->space.read_ns < REFRESH_NS)
    return;
  process->space.read_ns = now; /* also when it cannot be read any more */
  if (read_space(unwinder, process) == 0)
    walk_up(unwinder, process, snapshot, path);
}

/* *out_certain: asking later would tell no more. */
static int tell_path(struct denet_unwinder *unwinder, struct known_process *process,
                     const struct path *path, bool *out_certain) {
  struct denet_buffer *out = &unwinder->frames;
  int error = 0;
  denet_buffer_clear(out);
  *out_certain = true;
  for (size_t i = 0; i < path->count && !error; i++) {
    bool is_certain;
    error = denet_address_space_tell(&process->space, path->addresses[i], out, &is_certain);
    if (!error)
      error = denet_buffer_append(out, "", 1);
    *out_certain &= is_certain;
  }
  if (!error && path->is_truncated)
    error = denet_buffer_append(out, DENET_TRUNCATED, sizeof(DENET_TRUNCATED));
  return error;
}

static void keep_stack(struct denet_unwinder *unwinder, struct known_process *process,
                       bool is_truncated) {
  if (unwinder->stats.cache_bytes > KNOWN_BYTES_MOST)
    drop_stacks(unwinder, process);
  unwinder->stats.cache_bytes -= process->stacks.bytes;
  denet_stack_cache_add(&process->stacks, &unwinder->walk, denet_buffer_text(&unwinder->frames),
                        is_truncated);
  unwinder->stats.cache_bytes += process->stacks.bytes;
}

static int unwind(struct denet_unwinder *unwinder, struct known_process *process,
                  const struct denet_snapshot *snapshot, struct denet_buffer *out) {
  struct path path;
  bool is_certain;
  find_path(unwinder, process, snapshot, &path);
  int error = tell_path(unwinder, process, &path, &is_certain);
  if (error)
    return error;
  unwinder->stats.unwound++;
  unwinder->stats.truncated += path.is_truncated ? 1 : 0;
  if (is_certain && !path.left_mappings)
    keep_stack(unwinder, process, path.is_truncated);
  return denet_buffer_append(out, unwinder->frames.bytes, unwinder->frames.length);
}

int denet_unwinder_frames(struct denet_unwinder *unwinder, const struct denet_snapshot *snapshot,
                          struct denet_buffer *out) {
  struct known_process nobody = {
      .space = {.images = &unwinder->images, .proc_path = unwinder->proc_path}};
  struct known_process *process = *find_link(unwinder, snapshot->pid, snapshot->start_ns);
  struct denet_text frames;
  bool truncated, is_late = process && process->exec_id > snapshot->exec_id;
  int error =
      is_late ? -ESRCH : meet(unwinder, snapshot->pid, snapshot->start_ns, snapshot->exec_id, 0, 0);
  if (error == -ENOMEM)
    return error;
  /* Of a process that exited or exec'd before anybody looked, the addresses are all there is. */
  process = error ? NULL : *find_link(unwinder, snapshot->pid, snapshot->start_ns);
  if (!process)
    process = &nobody;
  if (!denet_stack_cache_find(&process->stacks, snapshot, &frames, &truncated)) {
    error = unwind(unwinder, process, snapshot, out);
    if (process != &nobody)
      count_space(unwinder, process);
    limit_spaces(unwinder);
    return error;
  }
  unwinder->stats.cache_hits++;
  unwinder->stats.truncated += truncated ? 1 : 0;
  return denet_buffer_append(out, frames.bytes, frames.length);
}

void denet_unwinder_stats(const struct denet_unwinder *unwinder,
                          struct denet_unwinder_stats *out_stats) {
  *out_stats = unwinder->stats;
  out_stats->files = unwinder->images.count;
  out_stats->symbol_bytes = unwinder->images.memory_bytes;
}
