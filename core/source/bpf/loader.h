/* The programs in the kernel: loads them, reads what they say and tells them what to say. They are
 * gone when this process is. Not thread-safe. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_loader;

/* 0 or -errno with a sentence that says what is missing: a capability, or something of the kernel.
 */
int denet_loader_open(struct denet_error *error, struct denet_loader **out_programs);
void denet_loader_free(struct denet_loader *programs); /* NULL is fine */

/* One pass over every task of the host: replaces the content of records (record.h). Processes that
 * started before settled_ns (boot clock) and are not watched are told of briefly. 0 or -errno. */
int denet_loader_list(struct denet_loader *programs, uint64_t settled_ns,
                      struct denet_buffer *records);

/* Gives each event since the last time to take(), which returns 0, or -errno to go on another time:
 * that is then returned. */
int denet_loader_drain(struct denet_loader *programs,
                       int (*take)(void *context, const void *event, size_t size), void *context);

/* Asks for the end of a process that has exited and that no pass shows any more: its event comes
 * with the next drain, if the kernel can tell it before it does so by itself. */
void denet_loader_ask(struct denet_loader *programs, pid_t pid, uint64_t start_ns);

/* Whether the pid's process is told of at length however old it is. */
void denet_loader_watch(struct denet_loader *programs, pid_t pid, bool is_watched);

/* Events that were lost since the programs were loaded. */
uint64_t denet_loader_lost(const struct denet_loader *programs);

/* A descriptor that is readable when events should be drained soon, lest they be lost. */
int denet_loader_event_fd(const struct denet_loader *programs);
