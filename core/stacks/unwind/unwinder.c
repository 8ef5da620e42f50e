#include "core/stacks/unwind/unwinder.h"

#include "core/stacks/unwind/address_space.h"
#include "core/stacks/unwind/stack_cache.h"
#include "core/util/cleanup.h"
#include "core/util/clock.h"

#include <errno.h>
#include <string.h>

#define BUCKETS 1024
#define PROCESSES_MOST 8192 /* open at a time: more, and the ends of some were missed */
#define REFRESH_NS UINT64_C(1000000000)
#define CACHE_BYTES_MOST (UINT64_C(64) << 20) /* of all processes' known stacks */

struct process {
  uint64_t start_ns, exec_id;
  uint64_t space_bytes; /* as counted in the stats */
  struct denet_address_space space;
  struct denet_stack_cache stacks;
  struct process *next; /* of the same bucket */
};

struct denet_unwinder {
  const char *proc_path;
  struct process *buckets[BUCKETS]; /* by pid */
  struct denet_dsos dsos;
  struct denet_unwinder_stats stats;
  struct denet_cursor cursor; /* too large for a thread's stack */
};

/* The frames of a stack: addresses within the instruction that called, or that is run. */
struct path {
  uint64_t addresses[DENET_FRAMES_MOST];
  size_t count;
  bool is_truncated;
  bool left_mappings; /* it has come to an address that the mappings do not have */
};

int denet_unwinder_new(const char *proc_path, uint64_t symbol_bytes,
                       struct denet_unwinder **out_unwinder) {
  struct denet_unwinder *unwinder = calloc(1, sizeof(*unwinder));
  if (!unwinder)
    return -ENOMEM;
  unwinder->proc_path = proc_path;
  unwinder->dsos.budget_bytes = symbol_bytes;
  *out_unwinder = unwinder;
  return 0;
}

static void clear_stacks(struct denet_unwinder *unwinder, struct process *process) {
  unwinder->stats.cache_bytes -= process->stacks.bytes;
  denet_stack_cache_clear(&process->stacks);
}

static void count_space(struct denet_unwinder *unwinder, struct process *process) {
  uint64_t bytes = denet_address_space_bytes(&process->space);
  unwinder->stats.space_bytes += bytes - process->space_bytes;
  process->space_bytes = bytes;
}

static void remove_process(struct denet_unwinder *unwinder, struct process **link) {
  struct process *process = *link;
  *link = process->next;
  clear_stacks(unwinder, process);
  unwinder->stats.space_bytes -= process->space_bytes;
  denet_address_space_done(&process->space);
  free(process);
  unwinder->stats.processes--;
}

void denet_unwinder_close_all(struct denet_unwinder *unwinder) {
  for (size_t i = 0; i < BUCKETS; i++)
    while (unwinder->buckets[i])
      remove_process(unwinder, &unwinder->buckets[i]);
}

void denet_unwinder_free(struct denet_unwinder *unwinder) {
  if (!unwinder)
    return;
  denet_unwinder_close_all(unwinder);
  denet_dsos_done(&unwinder->dsos);
  free(unwinder);
}

/* Returns the link that leads to the process, or to where it would be. */
static struct process **find_link(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns) {
  struct process **link = &unwinder->buckets[(size_t)pid % BUCKETS];
  while (*link && ((*link)->space.pid != pid || (*link)->start_ns != start_ns))
    link = &(*link)->next;
  return link;
}

/* Reads the mappings. The known stacks go, as the mappings may have changed. */
static int read_mappings(struct denet_unwinder *unwinder, struct process *process) {
  int error = denet_address_space_read(&process->space);
  if (error)
    return error;
  unwinder->stats.mappings_read++;
  clear_stacks(unwinder, process);
  return 0;
}

/* Closes the largest processes until all take no more memory than they may. Not while a process is
 * in use. */
static void limit_spaces(struct denet_unwinder *unwinder) {
  while (unwinder->stats.space_bytes > DENET_ADDRESS_SPACES_MOST) {
    struct process **largest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
      for (struct process **link = &unwinder->buckets[i]; *link; link = &(*link)->next)
        if (!largest || (*link)->space_bytes > (*largest)->space_bytes)
          largest = link;
    if (!largest)
      return;
    remove_process(unwinder, largest);
  }
}

int denet_unwinder_open_process(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns,
                                uint64_t exec_id, pid_t parent_pid, uint64_t parent_start_ns) {
  limit_spaces(unwinder); /* first: the stack of a large process comes next, and needs it */
  struct process *process = *find_link(unwinder, pid, start_ns);
  if (process && process->space.maps.count && process->exec_id == exec_id)
    return 0;
  if (!process) {
    /* If there are too many all go: their next stacks open them again. */
    if (unwinder->stats.processes >= PROCESSES_MOST)
      denet_unwinder_close_all(unwinder);
    process = calloc(1, sizeof(*process));
    if (!process)
      return -ENOMEM;
    process->space = (struct denet_address_space){
        .pid = pid, .dsos = &unwinder->dsos, .proc_path = unwinder->proc_path};
    process->start_ns = start_ns;
    *find_link(unwinder, pid, start_ns) = process;
    unwinder->stats.processes++;
  }
  if (process->exec_id != exec_id) {
    clear_stacks(unwinder, process);
    denet_address_space_done(&process->space);
    process->exec_id = exec_id;
  }
  int error = read_mappings(unwinder, process);
  const struct process *parent =
      error && parent_pid ? *find_link(unwinder, parent_pid, parent_start_ns) : NULL;
  if (parent && parent->space.maps.count)
    error = denet_address_space_copy(&parent->space, &process->space);
  count_space(unwinder, process);
  if (error)
    denet_unwinder_close_process(unwinder, pid, start_ns);
  return error;
}

void denet_unwinder_close_process(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns) {
  struct process **link = find_link(unwinder, pid, start_ns);
  if (*link)
    remove_process(unwinder, link);
}

/* --- Frames --- */

/* Adds the frame that the cursor is at to the path, and moves to its caller. *is_exact: the frame's
 * address is of the instruction itself, not behind a call. */
static enum denet_step step(struct denet_unwinder *unwinder, struct process *process,
                            bool *is_exact, struct path *path) {
  struct denet_cursor *cursor = &unwinder->cursor;
  struct denet_dso *dso = NULL;
  uint64_t pc = 0, file_address = 0, stack_pointer = cursor->now.value[DENET_STACK_POINTER];
  denet_cursor_use_register(cursor, DENET_PROGRAM_COUNTER, &pc);
  uint64_t address = pc - (*is_exact ? 0 : 1);
  bool is_signal = false;
  bool is_mapped = denet_address_space_find(&process->space, address, &dso, &file_address);
  if (pc == 0 && path->count > 0)
    return DENET_STEP_END;
  path->left_mappings |= !is_mapped;
  /* A wrong step may have led here, and the frame is not shown, except the leaf. */
  if (!is_mapped && path->count > 0)
    return DENET_STEP_CUT;
  uint64_t *shown = &path->addresses[path->count++];
  *shown = address;
  const struct denet_unwind_table *table = dso ? denet_dsos_table(&unwinder->dsos, dso) : NULL;
  enum denet_step outcome =
      table ? denet_unwind_table_step(table, file_address, cursor, &is_signal) : DENET_STEP_UNKNOWN;
  if (outcome == DENET_STEP_UNKNOWN)
    outcome = denet_cursor_step_by_frame_pointer(cursor, path->count == 1);
  if (is_signal) /* entered by the kernel, at its first instruction */
    *shown = pc;
  if (outcome == DENET_STEP_DONE && cursor->now.value[DENET_STACK_POINTER] < stack_pointer &&
      !is_signal)
    return DENET_STEP_CUT;
  *is_exact = is_signal;
  return outcome;
}

static void follow_calls(struct denet_unwinder *unwinder, struct process *process,
                         const struct denet_snapshot *snapshot, struct path *path) {
  enum denet_step outcome = DENET_STEP_DONE;
  bool is_exact = true;
  path->count = 0;
  path->left_mappings = false;
  denet_cursor_start(&unwinder->cursor, snapshot);
  while (outcome == DENET_STEP_DONE && path->count < DENET_FRAMES_MOST)
    outcome = step(unwinder, process, &is_exact, path);
  path->is_truncated = outcome != DENET_STEP_END;
}

/* Appends the frames. Where their addresses have left the mappings, these are read again, at most
 * once a second, and the frames are looked for again. */
static int unwind(struct denet_unwinder *unwinder, struct process *process,
                  const struct denet_snapshot *snapshot, struct denet_buffer *out) {
  struct path path;
  size_t start = out->length;
  bool is_certain = true; /* the names would be the same later */
  int error = 0;
  follow_calls(unwinder, process, snapshot, &path);
  uint64_t now_ns = denet_clock_monotonic_ns();
  if (path.left_mappings && now_ns - process->space.read_ns >= REFRESH_NS) {
    process->space.read_ns = now_ns; /* also if it cannot be read any more */
    if (read_mappings(unwinder, process) == 0)
      follow_calls(unwinder, process, snapshot, &path);
  }
  for (size_t i = 0; i < path.count && !error; i++) {
    bool is_one_certain;
    error =
        denet_address_space_append_name(&process->space, path.addresses[i], out, &is_one_certain);
    if (!error)
      error = denet_buffer_append(out, "", 1);
    is_certain &= is_one_certain;
  }
  if (!error && path.is_truncated)
    error = denet_buffer_append(out, DENET_TRUNCATED, sizeof(DENET_TRUNCATED));
  if (error) {
    out->length = start;
    return error;
  }
  unwinder->stats.unwound++;
  if (!is_certain || path.left_mappings)
    return 0;
  if (unwinder->stats.cache_bytes > CACHE_BYTES_MOST)
    clear_stacks(unwinder, process);
  unwinder->stats.cache_bytes -= process->stacks.bytes;
  denet_stack_cache_add(&process->stacks, &unwinder->cursor,
                        (struct denet_text){out->bytes + start, out->length - start},
                        path.is_truncated);
  unwinder->stats.cache_bytes += process->stacks.bytes;
  return 0;
}

int denet_unwinder_append_frames(struct denet_unwinder *unwinder,
                                 const struct denet_snapshot *snapshot, struct denet_buffer *out) {
  struct process unknown = {.space = {.dsos = &unwinder->dsos, .proc_path = unwinder->proc_path}};
  struct process *process = *find_link(unwinder, snapshot->pid, snapshot->start_ns);
  struct denet_text frames;
  bool is_late = process && process->exec_id > snapshot->exec_id;
  int error = is_late ? -ESRCH
                      : denet_unwinder_open_process(unwinder, snapshot->pid, snapshot->start_ns,
                                                    snapshot->exec_id, 0, 0);
  if (error == -ENOMEM)
    return error;
  /* Of a process that exited or exec'd before it was opened the addresses are all there is. */
  process = error ? NULL : *find_link(unwinder, snapshot->pid, snapshot->start_ns);
  if (!process)
    process = &unknown;
  if (denet_stack_cache_find(&process->stacks, snapshot, &frames)) {
    unwinder->stats.cache_hits++;
    return denet_buffer_append(out, frames.bytes, frames.length);
  }
  error = unwind(unwinder, process, snapshot, out);
  if (process != &unknown)
    count_space(unwinder, process);
  limit_spaces(unwinder);
  return error;
}

struct denet_unwinder_stats denet_unwinder_stats(const struct denet_unwinder *unwinder) {
  struct denet_unwinder_stats stats = unwinder->stats;
  stats.symbol_bytes = unwinder->dsos.memory_bytes;
  return stats;
}
