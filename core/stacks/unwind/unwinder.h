/* From a snapshot of a blocked thread (its registers and the top of its stack) to the names of its
 * frames, by the unwind tables of the files that the process has mapped. Not thread-safe. */
#pragma once

#include "core/util/buffer.h"

#include <stdint.h>
#include <sys/types.h>

/* DWARF's numbers on x86-64 (System V ABI): 6 is rbp, 7 rsp, 16 the return address column = rip. */
#define DENET_REGISTERS 17
#define DENET_FRAMES_MOST 128
/* The last name of a stack that could not be followed to the thread's start. */
#define DENET_TRUNCATED "[truncated]"

struct denet_snapshot {
  pid_t pid;
  uint64_t start_ns; /* which process (start: boot clock ns, as a key only) */
  uint64_t exec_id;  /* counts its execs: another number, other mappings */
  uint64_t registers[DENET_REGISTERS];
  const unsigned char *stack; /* from rsp upwards; borrowed */
  size_t stack_bytes;
};

struct denet_unwinder;

/* Above it the process with the most of it is forgotten, and met again with its next stack. */
#define DENET_SPACES_MOST (UINT64_C(128) << 20)

/* What has been done since denet_unwinder_new, and what is held now. */
struct denet_unwinder_stats {
  uint64_t unwound;       /* stacks that were unwound */
  uint64_t cache_hits;    /* stacks whose frames were known from an equal one */
  uint64_t truncated;     /* stacks that ended with DENET_TRUNCATED; those of the cache too */
  uint64_t mappings_read; /* times that a process's mappings were read */
  uint64_t processes;     /* known now */
  uint64_t files;         /* ELF files known now, of all processes */
  uint64_t symbol_bytes;  /* memory held by the symbols of those files */
  uint64_t cache_bytes;   /* memory held by the frames of known stacks */
  uint64_t space_bytes;   /* memory held by mappings and perf maps, DENET_SPACES_MOST at most */
};

/* proc_path: where /proc is (copied); symbol_bytes: budget for the symbols of all files. 0, then
 * the caller owns *out_unwinder, or -ENOMEM. */
int denet_unwinder_new(const char *proc_path, uint64_t symbol_bytes,
                       struct denet_unwinder **out_unwinder);

void denet_unwinder_free(struct denet_unwinder *unwinder); /* NULL is fine */

/* Reads the process's mappings and opens its files now, so that its stacks can be told after it has
 * exited. Known with this exec_id: nothing is done. If it can't be read (exited already) and it is
 * a fork of parent that never exec'd (the caller passes that parent's pid and start, 0 if none),
 * the parent's are taken over. 0 or -errno: -ESRCH when it has exited and nothing is known, -EACCES
 * or -EPERM when this process may not look. */
int denet_unwinder_meet(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns,
                        uint64_t exec_id, pid_t parent_pid, uint64_t parent_start_ns);

/* Gives back all that is held for the process; one that is not known is passed over. */
void denet_unwinder_forget(struct denet_unwinder *unwinder, pid_t pid, uint64_t start_ns);

/* Appends the frames' names to out, leaf first, each ended by a NUL: "function (file.c:12)",
 * "function", "module+0x1f" or "0x7f12..". At most DENET_FRAMES_MOST and DENET_TRUNCATED. Where the
 * stack could not be followed to the thread's start the last one is DENET_TRUNCATED. A process that
 * was not met yet is met first. 0 or -errno, then out is as before. */
int denet_unwinder_frames(struct denet_unwinder *unwinder, const struct denet_snapshot *snapshot,
                          struct denet_buffer *out);

void denet_unwinder_stats(const struct denet_unwinder *unwinder,
                          struct denet_unwinder_stats *out_stats);
