/* Reads aside: of a file whose owner can hold the reader up, in a thread that may be held up. The
 * kernel takes a process's mmap lock to read its arguments (get_mm_cmdline, fs/proc/base.c), and
 * for its executable the lock that it has in an exec (exec_update_lock); any user can keep either
 * for long, a fork of many gigabytes as well as ill will on a FUSE file system. Not thread-safe:
 * one owner. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_aside; /* owned by whoever made it */

/* Whose file it is, and of which of its programs: a read that was held up is found again by this.
 */
struct denet_aside_key {
  pid_t pid;
  uint64_t start_ticks;
  uint64_t exec_stamp;
  bool never_execd;
};

/* 0 or -ENOMEM. No thread yet: the first read starts one. */
int denet_aside_new(struct denet_aside **out_aside);

/* Reads into out up to limit bytes of the file at path (at most 63 bytes) below folder, or of what
 * it says if it is a symbolic link (denet_buffer_read_path()). Waits 10 ms for a read that is held
 * up, 1 ms for the next ones after 20 ms in half a second, and begins none after 40 ms; ten times
 * as long for one that only lacks a CPU. 0; -errno; DENET_LATER when it takes longer or 64 are held
 * up already: a later call with the same key and path gets what the read has brought until then, or
 * begins anew if nobody asked for 2 s. folder is used as long as a read goes on. */
int denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                     const char *path, size_t limit, struct denet_buffer *out);

/* Does not wait for who is held up: such a thread ends by itself when its read does. aside may be
 * NULL. */
void denet_aside_free(struct denet_aside *aside);
