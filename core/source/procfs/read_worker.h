/* Reads files of processes in threads that may stall. To read a file of a process the kernel takes
 * a lock of that process: its mmap lock for cmdline (get_mm_cmdline, fs/proc/base.c), and
 * exec_update_lock, which an exec holds, for exe, stat, io, ns/net and the same files of its
 * threads. Any user can keep these locks taken, for example with a file system that does not answer
 * (FUSE). A thread that stalls is left behind with its file, and another thread reads on.
 * A worker reads either lists of files or single texts. One thread reads all files of a list, as a
 * switch between threads costs as much as several reads. Not thread-safe: one owner. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DENET_READ_WORKER_FILES 192

struct denet_read_worker;

/* A process, and the program that it runs. */
struct denet_read_key {
  pid_t pid;
  uint64_t start_ticks, exec_stamp;
  bool never_execd;
};

/* Makes a worker for files below the directory dir, which is borrowed; a thread has a duplicate of
 * it. The first read starts a thread. NULL: there is no memory. */
struct denet_read_worker *denet_read_worker_new(int dir);

/* Does not wait for a thread that stalls: the thread ends when its read does. NULL is accepted. */
void denet_read_worker_free(struct denet_read_worker *worker);

/* Begins a list of files. The texts of the last list are no longer valid. */
void denet_read_worker_begin(struct denet_read_worker *worker);

/* Appends a file to the list, at most DENET_READ_WORKER_FILES. path has at most 63 bytes; at most
 * limit bytes are read. Returns the index of the file. */
unsigned denet_read_worker_add(struct denet_read_worker *worker, pid_t pid, const char *path,
                               size_t limit);

/* Reads the files of the list, once after a begin, except those of processes on which a thread
 * stalls. If 64 threads stall, or none can be started, the caller reads and may stall. */
void denet_read_worker_read(struct denet_read_worker *worker);

/* Returns 0 with the text, borrowed until the next begin; -errno; DENET_LATER: it was not read. */
int denet_read_worker_text(const struct denet_read_worker *worker, unsigned index,
                           struct denet_text *out_text);

/* Begins a pass, in which any text may be asked for. */
void denet_read_worker_begin_pass(struct denet_read_worker *worker);

/* Reads one text into out. 0 or -errno, see denet_proc_file_read(). DENET_LATER: the read stalls,
 * or none begins as others stalled for too long; out is unchanged. A later call with the same key
 * and path returns the text when it is there, and so do further ones in the same pass: of a process
 * whose reads always stall both the rules and the metadata line get it. A text is dropped if a
 * whole pass, and 2 s, have gone by without such a call. */
int denet_read_worker_read_text(struct denet_read_worker *worker, const struct denet_read_key *key,
                                const char *path, size_t limit, struct denet_buffer *out);
