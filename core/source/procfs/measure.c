/* Reads the values of the processes of /proc. */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include "core/model/thread_sums.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NET_TEXT_BYTES (16u << 20) /* some 100,000 interfaces */
#define CHUNK_MOST 64              /* threads */
_Static_assert(3 * CHUNK_MOST <= DENET_READ_WORKER_FILES, "stat, io and stat again of each");

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
  unsigned stat, io; /* indices in procfs->numbers; DENET_PROCFS_NOT_READ */
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
 * in which the thread started; the middle of it is right on average. 0 or the outcome of its stat.
 */
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
    int outcome = thread->stat == DENET_PROCFS_NOT_READ
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

/* Reads the counters of the thread visited last, and adds their increase. 0 or a transient error.
 */
static int add_counters(const struct visit *visit, struct thread *thread) {
  struct denet_procfs *procfs = visit->procfs;
  struct denet_text text;
  int outcome = visit->wants_status
                    ? denet_procfs_read(procfs, visit->process->pid, thread->tid, "status", &text)
                    : DENET_LATER;
  if (!outcome)
    take_file(&procfs->plan[DENET_FILE_THREAD_STATUS], text, &thread->counters);
  if (!denet_error_is_transient(outcome) && thread->io != DENET_PROCFS_NOT_READ) {
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

/* Measures the listed threads in chunks, so that one list of files has those of many. 0 or -errno.
 */
static int measure_listed_threads(const struct visit *visit) {
  struct denet_procfs *procfs = visit->procfs;
  struct thread threads[CHUNK_MOST];
  int outcome = 0;
  for (size_t from = 0; from < procfs->threads.count && outcome >= 0; from += CHUNK_MOST) {
    size_t count = procfs->threads.count - from;
    if (count > CHUNK_MOST)
      count = CHUNK_MOST;
    denet_read_worker_begin(procfs->numbers);
    for (size_t i = 0; i < count; i++) {
      threads[i] = (struct thread){.tid = procfs->threads.items[from + i].pid,
                                   .stat = DENET_PROCFS_NOT_READ,
                                   .io = DENET_PROCFS_NOT_READ};
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

/* When the main thread has exited, its statm has zeros, but those of the other threads do not. */
static void measure_memory(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  uint64_t vm_pages;
  int outcome =
      process->no_mm ? DENET_GONE : denet_procfs_read(procfs, process->pid, 0, "statm", &text);
  if (process->no_mm)
    list_threads(procfs, process->pid);
  for (size_t i = 0; process->no_mm && outcome && i < procfs->threads.count; i++)
    if (procfs->threads.items[i].pid != process->pid)
      outcome =
          denet_procfs_read(procfs, process->pid, procfs->threads.items[i].pid, "statm", &text);
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
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_net_dev(text, plan->index[i], &net->value[i]))
      net->present |= 1u << i;
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
    if (net->present >> i & 1)
      denet_values_set(&usage->now, plan->metric[i], net->value[i]);
}

/* The files that the scan reads with stat. */
static const struct {
  const char *name;
  enum denet_proc_file file; /* that has the metrics */
  enum denet_unavailable denied;
} others[DENET_PROCFS_OTHERS] = {
    [DENET_PROCFS_IO] = {"io", DENET_FILE_IO, DENET_UNAVAILABLE_IO},
    [DENET_PROCFS_NET_NAMESPACE] = {"ns/net", DENET_FILE_NET_DEV, DENET_UNAVAILABLE_NAMESPACES},
};

/* Returns whether the values of the file are right. When a process waits for a child, the kernel
 * adds the child's I/O to its own (wait_task_zombie, kernel/exit.c), so that a tree would count it
 * twice. The files of its threads do not have that. Until then the file of the process is right,
 * and includes threads that exited. */
static bool is_right(const struct denet_process *process, unsigned other) {
  return other == DENET_PROCFS_IO ? !process->has_reaped : !process->no_mm;
}

unsigned denet_procfs_add_others(struct denet_procfs *procfs, const struct denet_process *process,
                                 const struct denet_metric_set *wanted,
                                 unsigned out_indices[DENET_PROCFS_OTHERS]) {
  unsigned count = 0;
  for (unsigned i = 0; i < DENET_PROCFS_OTHERS; i++) {
    out_indices[i] = DENET_PROCFS_NOT_READ;
    if (!denet_metric_set_meets(wanted, &procfs->plan[others[i].file].metrics) ||
        !is_right(process, i))
      continue;
    out_indices[i] = denet_procfs_add_file(procfs, process->pid, 0, others[i].name);
    count++;
  }
  return count;
}

/* After a transient error the network namespace stays as it was; otherwise one that cannot be read
 * is unknown. */
bool denet_procfs_take_others(struct denet_procfs *procfs, struct denet_process *process,
                              const unsigned indices[DENET_PROCFS_OTHERS]) {
  bool is_complete = true;
  for (unsigned i = 0; i < DENET_PROCFS_OTHERS; i++) {
    struct denet_text text = {0};
    if (indices[i] == DENET_PROCFS_NOT_READ || !is_right(process, i))
      continue;
    int outcome = denet_procfs_note(
        procfs, process, denet_procfs_file_text(procfs, indices[i], &text), others[i].denied);
    const char *number = outcome ? NULL : strchr(text.bytes, '['); /* "net:[4026531840]" */
    if (denet_error_is_transient(outcome))
      is_complete = false;
    else if (i == DENET_PROCFS_NET_NAMESPACE)
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
  unsigned others_read[DENET_PROCFS_OTHERS];
  bool may_differ = first || process->has_run;
  if (process->vanished || process->notes.procfs.is_unread) /* the pid may be another process's */
    return;
  procfs->read_failure = 0;
  if (first && denet_metric_set_is_empty(&usage->now.present))
    denet_procfs_measure_stat(procfs, process);
  if (denet_metric_set_meets(wanted, &plan[DENET_FILE_STATM].metrics))
    measure_memory(procfs, process);
  if (process->has_reaped)
    denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_IO].metrics);
  if (may_differ && (first || !process->notes.procfs.has_others)) {
    denet_read_worker_begin(procfs->numbers);
    denet_procfs_add_others(procfs, process, wanted, others_read);
    denet_read_worker_read(procfs->numbers);
    denet_procfs_take_others(procfs, process, others_read);
  }
  if (may_differ && denet_metric_set_meets(wanted, &of_threads))
    measure_threads(procfs, process, wanted);
  else if (denet_metric_set_has(wanted, DENET_OFF_CPU)) /* no thread has run since */
    take_blocked(usage, usage->measured_ns);
  denet_procfs_measure_net(procfs, process, wanted);
  process->has_run = procfs->read_failure != 0; /* the next pass reads again */
}
