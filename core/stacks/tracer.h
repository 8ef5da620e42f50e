/* The programs in the kernel that follow threads off their CPUs: loads them, reads what they say
 * and tells them whom to follow. They are gone when this process is. For one thread, but for the
 * beginnings. */
#pragma once

#include "bpf/off_cpu_records.h"
#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_tracer;

struct denet_tracer_settings {
  uint64_t period_ns;   /* off-CPU time of a thread between two of its stacks */
  unsigned rate;        /* stacks a second at most, in all */
  unsigned stack_bytes; /* of each, at most; at most DENET_OFF_CPU_STACK_MOST */
  uint64_t ring_bytes;  /* for stacks that have not been read yet; rounded up to a power of two */
  unsigned exited_most; /* processes whose exited threads' sums are kept at a time */
};

/* What the kernel could not tell since the tracer was opened. */
struct denet_tracer_losses {
  uint64_t threads, processes, stacks, ends;
};

/* 0 or -errno with a sentence that says what is missing. */
int denet_tracer_open(const struct denet_tracer_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer);
void denet_tracer_free(struct denet_tracer *tracer); /* NULL is fine */

/* Whether the threads of the pid's process, and what they start, are followed: from the next list
 * on.
 */
void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed);

/* A process has ended: forgets the sums of its threads. */
void denet_tracer_forget(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns);

/* Replaces the content of records by one of each followed thread (bpf/off_cpu.h). 0 or -errno. */
int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records);

/* Gives each event since the last time to take(). */
void denet_tracer_drain(struct denet_tracer *tracer,
                        void (*take)(void *context, const struct denet_bpf_head *event,
                                     size_t size),
                        void *context);

struct denet_tracer_losses denet_tracer_losses(const struct denet_tracer *tracer);

/* For one other thread: a descriptor that is readable when a program has begun whose stacks are
 * wanted, and what has begun since the last time. */
int denet_tracer_beginnings_fd(const struct denet_tracer *tracer);
void denet_tracer_take_beginnings(struct denet_tracer *tracer,
                                  void (*take)(void *context,
                                               const struct denet_off_cpu_beginning *beginning),
                                  void *context);
