/* Small files of many processes, read at once in a thread that may be held up: the kernel takes the
 * lock that a process has in an exec (exec_update_lock) for its stat, io, ns/net and those of its
 * threads, and any user can make an exec that does not come to an end. One thread for many files,
 * as a handover costs as much as several of them. Whoever holds it up is left behind with it, and
 * another thread goes on. Not thread-safe: one owner. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <sys/types.h>

#define DENET_BATCH_FILES 192

struct denet_batch; /* owned by whoever made it */

/* Of files below folder, which must stay open as long as a read goes on. 0 or -ENOMEM. No thread
 * yet: the first read starts one. */
int denet_batch_new(int folder, struct denet_batch **out_batch);

/* Begins a list of files to read; what the last one brought is no longer good. */
void denet_batch_begin(struct denet_batch *batch);

/* Puts the file at path (at most 63 bytes), of which no more than limit bytes are read, at the end
 * of the list, which has at most DENET_BATCH_FILES. Returns its place there. */
unsigned denet_batch_add(struct denet_batch *batch, pid_t pid, const char *path, size_t limit);

/* For how many more there is room. */
unsigned denet_batch_room(const struct denet_batch *batch);

/* Reads those that have been put there since the last time. Waits 10 ms for one that holds the
 * reader up, and 1 ms as long as another one still does. Files of those that do are not read. If 64
 * do, or there is no thread to be had, the caller reads and may be held up. */
void denet_batch_read(struct denet_batch *batch);

/* What became of the file at a place: 0 with its text (borrowed until the next begin); -errno;
 * DENET_LATER: somebody holds it up. */
int denet_batch_text(const struct denet_batch *batch, unsigned place, struct denet_text *out_text);

/* Does not wait for who is held up. batch may be NULL. */
void denet_batch_free(struct denet_batch *batch);
