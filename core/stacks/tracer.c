#include "core/stacks/tracer.h"

#include "core/source/bpf/loader.h"
#include "core/util/cleanup.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "off_cpu.skel.h" /* made from bpf/off_cpu.bpf.c by the build */

#define SECOND_NS UINT64_C(1000000000)
#define WINDOWS 4                /* of a second, for which stacks are counted */
#define SWITCH_STATE_ARGUMENTS 5 /* of btf_trace_sched_switch, since Linux 5.18 */
#define NEEDED_MAJOR 5u          /* of Linux: bpf_task_pt_regs() is there since 5.15 */
#define NEEDED_MINOR 15u

struct denet_tracer {
  struct off_cpu_bpf *bpf; /* owned, as is all */
  struct bpf_link *waiters;
  struct tracer_ring {
    struct ring_buffer *buffer;
    denet_tracer_take *take; /* while draining, as is the next */
    void *context;
  } rings[DENET_TRACER_RINGS];
};

void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed) {
  tracer->bpf->bss->followed[(denet_u32)pid % DENET_BPF_PIDS] =
      is_followed ? DENET_FOLLOWED : DENET_FOLLOWED_NOT;
}

void denet_tracer_delete_exited(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns) {
  denet_u64 key[] = {(denet_u64)pid, start_ns}; /* struct process_key, bpf/task.h */
  bpf_map__delete_elem(tracer->bpf->maps.exited_threads, key, sizeof(key), 0);
}

int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records) {
  return denet_bpf_read_iterator(bpf_link__fd(tracer->waiters), records);
}

static int take_event(void *context, void *event, size_t size) {
  const struct tracer_ring *ring = context;
  ring->take(ring->context, event, size);
  return 0;
}

void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        denet_tracer_take *take, void *context) {
  tracer->rings[ring].take = take;
  tracer->rings[ring].context = context;
  ring_buffer__consume(tracer->rings[ring].buffer);
}

int denet_tracer_exec_fd(const struct denet_tracer *tracer) {
  return ring_buffer__epoll_fd(tracer->rings[DENET_TRACER_EXEC_EVENTS].buffer);
}

struct denet_off_cpu_losses denet_tracer_losses(const struct denet_tracer *tracer) {
  const struct off_cpu_bpf__bss *bss = tracer->bpf->bss;
  return (struct denet_off_cpu_losses){bss->lost_threads, bss->lost_processes + bss->lost_ends,
                                       bss->lost_stacks};
}

void denet_tracer_free(struct denet_tracer *tracer) {
  if (!tracer)
    return;
  for (size_t i = 0; i < DENET_TRACER_RINGS; i++)
    ring_buffer__free(tracer->rings[i].buffer);
  bpf_link__destroy(tracer->waiters);
  off_cpu_bpf__destroy(tracer->bpf);
  free(tracer);
}

static void free_tracerp(struct denet_tracer **tracer) { denet_tracer_free(*tracer); }

static void free_btf(struct btf **btf) { btf__free(*btf); }

static void configure(struct off_cpu_bpf *bpf, const struct btf *kernel,
                      const struct denet_profiler_settings *settings) {
  bool has_return = denet_bpf_count_arguments(kernel, "btf_trace_sched_exit_tp") > 0;
  bpf->rodata->has_return = has_return;
  bpf->rodata->has_state =
      denet_bpf_count_arguments(kernel, "btf_trace_sched_switch") >= SWITCH_STATE_ARGUMENTS;
  bpf->rodata->period_ns = settings->period_ns;
  unsigned rate = (settings->rate + 1) / 2, listed_rate = settings->rate / 2;
  bpf->rodata->window_stacks = rate < WINDOWS ? 1 : rate / WINDOWS;
  bpf->rodata->window_ns = SECOND_NS * bpf->rodata->window_stacks / rate;
  bpf->rodata->listed_gap_ns = SECOND_NS / listed_rate;
  bpf->rodata->stack_bytes = settings->stack_bytes;
  bpf_map__set_max_entries(bpf->maps.samples, (denet_u32)settings->ring_bytes); /* rounded up */
  bpf_map__set_max_entries(bpf->maps.exited_threads, settings->exited_most);
  bpf_program__set_autoload(bpf->progs.note_return, has_return);
  bpf_program__set_autoattach(bpf->progs.list_waiters, false);
}

static int start(struct denet_tracer *tracer, const struct denet_profiler_settings *settings) {
  DENET_CLEANUP(free_btf) struct btf *kernel = btf__load_vmlinux_btf();
  struct off_cpu_bpf *bpf = tracer->bpf = kernel ? off_cpu_bpf__open() : NULL;
  if (!bpf)
    return -errno;
  configure(bpf, kernel, settings);
  int error = off_cpu_bpf__load(bpf);
  if (error)
    return error;
  const struct bpf_map *maps[] = {bpf->maps.samples, bpf->maps.exec_events};
  for (size_t i = 0; i < DENET_TRACER_RINGS; i++) {
    struct tracer_ring *ring = &tracer->rings[i];
    ring->buffer = ring_buffer__new(bpf_map__fd(maps[i]), take_event, ring, NULL);
    if (!ring->buffer)
      return -errno;
  }
  tracer->waiters = bpf_program__attach_iter(bpf->progs.list_waiters, NULL);
  return tracer->waiters ? off_cpu_bpf__attach(bpf) : -errno;
}

int denet_tracer_explain(int failure, const char *kernel, struct denet_error *error) {
  unsigned major = 0, minor = 0;
  bool is_old = sscanf(kernel, "%u.%u", &major, &minor) == 2 &&
                (major < NEEDED_MAJOR || (major == NEEDED_MAJOR && minor < NEEDED_MINOR));
  /* Checked only after a failure: distributions add what is needed to older kernels. */
  if (!is_old || failure == -EPERM || failure == -EACCES)
    return denet_bpf_explain(failure, error);
  return denet_error_set(error, failure, "stacks need Linux %u.%u or newer; this is %s",
                         NEEDED_MAJOR, NEEDED_MINOR, kernel);
}

int denet_tracer_open(const struct denet_profiler_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer) {
  DENET_CLEANUP(free_tracerp) struct denet_tracer *tracer = calloc(1, sizeof(*tracer));
  if (!tracer)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  struct utsname name = {0};
  int failure = start(tracer, settings);
  if (failure) {
    uname(&name);
    return denet_tracer_explain(failure, name.release, error);
  }
  *out_tracer = DENET_TAKE(tracer);
  return 0;
}
