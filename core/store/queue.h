/* A bounded queue of lines between the sampler, which must never wait for a disk, and the thread
 * that writes. Any number of threads may push; one takes. */
#pragma once

#include "core/record/line.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_queue; /* owned by whoever made it */

/* bytes: what the waiting lines may take in memory; those that the taker is busy with may take as
 * much again. The last eighth is for all but SAMPLE lines: without its first line a process has no
 * file, and without its last one the file is not finished. 0 or -ENOMEM. */
int denet_queue_new(size_t bytes, struct denet_queue **out_queue);

/* Nobody may be inside a call of the queue. queue may be NULL. */
void denet_queue_free(struct denet_queue *queue);

/* Copies the line into the queue; never waits for the taker. 0; -ENOBUFS when it is full: the line
 * is dropped and counted; -EPIPE once the queue is closed, likewise; -EMSGSIZE when the line would
 * not even fit into an empty queue: dropped, too, but for the caller to count. */
int denet_queue_push(struct denet_queue *queue, const struct denet_line *line);

/* Lines dropped so far, those that could never fit left out; an END is no line. */
uint64_t denet_queue_dropped(struct denet_queue *queue);

/* The taker's wait: returns when a flush was asked for, the queue was closed, half of the room is
 * taken, or the oldest line has waited for wait_ns (CLOCK_MONOTONIC) - with what waits then, in
 * order. each() is called without any lock held. Returns false once the queue is closed and empty.
 */
bool denet_queue_take(struct denet_queue *queue, uint64_t wait_ns,
                      void (*each)(void *context, const struct denet_line *line), void *context);

/* Makes the taker write at once, and returns when all that was pushed before has been given to
 * each(), or after timeout_ns. 0 or -ETIMEDOUT; that at once when each() has not returned since
 * another flush timed out, so that waiting threads do not pile up. */
int denet_queue_flush(struct denet_queue *queue, uint64_t timeout_ns);

/* Lines taken in that each() has not returned for. */
uint64_t denet_queue_waiting(struct denet_queue *queue);

/* No more lines are taken in; the taker gets the rest and then false. */
void denet_queue_close(struct denet_queue *queue);
