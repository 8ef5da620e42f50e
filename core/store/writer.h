/* The thread that writes lines to files. Lines go into a queue in memory, so that a slow or hanging
 * disk never stops the thread that makes them. A failure is logged when it begins and when it is
 * over, not for each line. */
#pragma once

#include "core/store/store.h"
#include "core/util/log.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_writer; /* owned by the caller of denet_writer_new() */

/* Makes the queue, of so many bytes. Lines may be pushed from now on, and wait for
 * denet_writer_start(). log is copied. 0 or -ENOMEM. */
int denet_writer_new(uint64_t queue_bytes, const struct denet_log *log,
                     struct denet_writer **out_writer);

/* Opens the store and starts the thread "denet-writer". settings.path may be NULL, which is a
 * failure; the fields below total_bytes are not used: the writer chooses them, and raises
 * RLIMIT_NOFILE of the process as far as permitted, since files stay open. A line waits in memory
 * for flush_ns at most. 0 or -errno with a sentence; after a failure the writer takes no lines. */
int denet_writer_start(struct denet_writer *writer, const struct denet_store_settings *settings,
                       uint64_t flush_ns, struct denet_error *error);

/* Copies the line into the queue; never waits for the disk. Any thread may call it. A denet_sink
 * (emitter.h), so the writer (struct denet_writer *) is a void pointer. 0, or as errno: ENOENT if
 * denet_writer_start() failed, EMSGSIZE if the line never fits into the queue, ENOBUFS if the queue
 * is full, EPIPE after denet_writer_stop(). */
int denet_writer_push(void *writer, const struct denet_line *line);

/* Waits until all lines pushed before are written. 0; -ETIMEDOUT as denet_queue_flush(). */
int denet_writer_flush(struct denet_writer *writer, uint64_t timeout_ns);

/* Returns the number of lines that were accepted and could not be written. */
uint64_t denet_writer_lost_count(const struct denet_writer *writer);

/* Writes what waits, ends the thread, and frees the writer. Returns false if the disk hangs or is
 * so slow that this takes more than timeout_s: then the thread goes on without a log, and keeps the
 * writer as long as the process lasts. writer may be NULL. */
bool denet_writer_stop(struct denet_writer *writer, unsigned timeout_s);
