/* Lists the processes of /proc and reads their values. A pass opens no file of most of them:
 * getdents(2) gives the inode of each /proc/PID, another one for a new process, and the CPU clock
 * of a process (clock_gettime(2), 0.3 us) shows whether any of its threads has run since the last
 * pass. A process that has not run has not exec'd, changed its name, exited or used anything. Only
 * its memory may have changed, as the kernel reclaims it. */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include "core/model/thread_sums.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCK_SKEW_NS 100000 /* 0.1 % of the shortest usual interval */
#define CLOCK_ATTEMPTS 3
#define NET_TEXT_BYTES (16u << 20) /* some 100,000 interfaces */
#define PROCESSES_MOST 256         /* of a chunk; most are idle, so that no file of them is read */
#define THREADS_MOST 96            /* likewise */
_Static_assert(2 * THREADS_MOST <= DENET_READ_WORKER_FILES, "stat and io of each");
#define NOT_READ UINT_MAX /* in place of the index of a file in procfs->numbers */

/* Takes the metrics of a file, whose numbers have keys or are the fields of one line. */
static void take_file(const struct denet_procfs_plan *plan, struct denet_text text,
                      struct denet_values *out) {
  uint64_t values[DENET_COUNT_OF(plan->key)], found = 0;
  bool has_keys = !plan->index[0];
  if (has_keys)
    found = denet_parse_keys(text, plan->key, plan->count, values);
  for (unsigned i = 0; i < plan->count; i++)
    if (has_keys ? found >> i & 1 : denet_parse_field(text, plan->index[i], &values[i]))
      denet_values_set(out, plan->metric[i], values[i] * plan->unit[i]);
}

int denet_procfs_read_cpu(const struct denet_procfs *procfs, pid_t pid, uint64_t *out_cpu_ns,
                          uint64_t *out_now_ns) {
  const struct denet_env *env = procfs->env;
  /* If this thread loses its CPU between the two clocks they are read again, as the difference
   * would be an error of the CPU use. */
  for (int attempt = 0; attempt < CLOCK_ATTEMPTS; attempt++) {
    clockid_t clock;
    struct timespec time;
    uint64_t before_ns = env->boot_ns(env->context);
    bool is_read =
        procfs->own_pids && !clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &time);
    *out_now_ns = env->boot_ns(env->context);
    if (!is_read)
      return procfs->own_pids ? DENET_GONE : -ENOTSUP;
    *out_cpu_ns = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
    if (*out_now_ns - before_ns < CLOCK_SKEW_NS)
      break;
  }
  return 0;
}

/* Takes the values of stat. With a CPU clock the CPU times in ticks only give the ratio of user and
 * system time. */
static void take_values(const struct denet_procfs *procfs, struct denet_process *process,
                        const struct denet_stat *stat) {
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_STAT];
  struct denet_values *now = &process->usage->now;
  for (unsigned i = 0; i < plan->count; i++)
    if (plan->index[i] < stat->fields && !(procfs->own_pids && plan->unit[i] != 1))
      denet_values_set(now, plan->metric[i], stat->field[plan->index[i]] * plan->unit[i]);
  if (procfs->own_pids)
    denet_values_split_cpu(now, process->usage->cpu_ns, stat->field[DENET_STAT_USER_TICKS],
                           stat->field[DENET_STAT_SYSTEM_TICKS]);
}

/* Reads the values of stat, and the CPU clock, of a process that comes to be measured while it
 * sleeps. Those of a process that has run are of the scan. */
static void measure_stat(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_usage *usage = process->usage;
  struct denet_text text;
  struct denet_stat stat;
  if (denet_procfs_read_cpu(procfs, process->pid, &usage->cpu_ns, &usage->measured_ns) &&
      procfs->own_pids)
    return;
  denet_read_worker_begin(procfs->numbers);
  unsigned index = denet_procfs_add_file(procfs, process->pid, 0, "stat");
  denet_read_worker_read(procfs->numbers);
  if (!denet_procfs_file_text(procfs, index, &text) && !denet_parse_stat(text, &stat) &&
      stat.field[DENET_STAT_START_TICKS] == process->start_ticks)
    take_values(procfs, process, &stat);
}

/* --- Threads --- */

/* Lists the threads of a process. 0; DENET_GONE; -errno. */
static int list_threads(struct denet_procfs *procfs, pid_t pid) {
  procfs->threads.count = 0;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, 0, "task", O_DIRECTORY);
  DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
  if (!tasks)
    return denet_procfs_note(procfs, NULL, denet_procfs_outcome(-errno), 0);
  DENET_TAKE_FD(fd);
  int outcome = denet_procfs_outcome(denet_procfs_list(&procfs->threads, tasks));
  closedir(tasks);
  return outcome < 0 ? outcome : 0;
}

pid_t denet_procfs_find_mm(struct denet_procfs *procfs, const struct denet_process *process) {
  if (!process->no_mm)
    return 0;
  list_threads(procfs, process->pid);
  for (size_t i = 0; i < procfs->threads.count; i++)
    if (procfs->threads.items[i].pid != process->pid)
      return procfs->threads.items[i].pid;
  return -1;
}

/* Lists the known threads that were not in the directory. The kernel leaves out some when one exits
 * while it is read (next_tid, fs/proc/base.c), and these must not count as new in the next pass. */
static int list_missing_threads(struct denet_procfs *procfs, const struct denet_thread_sums *sums) {
  int error = 0;
  pid_t tid = 0;
  procfs->threads.count = 0;
  while (!error && (tid = denet_thread_sums_next_missing(sums, tid)))
    error = denet_procfs_append(&procfs->threads, tid, 0);
  return error;
}

/* A visit of all threads of a process. */
struct visit {
  struct denet_procfs *procfs;
  struct denet_process *process;
  struct denet_thread_sums *sums; /* of the process */
  bool wants_status, wants_io, wants_off_cpu;
  bool reads_all; /* also the counters of threads that have not run */
};

/* What is read of a thread. */
struct thread {
  pid_t tid;
  int outcome; /* of schedstat, which is read first */
  struct denet_thread_times times;
  struct denet_values counters;
  unsigned stat, io; /* indices in procfs->numbers; NOT_READ */
};

/* Reads the times of a thread, and appends its other files on which a read may stall. */
static void begin_thread(const struct visit *visit, struct thread *thread) {
  struct denet_procfs *procfs = visit->procfs;
  pid_t pid = visit->process->pid, tid = thread->tid;
  struct denet_text text = {0};
  if (procfs->has_schedstat)
    thread->outcome = denet_procfs_read(procfs, pid, tid, "schedstat", &text);
  if (thread->outcome)
    return;
  denet_parse_field(text, 1, &thread->times.run_ns);
  denet_parse_field(text, 2, &thread->times.delay_ns);
  denet_parse_field(text, 3, &thread->times.timeslices);
  take_file(&procfs->plan[DENET_FILE_THREAD_SCHEDSTAT], text, &thread->counters);
  if (visit->wants_off_cpu && tid != pid && denet_thread_sums_lacks_start(visit->sums, tid))
    thread->stat = denet_procfs_add_file(procfs, pid, tid, "stat");
  if (visit->wants_io &&
      (visit->reads_all || denet_thread_sums_may_have_run(visit->sums, tid, &thread->times)))
    thread->io = denet_procfs_add_file(procfs, pid, tid, "io");
}

/* Begins the blocked time of the thread visited last, if it has none yet. stat has the clock tick
 * in which the thread started; its middle is right on average. 0 or the outcome of its stat. */
static int start_blocked(const struct visit *visit, const struct thread *thread) {
  const struct denet_process *process = visit->process;
  uint64_t tick_ns = visit->procfs->env->tick_ns, start_ticks = process->start_ticks;
  struct denet_text text;
  struct denet_stat stat;
  bool is_main = thread->tid == process->pid;
  if (!denet_thread_sums_lacks_start(visit->sums, thread->tid) ||
      (is_main && (process->ended || process->no_mm)))
    return 0;
  if (!is_main) {
    /* stat was not appended if the visit showed that another thread has the number now. */
    int outcome = thread->stat == NOT_READ
                      ? -EAGAIN
                      : denet_procfs_file_text(visit->procfs, thread->stat, &text);
    if (!outcome)
      outcome = denet_parse_stat(text, &stat);
    if (outcome)
      return outcome;
    start_ticks = stat.field[DENET_STAT_START_TICKS];
  }
  denet_thread_sums_start(visit->sums, start_ticks * tick_ns + tick_ns / 2);
  return 0;
}

/* Reads the counters of the thread visited last, adds their increase. 0 or a transient error. */
static int add_counters(const struct visit *visit, struct thread *thread) {
  struct denet_procfs *procfs = visit->procfs;
  struct denet_text text;
  int outcome = visit->wants_status
                    ? denet_procfs_read(procfs, visit->process->pid, thread->tid, "status", &text)
                    : DENET_LATER;
  if (!outcome)
    take_file(&procfs->plan[DENET_FILE_THREAD_STATUS], text, &thread->counters);
  if (!denet_error_is_transient(outcome) && thread->io != NOT_READ) {
    outcome =
        denet_procfs_note(procfs, visit->process, denet_procfs_file_text(procfs, thread->io, &text),
                          DENET_UNAVAILABLE_IO);
    if (!outcome)
      take_file(&procfs->plan[DENET_FILE_IO], text, &thread->counters);
  }
  if (denet_error_is_transient(outcome))
    return outcome;
  denet_thread_sums_add(visit->sums, &thread->counters);
  return 0;
}

/* Visits a thread. If it has not run, its counters are not read. 0 or -errno; threads that are gone
 * or not permitted are passed over. */
static int measure_thread(const struct visit *visit, struct thread *thread) {
  if (thread->outcome)
    return thread->outcome;
  int has_run = denet_thread_sums_visit(visit->sums, thread->tid, &thread->times);
  if (has_run < 0)
    return has_run;
  int outcome = visit->wants_off_cpu ? start_blocked(visit, thread) : 0;
  if ((has_run || visit->reads_all) && !denet_error_is_transient(outcome))
    outcome = add_counters(visit, thread);
  return denet_error_is_transient(outcome) ? outcome : 0;
}

/* Measures the listed threads in chunks: one list of files has those of many. 0 or -errno. */
static int measure_listed_threads(const struct visit *visit) {
  struct denet_procfs *procfs = visit->procfs;
  struct thread threads[THREADS_MOST];
  int outcome = 0;
  for (size_t from = 0; from < procfs->threads.count && outcome >= 0; from += THREADS_MOST) {
    size_t count = procfs->threads.count - from;
    if (count > THREADS_MOST)
      count = THREADS_MOST;
    denet_read_worker_begin(procfs->numbers);
    for (size_t i = 0; i < count; i++) {
      threads[i] = (struct thread){
          .tid = procfs->threads.items[from + i].pid, .stat = NOT_READ, .io = NOT_READ};
      begin_thread(visit, &threads[i]);
    }
    denet_read_worker_read(procfs->numbers);
    for (size_t i = 0; i < count && outcome >= 0; i++)
      outcome = measure_thread(visit, &threads[i]);
  }
  return outcome < 0 ? outcome : 0;
}

/* Takes the time that the threads were blocked until now_ns, if it is known. */
static void take_blocked(struct denet_usage *usage, uint64_t now_ns) {
  uint64_t blocked_ns;
  if (usage->threads && denet_thread_sums_blocked(usage->threads, now_ns, &blocked_ns))
    denet_values_set(&usage->now, DENET_OFF_CPU, blocked_ns);
}

/* Measures what is summed over threads. After a transient error no sum is taken: the part of the
 * other threads would come as a jump. */
static void measure_threads(struct denet_procfs *procfs, struct denet_process *process,
                            const struct denet_metric_set *wanted) {
  const struct denet_procfs_plan *plan = procfs->plan;
  struct denet_usage *usage = process->usage;
  uint64_t now_ns = procfs->env->boot_ns(procfs->env->context);
  if (!usage->threads)
    usage->threads = denet_thread_sums_new();
  struct visit visit = {
      .procfs = procfs,
      .process = process,
      .sums = usage->threads,
      .wants_status = denet_metric_set_meets(wanted, &plan[DENET_FILE_THREAD_STATUS].metrics),
      .wants_io =
          process->has_reaped && denet_metric_set_meets(wanted, &plan[DENET_FILE_IO].metrics),
      .wants_off_cpu = procfs->has_schedstat && denet_metric_set_has(wanted, DENET_OFF_CPU),
      .reads_all = !procfs->has_schedstat || (process->has_reaped && !usage->io_by_thread)};
  int outcome = -ENOMEM;
  procfs->threads.count = 0;
  if (visit.sums) {
    denet_thread_sums_begin(visit.sums, now_ns);
    denet_thread_sums_note_main(visit.sums, process->pid, process->exec_stamp,
                                process->ended || process->no_mm);
    outcome = denet_values_get(&usage->now, DENET_THREADS) == 1
                  ? denet_procfs_append(&procfs->threads, process->pid, 0)
                  : list_threads(procfs, process->pid);
    if (!outcome)
      outcome = measure_listed_threads(&visit);
    if (!outcome)
      outcome = list_missing_threads(procfs, visit.sums);
    if (!outcome)
      outcome = measure_listed_threads(&visit);
    denet_thread_sums_end(visit.sums, !outcome);
  }
  if (denet_error_is_transient(outcome)) {
    procfs->read_failure = outcome;
    return;
  }
  usage->io_by_thread = process->has_reaped;
  if (!outcome && denet_metric_set_has(wanted, DENET_OFF_CPU))
    take_blocked(usage, now_ns);
  denet_thread_sums_take(usage->threads, &usage->now);
}

/* --- The process --- */

static void measure_memory(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  uint64_t vm_pages;
  pid_t tid = denet_procfs_find_mm(procfs, process);
  int outcome = tid < 0 ? DENET_GONE : denet_procfs_read(procfs, process->pid, tid, "statm", &text);
  /* A process that has exited since the scan has no memory; its last values stay. */
  bool has_memory = !outcome && denet_parse_field(text, 1, &vm_pages) && vm_pages;
  if (has_memory || (!outcome && (process->kernel_thread || process->ended)))
    take_file(&procfs->plan[DENET_FILE_STATM], text, &process->usage->now);
}

/* Returns the interface sums of a network namespace, read once a pass from the first process
 * in it; NULL if they cannot be read. */
static const struct denet_procfs_net *find_net(struct denet_procfs *procfs, uint64_t namespace,
                                               pid_t pid) {
  for (size_t i = 0; i < procfs->net_count; i++)
    if (procfs->nets[i].namespace == namespace)
      return &procfs->nets[i];
  if (denet_array_reserve(&procfs->nets, &procfs->net_capacity, procfs->net_count + 1,
                          sizeof(*procfs->nets)))
    return NULL;
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  pid_t net_pid = namespace == procfs->own_net ? getpid() : pid;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, net_pid, 0, "net/dev", 0);
  /* The kernel gives this file in pieces of at most a page. */
  if (fd < 0 || denet_buffer_read(&procfs->net_text, fd, NET_TEXT_BYTES))
    return NULL;
  struct denet_text text = denet_buffer_text(&procfs->net_text);
  struct denet_procfs_net *net = &procfs->nets[procfs->net_count++];
  *net = (struct denet_procfs_net){.namespace = namespace};
  uint64_t sum;
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_net_dev(text, plan->index[i], &sum))
      denet_values_set(&net->values, plan->metric[i], sum);
  return net;
}

void denet_procfs_measure_net(struct denet_procfs *procfs, struct denet_process *process,
                              const struct denet_metric_set *wanted) {
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  struct denet_usage *usage = process->usage;
  if (!denet_metric_set_meets(wanted, &plan->metrics) || !usage->net_namespace)
    return;
  const struct denet_procfs_net *net = find_net(procfs, usage->net_namespace, process->pid);
  for (unsigned i = 0; net && i < plan->count; i++)
    if (denet_values_has(&net->values, plan->metric[i]))
      denet_values_set(&usage->now, plan->metric[i], net->values.value[plan->metric[i]]);
}

/* The files of a process that are read in one list with stat. */
enum other { IO, NET_NAMESPACE, OTHERS };

static const struct {
  const char *name;
  enum denet_proc_file file; /* that has the metrics */
  enum denet_unavailable denied;
} others[OTHERS] = {
    [IO] = {"io", DENET_FILE_IO, DENET_UNAVAILABLE_IO},
    [NET_NAMESPACE] = {"ns/net", DENET_FILE_NET_DEV, DENET_UNAVAILABLE_NAMESPACES},
};

/* Returns whether the values of the file are right. When a process waits for a child, the kernel
 * adds the child's I/O to its own (wait_task_zombie, kernel/exit.c), so that a tree would count it
 * twice. The files of its threads do not have that. Until then the file of the process is right,
 * and includes threads that exited. */
static bool is_right(const struct denet_process *process, unsigned other) {
  return other == IO ? !process->has_reaped : !process->no_mm;
}

/* Appends those that have wanted metrics, and whose values are right. Stores their indices in the
 * list of procfs->numbers, NOT_READ of the others. Returns how many. */
static unsigned add_others(struct denet_procfs *procfs, const struct denet_process *process,
                           const struct denet_metric_set *wanted, unsigned out_indices[OTHERS]) {
  unsigned count = 0;
  for (unsigned i = 0; i < OTHERS; i++) {
    out_indices[i] = NOT_READ;
    if (!denet_metric_set_meets(wanted, &procfs->plan[others[i].file].metrics) ||
        !is_right(process, i))
      continue;
    out_indices[i] = denet_procfs_add_file(procfs, process->pid, 0, others[i].name);
    count++;
  }
  return count;
}

/* Takes the values of those that were appended. Returns false after a transient error: then the
 * network namespace stays as it was; otherwise one that cannot be read is unknown. */
static bool take_others(struct denet_procfs *procfs, struct denet_process *process,
                        const unsigned indices[OTHERS]) {
  bool is_complete = true;
  for (unsigned i = 0; i < OTHERS; i++) {
    struct denet_text text = {0};
    if (indices[i] == NOT_READ || !is_right(process, i))
      continue;
    int outcome = denet_procfs_note(
        procfs, process, denet_procfs_file_text(procfs, indices[i], &text), others[i].denied);
    const char *number = outcome ? NULL : strchr(text.bytes, '['); /* "net:[4026531840]" */
    if (denet_error_is_transient(outcome))
      is_complete = false;
    else if (i == NET_NAMESPACE)
      denet_usage_enter_net(process->usage, number ? strtoull(number + 1, NULL, 10) : 0);
    else if (!outcome)
      take_file(&procfs->plan[DENET_FILE_IO], text, &process->usage->now);
  }
  return is_complete;
}

void denet_procfs_measure(struct denet_source *source, struct denet_process *process,
                          const struct denet_metric_set *wanted, bool first) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  const struct denet_procfs_plan *plan = procfs->plan;
  struct denet_usage *usage = process->usage;
  struct denet_metric_set of_threads = plan[DENET_FILE_THREAD_STATUS].metrics;
  denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_THREAD_SCHEDSTAT].metrics);
  denet_metric_set_add(&of_threads, DENET_OFF_CPU);
  unsigned others_read[OTHERS];
  bool may_differ = first || process->has_run;
  if (process->vanished || process->notes.procfs.is_unread) /* the pid may be another process's */
    return;
  procfs->read_failure = 0;
  if (first && denet_metric_set_is_empty(&usage->now.present))
    measure_stat(procfs, process);
  if (denet_metric_set_meets(wanted, &plan[DENET_FILE_STATM].metrics))
    measure_memory(procfs, process);
  if (process->has_reaped)
    denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_IO].metrics);
  if (may_differ && (first || !process->notes.procfs.has_others)) {
    denet_read_worker_begin(procfs->numbers);
    add_others(procfs, process, wanted, others_read);
    denet_read_worker_read(procfs->numbers);
    take_others(procfs, process, others_read);
  }
  if (may_differ && denet_metric_set_meets(wanted, &of_threads))
    measure_threads(procfs, process, wanted);
  else if (denet_metric_set_has(wanted, DENET_OFF_CPU)) /* no thread has run since */
    take_blocked(usage, usage->measured_ns);
  denet_procfs_measure_net(procfs, process, wanted);
  process->has_run = procfs->read_failure != 0; /* the next pass reads again */
}

/* --- The scan --- */

/* Takes from stat what identifies the process, and its state. */
static void take_identity(const struct denet_procfs *procfs, struct denet_process *process,
                          const struct denet_stat *stat) {
  uint64_t flags = stat->field[DENET_STAT_FLAGS];
  bool has_memory = stat->field[DENET_STAT_VM_BYTES] != 0;
  bool has_stack = DENET_STAT_START_STACK < stat->fields;
  bool is_zombie = stat->state == 'Z' || stat->state == 'X';
  bool no_mm = !(flags & PF_KTHREAD) && !has_memory;
  struct denet_identity identity = {
      .start_ticks = stat->field[DENET_STAT_START_TICKS],
      .born_ns = stat->field[DENET_STAT_START_TICKS] * procfs->env->tick_ns,
      .parent_pid = (pid_t)stat->field[DENET_STAT_PARENT],
      .name = stat->name,
      .kernel_thread = flags & PF_KTHREAD,
      .never_execd = flags & PF_FORKNOEXEC,
      /* Each exec chooses the start of the stack anew (proc(5), startstack). */
      .exec_stamp = has_stack ? stat->field[DENET_STAT_START_STACK] : 0,
      .has_reaped = stat->field[DENET_STAT_CHILDREN_MINOR_FAULTS] > 0,
      /* After the exit of the main thread there is no memory, and so no stack. */
      .has_exec_stamp = !is_zombie && !no_mm,
      .is_zombie = is_zombie,
      .no_mm = no_mm,
      .threads = stat->field[DENET_STAT_THREADS],
  };
  if (DENET_STAT_EXIT_CODE < stat->fields)
    identity.exit_status = (int)stat->field[DENET_STAT_EXIT_CODE];
  /* To a reader without the right to know it the exit status is 0, and the code of a living process
   * starts at 1 (do_task_stat, fs/proc/array.c). */
  if (has_memory || process->is_new)
    process->notes.procfs.hides_exit =
        has_memory ? stat->field[DENET_STAT_START_CODE] == 1 : !procfs->sees_all;
  identity.has_exit_status = identity.exit_status || !process->notes.procfs.hides_exit;
  denet_process_identify(process, &identity);
}

/* One process of the list. Its CPU clock is read before stat: if the process runs in between, the
 * next pass finds another clock. */
struct entry {
  const struct denet_procfs_listed *listed;
  bool has_cpu; /* the CPU clock was read */
  uint64_t cpu_ns, now_ns;
  bool is_idle;                  /* it has not run since the last pass: no file is read */
  unsigned stat, others[OTHERS]; /* indices in the list of files */
};

/* Handles a process of which stat could not be read. It is removed if it is gone or new; after a
 * stall or another failure a known process stays as it was. */
static void keep_unread(struct denet_procfs *procfs, struct denet_process *process,
                        const struct entry *entry, int outcome) {
  struct denet_usage *usage = process->usage;
  /* With hidepid (proc(5)) processes may be listed that may not be read. */
  bool is_gone =
      outcome == DENET_GONE || outcome == -EINVAL || outcome == -EACCES || outcome == -EPERM;
  if (!is_gone && outcome != -EAGAIN)
    procfs->scan_failure = outcome;
  if (is_gone || process->is_new) {
    denet_process_table_undo(procfs->source.table); /* which may free it */
    return;
  }
  process->has_run = process->notes.procfs.is_unread = true;
  if (!usage || !entry->has_cpu || process->notes.procfs.inode != entry->listed->inode)
    return; /* the last: the pid was reused */
  denet_values_split_cpu(&usage->now, entry->cpu_ns, usage->now.value[DENET_CPU_USER],
                         usage->now.value[DENET_CPU_SYSTEM]); /* the clock needs no descriptor */
  usage->measured_ns = entry->now_ns;
}

/* Takes stat and what was read with it. */
static int take_stat(struct denet_procfs *procfs, struct denet_process *process,
                     struct entry *entry, const struct denet_stat *stat) {
  uint64_t cpu_ns, now_ns;
  take_identity(procfs, process, stat);
  /* The clock of a zombie still works. No later pass reads the time since the first reading. */
  if (process->ended && entry->has_cpu &&
      !denet_procfs_read_cpu(procfs, process->pid, &cpu_ns, &now_ns) && cpu_ns >= entry->cpu_ns) {
    entry->cpu_ns = cpu_ns;
    entry->now_ns = now_ns;
  }
  process->notes.procfs.inode = entry->listed->inode;
  process->notes.procfs.cpu_ns = entry->cpu_ns;
  process->has_run = true;
  if (!denet_process_use(process))
    return -ENOMEM;
  process->usage->cpu_ns = entry->cpu_ns;
  process->usage->measured_ns = entry->now_ns;
  take_values(procfs, process, stat);
  process->notes.procfs.has_others = take_others(procfs, process, entry->others);
  return 0;
}

/* Takes one entry. The process may turn out to be a new one with the pid of a known one. */
static int take_entry(struct denet_procfs *procfs, struct entry *entry) {
  struct denet_process *process;
  struct denet_text text;
  struct denet_stat stat;
  int error = denet_process_table_upsert(procfs->source.table, entry->listed->pid, &process);
  if (error)
    return error;
  process->notes.procfs.is_unread = process->notes.procfs.has_others = false;
  denet_process_drop_usage(process); /* it was read in the last pass, and is no member */
  if (entry->is_idle) {
    if (process->usage)
      process->usage->measured_ns = entry->now_ns;
    return 0;
  }
  int outcome = denet_procfs_file_text(procfs, entry->stat, &text);
  if (!outcome)
    outcome = denet_parse_stat(text, &stat);
  if (outcome) {
    keep_unread(procfs, process, entry, outcome);
    return 0;
  }
  if (!process->is_new && process->start_ticks != stat.field[DENET_STAT_START_TICKS])
    error = denet_process_table_replace(procfs->source.table, &process);
  return error ? error : take_stat(procfs, process, entry, &stat);
}

/* Reads the CPU clock of a process, and appends the files that must be read: of a known process
 * that has not run, if the last pass could not read them, or its parent has ended, so that it has
 * another one. Returns how many. */
static unsigned begin_entry(struct denet_procfs *procfs, struct entry *entry) {
  static const struct denet_metric_set none = {0};
  pid_t pid = entry->listed->pid;
  entry->has_cpu = !denet_procfs_read_cpu(procfs, pid, &entry->cpu_ns, &entry->now_ns);
  const struct denet_process *process = denet_process_table_peek(procfs->source.table, pid);
  bool is_known = process && process->notes.procfs.inode == entry->listed->inode;
  const struct denet_metric_set *wanted =
      process && process->usage ? &process->usage->wanted : &none;
  if (is_known && entry->has_cpu && process->notes.procfs.cpu_ns == entry->cpu_ns) {
    pid_t parent = process->parent_pid;
    bool is_orphan = parent && !denet_process_table_find(procfs->source.table, parent) &&
                     !denet_process_table_peek(procfs->source.table, parent);
    bool is_unread =
        process->notes.procfs.is_unread || (process->has_run && !denet_metric_set_is_empty(wanted));
    entry->is_idle = !is_unread && !is_orphan;
  }
  if (entry->is_idle)
    return 0;
  entry->stat = denet_procfs_add_file(procfs, pid, 0, "stat");
  return 1 + add_others(procfs, process, wanted, entry->others);
}

/* Scans a chunk of the list: as many processes as one list of files has room for. Adds how many to
 * *at. 0 or -ENOMEM. */
static int scan_chunk(struct denet_procfs *procfs, size_t *at) {
  struct entry entries[PROCESSES_MOST];
  unsigned count = 0, room = DENET_READ_WORKER_FILES;
  int failure = 0;
  denet_read_worker_begin(procfs->numbers);
  while (*at < procfs->processes.count && count < PROCESSES_MOST && room > OTHERS) {
    struct entry *entry = &entries[count++];
    *entry = (struct entry){.listed = &procfs->processes.items[(*at)++]};
    room -= begin_entry(procfs, entry);
  }
  denet_read_worker_read(procfs->numbers);
  for (unsigned i = 0; i < count && !failure; i++)
    failure = take_entry(procfs, &entries[i]);
  return failure;
}

int denet_procfs_scan(struct denet_source *source, struct denet_process_table *table,
                      struct denet_error *error) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_procfs_begin_pass(procfs);
  source->table = table;
  rewinddir(procfs->folder);
  int failure = denet_procfs_list(&procfs->processes, procfs->folder);
  if (failure)
    return denet_error_set(error, failure, "%s cannot be listed: %m", procfs->env->proc_path);
  procfs->scan_failure = 0;
  failure = denet_process_table_begin(table);
  for (size_t at = 0; at < procfs->processes.count && !failure;)
    failure = scan_chunk(procfs, &at);
  denet_process_table_end(table, !failure);
  failure = failure ? failure : procfs->scan_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be read: %m");
  return 0;
}
