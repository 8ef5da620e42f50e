/* From a snapshot of a blocked thread to the names of its frames, by the unwind tables of the files
 * that the process has mapped. Not thread-safe. */
#pragma once

#include "core/stacks/unwind/cursor.h"
#include "core/util/buffer.h"

#define DENET_FRAMES_MOST 128
/* The last name of a stack that could not be followed to the thread's start. */
#define DENET_TRUNCATED "[truncated]"
/* Memory for mappings and perf maps. Above it the process with the most of it is closed; its next
 * stack opens it again. */
#define DENET_ADDRESS_SPACES_MOST (UINT64_C(128) << 20)

struct denet_unwinder;

/* Counts since denet_unwinder_new, and what is held now. */
struct denet_unwinder_stats {
  uint64_t unwound;       /* stacks that were unwound */
  uint64_t cache_hits;    /* stacks whose frames were known from an equal one */
  uint64_t mappings_read; /* times that a process's mappings were read */
  uint64_t processes;     /* open now */
  uint64_t symbol_bytes;  /* memory held by the symbols of those files */
  uint64_t cache_bytes;   /* memory held by the frames of known stacks */
  uint64_t space_bytes;   /* memory held by mappings and perf maps */
};

/* proc_path: where /proc is (borrowed); symbol_bytes: budget for the symbols of all files. 0, then
 * the caller owns *out_unwinder, or -ENOMEM. */
int denet_unwinder_new(const char *proc_path, uint64_t symbol_bytes,
                       struct denet_unwinder **out_unwinder);

void denet_unwinder_free(struct denet_unwinder *unwinder); /* NULL is fine */

/* Reads the process's mappings and opens its files, so that its stacks have names after it has
 * exited. Does nothing if it is open with this exec_id. A process that has exited already, and has
 * never exec'd, gets the mappings of its parent (0: none), if that is open. 0 or -errno: -ESRCH
 * when it has exited and nothing is known, -EACCES or -EPERM when it may not be read. */
int denet_unwinder_open_process(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns,
                                uint64_t exec_id, pid_t parent_pid, uint64_t parent_start_ns);

/* Gives back all that is held for the process; one that is not open is skipped. */
void denet_unwinder_close_process(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns);

/* Closes all processes: the next stack of each opens it again. */
void denet_unwinder_close_all(struct denet_unwinder *unwinder);

/* Appends the names of at most DENET_FRAMES_MOST frames, leaf first, a NUL behind each:
 * "function (file.c:12)", "function", "module+0x1f" or "0x7f12..". Where the stack could not be
 * followed to the thread's start DENET_TRUNCATED follows. Opens a process that is not open. 0 or
 * -errno, then out is as before. */
int denet_unwinder_append_frames(struct denet_unwinder *unwinder,
                                 const struct denet_snapshot *snapshot, struct denet_buffer *out);

struct denet_unwinder_stats denet_unwinder_stats(const struct denet_unwinder *unwinder);
