/* Loads the programs of bpf/process.bpf.c and talks to them. The programs end with this process.
 * Not thread-safe. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct btf;
struct denet_loader;

/* Loads and attaches the programs. denet_loader_drain() passes events to take(), which returns 0,
 * or -errno to leave the other events for the next call. Returns 0, or -errno with a sentence that
 * names the missing capability or kernel feature. */
int denet_loader_open(int (*take)(void *context, void *event, size_t size), void *context,
                      struct denet_error *error, struct denet_loader **out_loader);
void denet_loader_free(struct denet_loader *loader); /* NULL is fine */

/* Runs the task iterator once: replaces the content of records with one record for each task of the
 * host (bpf/process_records.h). A process has a compact record if it started before full_since_ns
 * (boot clock), lives, and has not been given to denet_loader_set_full(). Returns 0 or -errno. */
int denet_loader_list(struct denet_loader *loader, uint64_t full_since_ns,
                      struct denet_buffer *records);

/* Passes each event since the last call to take(). */
void denet_loader_drain(struct denet_loader *loader);

/* Requests the DENET_BPF_FREE event of a process that has exited and is not in the last pass. If
 * the kernel has it, the next drain gives it. */
void denet_loader_request_exit(struct denet_loader *loader, pid_t pid, uint64_t start_ns);

/* Sets whether the process has full records whenever it started. */
void denet_loader_set_full(struct denet_loader *loader, pid_t pid, bool is_full);

/* Returns the number of events lost since the programs were loaded. */
uint64_t denet_loader_lost(const struct denet_loader *loader);

/* Returns a descriptor that is readable when events should be drained: a program has been executed,
 * or the ring is half full. */
int denet_loader_event_fd(const struct denet_loader *loader);

/* Runs the iterator behind a link once: replaces the content of records. Returns 0 or -errno. Also
 * for core/stacks, as the next two. */
int denet_bpf_read_iterator(int link_fd, struct denet_buffer *records);

/* Returns how many arguments a tracepoint's probe (such as "btf_trace_sched_switch") has in this
 * kernel, its context included; 0: there is none. */
unsigned denet_bpf_count_arguments(const struct btf *kernel, const char *probe);

/* Returns failure, the outcome of loading programs; sets a sentence that says what is missing. */
int denet_bpf_explain(int failure, struct denet_error *error);
