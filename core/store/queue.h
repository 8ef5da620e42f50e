/* A bounded queue of lines between the monitor's thread, which must never wait for a disk, and the
 * thread that writes. Any number of threads may push; one takes. */
#pragma once

#include "core/record/line.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_queue; /* owned by the caller of denet_queue_new() */

/* bytes: the memory of the waiting lines, not 0; the lines that the taker is busy with may take as
 * much again. Only lines other than SAMPLE may use the last eighth: without its first line a
 * process has no file, and without its last one the file is not finished. 0 or -ENOMEM. */
int denet_queue_new(size_t bytes, struct denet_queue **out_queue);

/* No thread may be inside a call of the queue. queue may be NULL. */
void denet_queue_free(struct denet_queue *queue);

/* Copies the line into the queue; never waits for the taker. 0; else the line is dropped: -ENOBUFS
 * when the queue is full, -EPIPE when it is closed, -EMSGSIZE when not even an empty queue could
 * take the line. */
int denet_queue_push(struct denet_queue *queue, const struct denet_line *line);

/* Waits until a flush is requested, the queue is closed, half of its memory is used, or the oldest
 * line is wait_ns old (CLOCK_MONOTONIC), and calls each() for all waiting lines in their order,
 * without any lock held. Returns false once the queue is closed and empty. */
bool denet_queue_take(struct denet_queue *queue, uint64_t wait_ns,
                      void (*each)(void *context, const struct denet_line *line), void *context);

/* Makes the taker write at once, and waits until each() has returned for all lines pushed before.
 * 0; -ETIMEDOUT after timeout_ns, and at once while each() has not returned since another flush
 * timed out: so waiting threads do not accumulate. */
int denet_queue_flush(struct denet_queue *queue, uint64_t timeout_ns);

/* Returns the number of accepted lines that each() has not returned for. */
uint64_t denet_queue_waiting(const struct denet_queue *queue);

/* Ends the queue: no more lines are accepted; the taker gets the rest and then false. */
void denet_queue_close(struct denet_queue *queue);
