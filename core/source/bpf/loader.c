#include "core/source/bpf/loader.h"

#include "bpf/process_records.h"
#include "core/source/bpf/bpf.h"
#include "core/util/cleanup.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "process.skel.h" /* made from bpf/denet.bpf.c by the build */

struct denet_loader {
  struct process_bpf *bpf; /* owned, as is all */
  struct bpf_link *tasks;
  struct ring_buffer *events, *calls;
  int (*take)(void *context, const void *event, size_t size); /* while they are drained */
  void *context;
};

static int take_event(void *context, void *event, size_t size) {
  struct denet_loader *programs = context;
  return programs->take(programs->context, event, size);
}

static int take_call(void *context, void *event, size_t size) {
  (void)context;
  (void)event;
  (void)size;
  return 0;
}

int denet_loader_list(struct denet_loader *programs, uint64_t settled_ns,
                      struct denet_buffer *records) {
  programs->bpf->bss->settled_ns = settled_ns;
  return denet_bpf_read_iterator(bpf_link__fd(programs->tasks), records);
}

int denet_loader_drain(struct denet_loader *programs,
                       int (*take)(void *context, const void *event, size_t size), void *context) {
  programs->take = take;
  programs->context = context;
  ring_buffer__consume(programs->calls);
  __atomic_store_n(&programs->bpf->bss->has_called, 0, __ATOMIC_RELEASE);
  int outcome = ring_buffer__consume(programs->events);
  return outcome < 0 ? outcome : 0;
}

void denet_loader_watch(struct denet_loader *programs, pid_t pid, bool is_watched) {
  denet_u32 bit = 1u << ((denet_u32)pid & 31);
  denet_u32 *word = &programs->bpf->bss->watched[(denet_u32)pid / 32 % (DENET_BPF_PIDS / 32)];
  *word = is_watched ? *word | bit : *word & ~bit;
}

void denet_loader_ask(struct denet_loader *programs, pid_t pid, uint64_t start_ns) {
  struct denet_bpf_question question = {(denet_u64)pid, start_ns};
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &question, .ctx_size_in = sizeof(question));
  int program = bpf_program__fd(programs->bpf->progs.tell_end);
  if (program >= 0)
    bpf_prog_test_run_opts(program, &run);
}

uint64_t denet_loader_lost(const struct denet_loader *programs) {
  return __atomic_load_n(&programs->bpf->bss->lost, __ATOMIC_RELAXED);
}

int denet_loader_event_fd(const struct denet_loader *programs) {
  return bpf_map__fd(programs->bpf->maps.calls);
}

void denet_loader_free(struct denet_loader *programs) {
  if (!programs)
    return;
  ring_buffer__free(programs->calls);
  ring_buffer__free(programs->events);
  bpf_link__destroy(programs->tasks);
  process_bpf__destroy(programs->bpf);
  free(programs);
}

static void free_programsp(struct denet_loader **programs) { denet_loader_free(*programs); }

static void destroy_link(struct bpf_link **link) { bpf_link__destroy(*link); }

static void free_btf(struct btf **btf) { btf__free(*btf); }

/* Since Linux 6.2 a part of each RSS counter is kept per CPU; before, they were plain. */
static bool has_percpu_rss(const struct btf *kernel) {
  return btf__find_by_name_kind(kernel, "mm_rss_stat", BTF_KIND_STRUCT) < 0;
}

/* Learns where the CPUs have their parts of a per-CPU variable. */
static int learn_cpu_offsets(struct process_bpf *bpf) {
  struct bpf_map_info info = {0};
  denet_u32 length = sizeof(info);
  struct denet_buffer DENET_CLEANUP(denet_buffer_done) nothing = {0};
  if (bpf_obj_get_info_by_fd(bpf_map__fd(bpf->maps.probe), &info, &length))
    return -errno;
  bpf->bss->probe_id = info.id;
  DENET_CLEANUP(destroy_link)
  struct bpf_link *link = bpf_program__attach_iter(bpf->progs.find_offsets, NULL);
  int error = link ? denet_bpf_read_iterator(bpf_link__fd(link), &nothing) : -errno;
  if (error)
    return error;
  for (denet_u32 cpu = 0; cpu < bpf->rodata->cpu_count; cpu++)
    bpf->bss->cpu_offset[cpu] = bpf->bss->probe_place[cpu] - bpf->bss->probe_base;
  return bpf->bss->probe_base ? 0 : -ENOENT;
}

/* Marks the pointer in struct ending as one that holds a reference: what btf_type_tag("kptr") does
 * for newer compilers than Debian 12's. */
static int tag_kept_task(const struct process_bpf *bpf) {
  struct btf *btf = bpf_object__btf(bpf->obj);
  int owner = btf__find_by_name_kind(btf, "ending", BTF_KIND_STRUCT);
  int task = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
  int tag = task < 0 ? task : btf__add_type_tag(btf, "kptr", task);
  int pointer = tag < 0 ? tag : btf__add_ptr(btf, tag);
  if (owner < 0 || pointer < 0)
    return owner < 0 ? owner : pointer;
  btf_members((struct btf_type *)btf__type_by_id(btf, (denet_u32)owner))[0].type =
      (denet_u32)pointer;
  return 0;
}

static denet_u32 count_cpus(void) {
  int cpus = libbpf_num_possible_cpus();
  return cpus < 0 ? 0 : cpus > DENET_BPF_CPUS ? DENET_BPF_CPUS : (denet_u32)cpus;
}

/* keeps_tasks: with the programs that keep the tasks of processes that have exited. */
static int load(struct denet_loader *programs, const struct btf *kernel, bool keeps_tasks) {
  bool percpu = has_percpu_rss(kernel);
  programs->bpf = process_bpf__open();
  if (!programs->bpf)
    return -errno;
  struct process_bpf *bpf = programs->bpf;
  bpf->rodata->cpu_count = count_cpus();
  bpf_program__set_autoload(bpf->progs.note_exit, !keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_free, !keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_exit_kept, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.note_free_kept, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.tell_end, keeps_tasks);
  bpf_map__set_autocreate(bpf->maps.ending, keeps_tasks);
  bpf_program__set_autoload(bpf->progs.find_offsets, percpu);
  bpf_program__set_autoattach(bpf->progs.find_offsets, false);
  bpf_program__set_autoattach(bpf->progs.list_tasks, false);
  int error = keeps_tasks ? tag_kept_task(bpf) : 0;
  if (!error)
    error = process_bpf__load(bpf);
  if (!error && percpu)
    error = learn_cpu_offsets(bpf);
  return error;
}

static int attach(struct denet_loader *programs) {
  struct process_bpf *bpf = programs->bpf;
  programs->events = ring_buffer__new(bpf_map__fd(bpf->maps.events), take_event, programs, NULL);
  programs->calls = ring_buffer__new(bpf_map__fd(bpf->maps.calls), take_call, programs, NULL);
  programs->tasks = bpf_program__attach_iter(bpf->progs.list_tasks, NULL);
  if (!programs->events || !programs->calls || !programs->tasks)
    return -errno;
  return process_bpf__attach(bpf);
}

int denet_loader_open(struct denet_error *error, struct denet_loader **out_programs) {
  DENET_CLEANUP(free_programsp) struct denet_loader *programs = calloc(1, sizeof(*programs));
  if (!programs)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  libbpf_set_print(NULL); /* what goes wrong is in our own sentence */
  DENET_CLEANUP(free_btf) struct btf *kernel = btf__load_vmlinux_btf();
  if (!kernel)
    return denet_error_set(
        error, -ENOTSUP, "the kernel does not describe its types: it needs CONFIG_DEBUG_INFO_BTF");
  int failure = load(programs, kernel, true);
  if (failure) {
    process_bpf__destroy(DENET_TAKE(programs->bpf));
    failure = load(programs, kernel, false);
  }
  if (!failure)
    failure = attach(programs);
  if (failure)
    return denet_bpf_explain(failure, error);
  *out_programs = DENET_TAKE(programs);
  return 0;
}
