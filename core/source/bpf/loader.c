#include "core/source/bpf/loader.h"

#include "bpf/process_records.h"
#include "core/util/capabilities.h"
#include "core/util/cleanup.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "process.skel.h" /* generated from bpf/process.bpf.c by the build */

#define READ_BYTES (1 << 20)    /* each read has a cost of its own in the kernel */
#define EXIT_HAS_MM_ARGUMENTS 3 /* of btf_trace_sched_process_exit, since Linux 6.16 */

struct denet_loader {
  struct process_bpf *bpf; /* owned, like all below */
  struct bpf_link *tasks;
  struct ring_buffer *events, *wakeups;
};

int denet_bpf_read_iterator(int link_fd, struct denet_buffer *records) {
  DENET_CLOSE int fd = bpf_iter_create(link_fd);
  if (fd < 0)
    return -errno;
  denet_buffer_clear(records);
  for (;;) {
    int error = denet_buffer_reserve(records, READ_BYTES);
    if (error)
      return error;
    ssize_t got =
        read(fd, records->bytes + records->length, records->capacity - records->length - 1);
    if (got == 0)
      return 0;
    if (got < 0 && errno != EINTR && errno != EAGAIN)
      return -errno;
    records->length += got > 0 ? (size_t)got : 0;
  }
}

int denet_bpf_explain(int failure, struct denet_error *error) {
  uint64_t has = denet_capabilities_read();
  if (failure != -EPERM && failure != -EACCES)
    return denet_error_set(error, failure, "the BPF programs cannot be loaded: %m");
  denet_capabilities_explain((has & DENET_CAPABILITY(SYS_RESOURCE))
                                 ? "BPF is not permitted"
                                 : "BPF is not permitted (before Linux 5.11 it also needs "
                                   "CAP_SYS_RESOURCE or no limit of locked memory)",
                             DENET_CAPABILITY(BPF) | DENET_CAPABILITY(PERFMON), has, error);
  return failure;
}

unsigned denet_bpf_count_arguments(const struct btf *kernel, const char *probe) {
  int type = btf__find_by_name_kind(kernel, probe, BTF_KIND_TYPEDEF);
  const struct btf_type *at = type < 0 ? NULL : btf__type_by_id(kernel, (denet_u32)type);
  while (at && (btf_is_typedef(at) || btf_is_ptr(at)))
    at = btf__type_by_id(kernel, at->type);
  return at && btf_is_func_proto(at) ? btf_vlen(at) : 0;
}

static int take_wakeup(void *context, void *event, size_t size) {
  (void)context, (void)event, (void)size;
  return 0;
}

int denet_loader_list(struct denet_loader *loader, uint64_t full_since_ns,
                      struct denet_buffer *records) {
  loader->bpf->bss->full_since_ns = full_since_ns;
  return denet_bpf_read_iterator(bpf_link__fd(loader->tasks), records);
}

void denet_loader_drain(struct denet_loader *loader) {
  ring_buffer__consume(loader->wakeups);
  /* Before the events are read: an event after this wakes up again. */
  __atomic_store_n(&loader->bpf->bss->has_woken, 0, __ATOMIC_RELEASE);
  ring_buffer__consume(loader->events);
}

void denet_loader_set_full(struct denet_loader *loader, pid_t pid, bool is_full) {
  denet_u32 bit = 1u << ((denet_u32)pid & 31);
  denet_u32 *word = &loader->bpf->bss->full_pids[(denet_u32)pid / 32 % (DENET_BPF_PIDS / 32)];
  *word = is_full ? *word | bit : *word & ~bit;
}

bool denet_loader_request_exit(struct denet_loader *loader, pid_t pid, uint64_t start_ns) {
  struct denet_bpf_exit_request request = {(denet_u64)pid, start_ns};
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &request, .ctx_size_in = sizeof(request));
  int program = bpf_program__fd(loader->bpf->progs.request_exit);
  if (program >= 0)
    bpf_prog_test_run_opts(program, &run);
  return program >= 0;
}

uint64_t denet_loader_lost(const struct denet_loader *loader) {
  return __atomic_load_n(&loader->bpf->bss->lost, __ATOMIC_RELAXED);
}

int denet_loader_event_fd(const struct denet_loader *loader) {
  return bpf_map__fd(loader->bpf->maps.wakeups);
}

void denet_loader_free(struct denet_loader *loader) {
  if (!loader)
    return;
  ring_buffer__free(loader->wakeups);
  ring_buffer__free(loader->events);
  bpf_link__destroy(loader->tasks);
  process_bpf__destroy(loader->bpf);
  free(loader);
}

/* Sets cpu_offset[], which the programs need to read per-CPU counters. */
static int set_cpu_offsets(struct process_bpf *bpf) {
  struct bpf_map_info info = {0};
  denet_u32 length = sizeof(info);
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer nothing = {0};
  if (bpf_obj_get_info_by_fd(bpf_map__fd(bpf->maps.probe), &info, &length))
    return -errno;
  bpf->bss->probe_id = info.id;
  struct bpf_link *link = bpf_program__attach_iter(bpf->progs.find_cpu_offsets, NULL);
  int error = link ? denet_bpf_read_iterator(bpf_link__fd(link), &nothing) : -errno;
  bpf_link__destroy(link);
  if (error)
    return error;
  for (denet_u32 cpu = 0; cpu < bpf->rodata->cpu_count; cpu++)
    bpf->bss->cpu_offset[cpu] = bpf->bss->probe_address[cpu] - bpf->bss->probe_base;
  return bpf->bss->probe_base ? 0 : -ENOENT;
}

/* Marks the pointer in struct kept_task as one that holds a reference. btf_type_tag("kptr") does
 * the same in compilers newer than clang 14. */
static int tag_kept_task(const struct process_bpf *bpf) {
  struct btf *btf = bpf_object__btf(bpf->obj);
  int owner = btf__find_by_name_kind(btf, "kept_task", BTF_KIND_STRUCT);
  int task = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
  int tag = task < 0 ? task : btf__add_type_tag(btf, "kptr", task);
  int pointer = tag < 0 ? tag : btf__add_ptr(btf, tag);
  if (owner < 0 || pointer < 0)
    return owner < 0 ? owner : pointer;
  btf_members((struct btf_type *)btf__type_by_id(btf, (denet_u32)owner))[0].type =
      (denet_u32)pointer;
  return 0;
}

/* Loads the programs. has_percpu_rss: RSS counters are per CPU. exits_early: exits are noted in
 * taskstats_exit(), see exit_task() in process.bpf.c. keeps_tasks: with the programs that keep the
 * main task of a process that has exited, which need Linux 6.3. */
static int load(struct denet_loader *loader, bool has_percpu_rss, bool exits_early,
                bool keeps_tasks) {
  struct process_bpf *bpf = loader->bpf = process_bpf__open();
  int cpus = libbpf_num_possible_cpus();
  if (!bpf)
    return -errno;
  bpf->rodata->cpu_count = cpus < 0 ? 0 : cpus > DENET_BPF_CPUS ? DENET_BPF_CPUS : (denet_u32)cpus;
  bpf_program__set_autoload(bpf->progs.note_exit, !keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_free, !keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_exit_kept, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_free_kept, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.request_exit, keeps_tasks);
  bpf_map__set_autocreate(bpf->maps.kept_tasks, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.find_cpu_offsets, has_percpu_rss);
  bpf_program__set_autoattach(bpf->progs.find_cpu_offsets, false);
  bpf_program__set_autoattach(bpf->progs.list_tasks, false);
  int error = keeps_tasks ? tag_kept_task(bpf) : 0;
  struct bpf_program *exits = keeps_tasks ? bpf->progs.note_exit_kept : bpf->progs.note_exit;
  if (!error && exits_early)
    error = bpf_program__set_expected_attach_type(exits, BPF_TRACE_FENTRY);
  if (!error && exits_early) /* where a process still has its memory */
    error = bpf_program__set_attach_target(exits, 0, "taskstats_exit");
  if (!error)
    error = process_bpf__load(bpf);
  return error || !has_percpu_rss ? error : set_cpu_offsets(bpf);
}

static int attach(struct denet_loader *loader, ring_buffer_sample_fn take, void *context) {
  struct process_bpf *bpf = loader->bpf;
  loader->events = ring_buffer__new(bpf_map__fd(bpf->maps.events), take, context, NULL);
  loader->wakeups = ring_buffer__new(bpf_map__fd(bpf->maps.wakeups), take_wakeup, NULL, NULL);
  loader->tasks = bpf_program__attach_iter(bpf->progs.list_tasks, NULL);
  if (!loader->events || !loader->wakeups || !loader->tasks)
    return -errno;
  return process_bpf__attach(bpf);
}

int denet_loader_open(int (*take)(void *context, void *event, size_t size), void *context,
                      struct denet_error *error, struct denet_loader **out_loader) {
  libbpf_set_print(NULL); /* denet_bpf_explain() has a sentence instead */
  struct btf *kernel = btf__load_vmlinux_btf();
  if (!kernel)
    return denet_error_set(
        error, -ENOTSUP, "the kernel does not describe its types: it needs CONFIG_DEBUG_INFO_BTF");
  /* Since Linux 6.2 there is no struct mm_rss_stat: RSS counters are per CPU. */
  bool has_percpu_rss = btf__find_by_name_kind(kernel, "mm_rss_stat", BTF_KIND_STRUCT) < 0;
  bool has_late_exit =
      denet_bpf_count_arguments(kernel, "btf_trace_sched_process_exit") < EXIT_HAS_MM_ARGUMENTS;
  btf__free(kernel);
  int failure = -ENOTSUP;
  for (int i = has_late_exit ? 0 : 2; i < 4; i++) { /* the best variant that the kernel accepts */
    struct denet_loader *loader = calloc(1, sizeof(*loader));
    if (!loader)
      return denet_error_set(error, -ENOMEM, "there is no memory");
    failure = load(loader, has_percpu_rss, i < 2, i % 2 == 0);
    if (!failure)
      failure = attach(loader, take, context);
    if (!failure) {
      *out_loader = loader;
      return 0;
    }
    denet_loader_free(loader);
  }
  return denet_bpf_explain(failure, error);
}
