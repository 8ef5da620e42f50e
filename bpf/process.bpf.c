/* The programs: a task iterator that gives every process of the host in one read, and what happens
 * to processes between two reads. */
#include "texts.h"
#include "usage.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* --- Where the CPUs have their parts of a per-CPU variable --- */

/* To learn it, a per-CPU map's value is looked at from both sides: the address in the map, and
 * where each CPU has it. */
denet_u32 probe_id = 0;
denet_u64 probe_base = 0;
denet_u64 probe_place[DENET_BPF_CPUS];

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, denet_u32);
  __type(value, denet_u64);
} probe SEC(".maps");

SEC("iter/bpf_map")
int find_offsets(struct bpf_iter__bpf_map *ctx) {
  struct bpf_map *map = ctx->map;
  denet_u32 zero = 0;
  if (!map || map->id != probe_id)
    return 0;
  const void *pptrs = (const char *)map + bpf_core_field_offset(struct bpf_array, pptrs);
  bpf_probe_read_kernel(&probe_base, sizeof(probe_base), pptrs);
  for (denet_u32 cpu = 0; cpu < DENET_BPF_CPUS; cpu++) {
    if (cpu >= cpu_count)
      break;
    probe_place[cpu] = (denet_u64)bpf_map_lookup_percpu_elem(&probe, &zero, cpu);
  }
  return 0;
}

/* --- The task iterator --- */

/* Processes that started before this have been seen by user space: only those that it watches are
 * told of at length. */
denet_u64 settled_ns = 0;

denet_u32 watched[DENET_BPF_PIDS / 32]; /* a bit for each pid, set by user space */

static __always_inline bool is_watched(denet_u32 pid) {
  return watched[pid / 32 & (DENET_BPF_PIDS / 32 - 1)] >> (pid & 31) & 1;
}

static __always_inline denet_u32 state_of(struct task_struct *task) {
  struct signal_struct *signal = task->signal;
  denet_u32 state = 0;
  if (is_on_cpu(task))
    state |= DENET_BPF_ON_CPU;
  else if (task->exit_state)
    state |= DENET_BPF_ZOMBIE;
  if (!task->mm && !(task->flags & PF_KTHREAD))
    state |= DENET_BPF_HOLLOW;
  if (has_reaped(signal))
    state |= DENET_BPF_HAS_REAPED;
  if (signal->oom_mm)
    state |= DENET_BPF_OOM_KILLED;
  return state;
}

static __always_inline void identify(struct task_struct *task,
                                     struct denet_bpf_identity *identity) {
  identity->brief.head.pid = task->tgid;
  identity->brief.head.start_ns = task->start_boottime;
  identity->brief.exec_id = task->self_exec_id;
  identity->parent_pid = task->real_parent->tgid;
  identity->flags = task->flags;
  identity->state = state_of(task);
  identity->threads = task->signal->nr_threads;
  bpf_probe_read_kernel(identity->brief.name, sizeof(identity->brief.name), task->comm);
}

static __always_inline void read_memory(struct mm_struct *mm, denet_u64 *rss, denet_u64 *vm) {
  *rss = read_rss(mm);
  *vm = mm->total_vm;
}

/* Of a main thread that exited before others; of another one 0. */
static __always_inline denet_u64 read_main_age(struct task_struct *task) {
  struct process_key key = key_of(task);
  struct exited_costs *costs = bpf_map_lookup_elem(&exited, &key);
  return costs ? costs->leader.age_ns : 0;
}

static __always_inline void read_process(struct task_struct *task,
                                         struct denet_bpf_process *process) {
  struct signal_struct *signal = task->signal;
  struct denet_bpf_usage *costs = &process->usage;
  bool has_own_io = !has_reaped(signal);
  read_thread(task, costs);
  add_exited(signal, costs);
  add_io(&task->ioac, costs);
  if (has_own_io)
    add_io(&signal->ioac, costs);
  /* Some thread has exited. Its I/O is noted for when signal->ioac won't be the process's own. */
  if (signal->sum_sched_runtime)
    add_summed(find_exited(task), has_own_io, costs);
  if (task->flags & PF_EXITING)
    costs->age_ns += read_main_age(task);
  process->seen_ns = bpf_ktime_get_boot_ns();
  process->uid = task->real_cred->uid.val;
  process->cpu = read_cpu(task);
  process->net_namespace = task->nsproxy->net_ns->ns.inum;
  process->exit_code = read_exit_code(task);
  if (task->mm)
    read_memory(task->mm, &process->rss_pages, &process->vm_pages);
}

static __always_inline int list_thread(struct task_struct *task, struct seq_file *seq) {
  struct denet_bpf_thread thread = {.head = {DENET_BPF_THREAD, task->tgid}, .tid = task->pid};
  read_thread(task, &thread.usage);
  /* Not what has been added to the process's sums, or is about to be. */
  bool is_summed = task->flags & PF_EXITING;
  if (is_summed)
    thread.usage.run_delay_ns = 0;
  if (!is_summed || !has_reaped(task->signal))
    add_io(&task->ioac, &thread.usage);
  if (!task->group_leader->mm && task->mm)
    read_memory(task->mm, &thread.rss_pages, &thread.vm_pages);
  thread.state = is_on_cpu(task) ? DENET_BPF_ON_CPU : 0;
  bpf_seq_write(seq, &thread, sizeof(thread));
  return 0;
}

/* No more is read than what tells whether it has changed: each line of memory counts. */
static __always_inline int list_briefly(struct task_struct *task, struct seq_file *seq) {
  struct denet_bpf_brief brief = {
      .head = {DENET_BPF_BRIEF, task->tgid, task->start_boottime},
      .exec_id = task->self_exec_id,
  };
  bpf_probe_read_kernel(brief.name, sizeof(brief.name), task->comm);
  bpf_seq_write(seq, &brief, sizeof(brief));
  return 0;
}

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  struct seq_file *seq = ctx->meta->seq;
  bool is_brief = task->group_leader->start_boottime < settled_ns && !task->exit_state &&
                  !is_watched(task->tgid);
  if (task->pid != task->tgid)
    return is_brief ? 0 : list_thread(task, seq);
  if (is_brief)
    return list_briefly(task, seq);
  struct denet_bpf_process process = {};
  identify(task, &process.identity);
  process.identity.brief.head.kind = DENET_BPF_PROCESS;
  read_process(task, &process);
  bpf_seq_write(seq, &process, sizeof(process));
  return 0;
}

/* --- Events --- */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_BPF_RING_BYTES);
} events SEC(".maps");

denet_u64 lost = 0; /* events for which there was no room */

/* User space reads the events at each of its ticks. When a program begins, or before they have
 * filled the ring, it is woken: by a word in a ring of its own, once until it has read them. */
denet_u32 has_called = 0; /* reset by user space */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, DENET_BPF_CALL_BYTES);
} calls SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, denet_u32);
  __type(value, struct texts_room);
} rooms SEC(".maps");

static __always_inline void count_loss(void) { __sync_fetch_and_add(&lost, 1); }

static __always_inline void call(void) {
  if (has_called)
    return;
  has_called = 1;
  denet_u64 word = 0;
  bpf_ringbuf_output(&calls, &word, sizeof(word), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void call_if_full(void) {
  if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > DENET_BPF_RING_BYTES / 2)
    call();
}

static __always_inline void submit(void *event) {
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  call_if_full();
}

static __always_inline struct denet_bpf_head make_head(struct task_struct *task,
                                                       enum denet_bpf_kind kind) {
  struct denet_bpf_head head = {kind, task->tgid, task->group_leader->start_boottime};
  return head;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(note_fork, struct task_struct *parent, struct task_struct *child) {
  if (child->pid != child->tgid)
    return 0;
  struct denet_bpf_fork *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    count_loss();
    return 0;
  }
  event->head = make_head(child, DENET_BPF_FORK);
  event->parent_pid = child->real_parent->tgid;
  event->unused = 0;
  submit(event);
  return 0;
}

static __always_inline void send_texts(struct task_struct *task) {
  denet_u32 zero = 0;
  struct texts_room *room = bpf_map_lookup_elem(&rooms, &zero);
  struct mm_struct *mm = task->mm;
  if (!room || !mm)
    return;
  struct denet_bpf_texts *texts = &room->texts;
  texts->head = make_head(task, DENET_BPF_TEXTS);
  texts->exec_id = task->self_exec_id;
  texts->uid = task->real_cred->uid.val;
  bpf_probe_read_kernel(texts->name, sizeof(texts->name), task->comm);
  room->used = 0;
  append_arguments(room, mm);
  denet_u64 arguments = room->used;
  if (!append_path(room, mm->exe_file))
    room->used = arguments;
  denet_u64 executable = room->used;
  if (!append_cgroup(room, task->cgroups))
    room->used = executable;
  texts->argument_bytes = arguments;
  texts->executable_bytes = executable - arguments;
  texts->cgroup_bytes = room->used - executable;
  denet_u64 size = sizeof(*texts) + (room->used & (2 * DENET_BPF_TEXT_BYTES - 1));
  if (bpf_ringbuf_output(&events, texts, size, BPF_RB_NO_WAKEUP))
    count_loss();
  call_if_full();
}

/* A thread that execs takes the main one's place and start time (de_thread, fs/exec.c): NULL if
 * there is none. */
static __always_inline struct task_struct *find_usurper(struct signal_struct *signal) {
  struct signal_struct___old *old = (void *)signal;
  if (bpf_core_field_exists(old->group_exit_task))
    return BPF_CORE_READ(old, group_exit_task);
  return bpf_core_field_exists(signal->group_exec_task) ? signal->group_exec_task : 0;
}

/* The age with which a thread goes into the sums: a main one's without what the one that takes its
 * place will have too much, which is what it was younger. */
static __always_inline denet_u64 read_last_age(struct task_struct *task) {
  denet_u64 age_ns = read_age(task);
  struct task_struct *usurper = task->pid == task->tgid ? find_usurper(task->signal) : 0;
  if (!usurper || usurper == task)
    return age_ns;
  denet_u64 gap_ns = BPF_CORE_READ(usurper, start_time) - task->start_time;
  return gap_ns < age_ns ? age_ns - gap_ns : 0;
}

/* Where a thread is summed: a main one apart. */
static __always_inline void sum_up(struct task_struct *task) {
  struct exited_costs *costs = find_exited(task);
  if (!costs) {
    count_loss();
    return;
  }
  struct sums *sums = task->pid == task->tgid ? &costs->leader : &costs->threads;
  __sync_fetch_and_add(&sums->age_ns, read_last_age(task));
  __sync_fetch_and_add(&sums->run_delay_ns, read_run_delay(task));
  if (!has_io())
    return;
  __sync_fetch_and_add(&sums->read_chars, task->ioac.rchar);
  __sync_fetch_and_add(&sums->write_chars, task->ioac.wchar);
  __sync_fetch_and_add(&sums->read_calls, task->ioac.syscr);
  __sync_fetch_and_add(&sums->write_calls, task->ioac.syscw);
  __sync_fetch_and_add(&sums->read_bytes, task->ioac.read_bytes);
  __sync_fetch_and_add(&sums->write_bytes, task->ioac.write_bytes);
}

/* A thread that execs becomes the main one (de_thread, fs/exec.c): the old one is one of those that
 * have exited. */
static __always_inline void depose_leader(struct task_struct *task) {
  struct exited_costs *costs = find_exited(task);
  if (!costs)
    return;
  costs->threads.age_ns += costs->leader.age_ns;
  costs->threads.run_delay_ns += costs->leader.run_delay_ns;
  costs->threads.read_chars += costs->leader.read_chars;
  costs->threads.write_chars += costs->leader.write_chars;
  costs->threads.read_calls += costs->leader.read_calls;
  costs->threads.write_calls += costs->leader.write_calls;
  costs->threads.read_bytes += costs->leader.read_bytes;
  costs->threads.write_bytes += costs->leader.write_bytes;
  costs->leader = (struct sums){};
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(note_exec, struct task_struct *task, pid_t old_pid) {
  if (old_pid != task->pid)
    depose_leader(task);
  send_texts(task);
  call();
  return 0;
}

/* --- Tasks that are kept --- */

/* Since Linux 6.3 a task can be kept: then its end can be told as soon as somebody asks, and there
 * is no need to wait for note_free(). The programs that do it stand beside those for older kernels,
 * of which some refuse any program with a function that they do not have. */

struct ending {
  struct task_struct *task; /* the main thread; user space marks it as a kptr, clang 14 cannot */
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, DENET_BPF_ENDING_MOST);
  __type(key, struct process_key);
  __type(value, struct ending);
} ending SEC(".maps");

struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
void bpf_task_release(struct task_struct *task) __ksym __weak;

static __always_inline bool keep(struct task_struct *task) {
  struct process_key key = key_of(task);
  struct ending none = {};
  bpf_map_update_elem(&ending, &key, &none, BPF_NOEXIST);
  struct ending *kept = bpf_map_lookup_elem(&ending, &key);
  if (!kept)
    return false;
  task = bpf_task_acquire(task->group_leader);
  if (!task)
    return false;
  task = bpf_kptr_xchg(&kept->task, task);
  if (task)
    bpf_task_release(task);
  return true;
}

static __always_inline void mark_not_kept(struct task_struct *task) {
  struct exited_costs *costs = find_exited(task);
  if (costs)
    costs->is_not_kept = 1;
  else
    count_loss();
}

/* --- Ends --- */

static __always_inline void send_exit(struct task_struct *task, struct denet_bpf_exit *event) {
  __builtin_memset(event, 0, sizeof(*event));
  event->head = make_head(task, DENET_BPF_EXIT);
  event->exit_ns = bpf_ktime_get_boot_ns();
  event->main_age_ns = task->pid == task->tgid ? read_age(task) : 0;
  event->parent_pid = task->real_parent->tgid;
  /* Since Linux 6.16; before, the memory is gone by now. */
  if (task->mm)
    read_memory(task->mm, &event->rss_pages, &event->vm_pages);
  submit(event);
}

/* Only what is told to have exited is kept: nobody would ask for the others. */
static __always_inline int exit_task(struct task_struct *task, bool keeps_tasks) {
  bool is_last = !task->signal->live.counter;
  if (!is_last || task->pid != task->tgid)
    sum_up(task);
  if (!is_last)
    return 0;
  if (task->flags & PF_FORKNOEXEC)
    send_texts(task);
  struct denet_bpf_exit *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event)
    count_loss();
  if (keeps_tasks && (!event || !keep(task)))
    mark_not_kept(task);
  if (event)
    send_exit(task, event);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit, struct task_struct *task) { return exit_task(task, false); }

SEC("tp_btf/sched_process_exit")
int BPF_PROG(note_exit_kept, struct task_struct *task) { return exit_task(task, true); }

/* The signal_struct has the sums of all threads, the main one's included. */
static __always_inline void read_final(struct task_struct *task, struct denet_bpf_free *event) {
  struct signal_struct *signal = task->signal;
  struct denet_bpf_usage *costs = &event->usage;
  struct process_key key = {task->tgid, task->start_boottime};
  bool has_own_io = !has_reaped(signal);
  add_exited(signal, costs);
  costs->age_ns = read_main_age(task);
  costs->run_delay_ns = read_run_delay(task);
  add_io(has_own_io ? &signal->ioac : &task->ioac, costs);
  add_summed(bpf_map_lookup_elem(&exited, &key), has_own_io, costs);
}

static __always_inline bool send_end(struct task_struct *task) {
  struct denet_bpf_free *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event)
    return false;
  __builtin_memset(event, 0, sizeof(*event));
  event->head = (struct denet_bpf_head){DENET_BPF_FREE, task->tgid, task->start_boottime};
  event->exec_id = task->self_exec_id;
  event->flags = task->flags;
  event->state = state_of(task);
  event->peak_rss_pages = task->signal->maxrss;
  event->uid = task->real_cred->uid.val;
  event->cpu = read_cpu(task);
  event->exit_code = read_exit_code(task);
  bpf_probe_read_kernel(event->name, sizeof(event->name), task->comm);
  read_final(task, event);
  submit(event);
  return true;
}

/* After an RCU grace period, in whichever context that ends. Of a process that was kept somebody
 * asks, or has. */
static __always_inline int free_task(struct task_struct *task, bool keeps_tasks) {
  if (task->pid != task->tgid)
    return 0;
  struct process_key key = {task->tgid, task->start_boottime};
  struct exited_costs *costs = bpf_map_lookup_elem(&exited, &key);
  bool is_untold = !keeps_tasks || (costs && costs->is_not_kept);
  if (is_untold && !send_end(task))
    count_loss();
  bpf_map_delete_elem(&exited, &key);
  return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(note_free, struct task_struct *task) { return free_task(task, false); }

SEC("tp_btf/sched_process_free")
int BPF_PROG(note_free_kept, struct task_struct *task) { return free_task(task, true); }

/* User space asks, which does not see the process any more. Its sums are final once it has no
 * signal handlers (__exit_signal, kernel/exit.c). */
SEC("syscall")
int tell_end(struct denet_bpf_question *question) {
  struct process_key key = {question->pid, question->start_ns};
  struct ending *kept = bpf_map_lookup_elem(&ending, &key);
  struct task_struct *task = kept ? bpf_kptr_xchg(&kept->task, 0) : 0;
  if (!task)
    return 0;
  bool is_told = !task->sighand && send_end(task);
  if (!is_told)
    task = bpf_kptr_xchg(&kept->task, task); /* to be asked for again */
  if (task)
    bpf_task_release(task);
  if (is_told) {
    bpf_map_delete_elem(&ending, &key);
    bpf_map_delete_elem(&exited, &key);
  }
  return 0;
}
