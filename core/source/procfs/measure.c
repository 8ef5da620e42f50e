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

static void take_fields(const struct denet_procfs_plan *plan, struct denet_text text,
                        struct denet_values *out) {
  uint64_t value;
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_field(text, plan->index[i], &value))
      denet_values_set(out, plan->metric[i], value * plan->unit[i]);
}

static void take_keys(const struct denet_procfs_plan *plan, struct denet_text text,
                      struct denet_values *out) {
  uint64_t values[DENET_COUNT_OF(plan->key)];
  uint64_t found = denet_parse_keys(text, plan->key, plan->count, values);
  for (unsigned i = 0; i < plan->count; i++)
    if (found >> i & 1)
      denet_values_set(out, plan->metric[i], values[i] * plan->unit[i]);
}

/* text is "net:[4026531840]". */
static void take_net_namespace(struct denet_process *process, struct denet_text text) {
  const char *number = strchr(text.bytes, '[');
  denet_usage_enter_net(process->usage, number ? strtoull(number + 1, NULL, 10) : 0);
}

/* --- Threads --- */

static int append_tid(struct denet_procfs *procfs, pid_t tid) {
  if (denet_array_reserve(&procfs->tids, &procfs->tid_capacity, procfs->tid_count + 1,
                          sizeof(*procfs->tids)))
    return -ENOMEM;
  procfs->tids[procfs->tid_count++] = tid;
  return 0;
}

static void close_folder(DIR **folder) {
  if (*folder)
    closedir(*folder);
}

/* Lists the threads of a process. 0; DENET_GONE; -errno. */
static int list_threads(struct denet_procfs *procfs, pid_t pid) {
  procfs->tid_count = 0;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, 0, "task", O_DIRECTORY);
  DENET_CLEANUP(close_folder) DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
  if (!tasks)
    return denet_procfs_note_failure(procfs, denet_procfs_outcome());
  DENET_TAKE_FD(fd);
  int error = 0;
  while (!error) {
    errno = 0;
    struct dirent *entry = readdir(tasks);
    if (!entry)
      return errno && denet_procfs_outcome() < 0 ? -errno : 0;
    pid_t tid = denet_procfs_parse_pid(entry->d_name);
    error = tid ? append_tid(procfs, tid) : 0;
  }
  return error;
}

/* Lists the known threads that were not in the directory. The kernel leaves out some when one exits
 * while it is read (next_tid, fs/proc/base.c), and these must not count as new in the next pass. */
static int list_missing_threads(struct denet_procfs *procfs, const struct denet_thread_sums *sums) {
  int error = 0;
  pid_t tid = 0;
  procfs->tid_count = 0;
  while (!error && (tid = denet_thread_sums_next_missing(sums, tid)))
    error = append_tid(procfs, tid);
  return error;
}

/* What is read of a thread. */
struct thread {
  pid_t tid;
  int outcome; /* of schedstat, which is read first */
  struct denet_thread_times times;
  struct denet_values counters;
  unsigned stat, io; /* indices in procfs->numbers; DENET_PROCFS_NOT_READ */
};

/* Reads the times of a thread, and appends its other files on which a read may stall. */
static void begin_thread(struct denet_procfs *procfs, const struct denet_process *process,
                         const struct denet_metric_set *wanted, struct thread *thread) {
  const struct denet_thread_sums *sums = process->usage->threads;
  pid_t pid = process->pid, tid = thread->tid;
  bool begins_io = process->has_reaped && !process->usage->io_by_thread;
  struct denet_text text = {0};
  thread->stat = thread->io = DENET_PROCFS_NOT_READ;
  if (procfs->has_schedstat)
    thread->outcome = denet_procfs_read(procfs, pid, tid, "schedstat", &text);
  if (thread->outcome)
    return;
  denet_parse_field(text, 1, &thread->times.run_ns);
  denet_parse_field(text, 2, &thread->times.delay_ns);
  denet_parse_field(text, 3, &thread->times.timeslices);
  take_fields(&procfs->plan[DENET_FILE_THREAD_SCHEDSTAT], text, &thread->counters);
  if (procfs->has_schedstat && denet_metric_set_has(wanted, DENET_OFF_CPU) && tid != pid &&
      denet_thread_sums_lacks_start(sums, tid))
    thread->stat = denet_procfs_add_file(procfs, pid, tid, "stat");
  bool may_have_run = !procfs->has_schedstat || begins_io ||
                      denet_thread_sums_may_have_run(sums, tid, &thread->times);
  if (may_have_run && process->has_reaped &&
      denet_metric_set_meets(wanted, &procfs->plan[DENET_FILE_IO].metrics))
    thread->io = denet_procfs_add_file(procfs, pid, tid, "io");
}

/* Begins the blocked time of the thread visited last, if it has none yet. stat has the
 * clock tick in which the thread started; the middle of it is right on average. 0 or the outcome of
 * its stat. */
static int start_blocked(struct denet_procfs *procfs, const struct denet_process *process,
                         const struct thread *thread) {
  struct denet_text text;
  struct denet_stat stat;
  uint64_t start_ticks = process->start_ticks, tick_ns = procfs->env->tick_ns;
  bool is_main = thread->tid == process->pid;
  if (!denet_thread_sums_lacks_start(process->usage->threads, thread->tid) ||
      (is_main && (process->ended || process->no_mm)))
    return 0;
  if (!is_main) {
    /* stat was not appended if the visit showed that another thread has the number now. */
    int outcome = thread->stat == DENET_PROCFS_NOT_READ
                      ? denet_procfs_read_listed(procfs, process->pid, thread->tid, "stat", &text)
                      : denet_procfs_file_text(procfs, thread->stat, &text);
    if (!outcome)
      outcome = denet_parse_stat(text, &stat);
    if (outcome)
      return outcome;
    start_ticks = stat.field[DENET_STAT_START_TICKS];
  }
  denet_thread_sums_start(process->usage->threads, start_ticks * tick_ns + tick_ns / 2);
  return 0;
}

/* Adds the increase of the counters of the thread visited last. 0 or a transient error. */
static int add_counters(struct denet_procfs *procfs, struct denet_process *process,
                        struct thread *thread, const struct denet_metric_set *wanted) {
  const struct denet_procfs_plan *status = &procfs->plan[DENET_FILE_THREAD_STATUS];
  struct denet_text text;
  int outcome = 0;
  if (denet_metric_set_meets(wanted, &status->metrics)) {
    outcome = denet_procfs_read(procfs, process->pid, thread->tid, "status", &text);
    if (!outcome)
      take_keys(status, text, &thread->counters);
  }
  if (!denet_error_is_transient(outcome) && thread->io != DENET_PROCFS_NOT_READ) {
    outcome = denet_procfs_file_text(procfs, thread->io, &text);
    denet_procfs_note_denied(procfs, process, outcome, DENET_UNAVAILABLE_IO);
    if (!outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &thread->counters);
  }
  if (denet_error_is_transient(outcome))
    return outcome;
  denet_thread_sums_add(process->usage->threads, &thread->counters);
  return 0;
}

/* Visits a thread. If it has not run, its counters are not read. 0 or -errno; threads that are gone
 * or not permitted are passed over. */
static int measure_thread(struct denet_procfs *procfs, struct denet_process *process,
                          struct thread *thread, const struct denet_metric_set *wanted) {
  if (thread->outcome)
    return thread->outcome;
  int has_run = denet_thread_sums_visit(process->usage->threads, thread->tid, &thread->times);
  if (has_run < 0)
    return has_run;
  int outcome = 0;
  if (procfs->has_schedstat && denet_metric_set_has(wanted, DENET_OFF_CPU))
    outcome = start_blocked(procfs, process, thread);
  bool begins_io = process->has_reaped && !process->usage->io_by_thread;
  bool is_idle = procfs->has_schedstat && !has_run && !begins_io;
  if (!is_idle && !denet_error_is_transient(outcome))
    outcome = add_counters(procfs, process, thread, wanted);
  return denet_error_is_transient(outcome) ? outcome : 0;
}

/* Measures the listed threads in chunks, so that one list of files has those of many. 0 or -errno.
 */
static int measure_listed_threads(struct denet_procfs *procfs, struct denet_process *process,
                                  const struct denet_metric_set *wanted) {
  struct thread threads[CHUNK_MOST];
  int outcome = 0;
  for (size_t from = 0; from < procfs->tid_count && outcome >= 0; from += CHUNK_MOST) {
    size_t count = procfs->tid_count - from;
    if (count > CHUNK_MOST)
      count = CHUNK_MOST;
    denet_read_worker_begin(procfs->numbers);
    for (size_t i = 0; i < count; i++) {
      threads[i] = (struct thread){.tid = procfs->tids[from + i]};
      begin_thread(procfs, process, wanted, &threads[i]);
    }
    denet_read_worker_read(procfs->numbers);
    for (size_t i = 0; i < count && outcome >= 0; i++)
      outcome = measure_thread(procfs, process, &threads[i], wanted);
  }
  return outcome < 0 ? outcome : 0;
}

/* Visits all threads of the process. 0; DENET_GONE; -errno. */
static int visit_threads(struct denet_procfs *procfs, struct denet_process *process,
                         const struct denet_metric_set *wanted, uint64_t now_ns) {
  struct denet_thread_sums *sums = process->usage->threads;
  denet_thread_sums_begin(sums, now_ns);
  denet_thread_sums_note_main(sums, process->pid, process->exec_stamp,
                              process->ended || process->no_mm);
  procfs->tid_count = 0;
  int outcome = denet_values_get(&process->usage->now, DENET_THREADS) == 1
                    ? append_tid(procfs, process->pid)
                    : list_threads(procfs, process->pid);
  if (!outcome)
    outcome = measure_listed_threads(procfs, process, wanted);
  if (!outcome)
    outcome = list_missing_threads(procfs, sums);
  if (!outcome)
    outcome = measure_listed_threads(procfs, process, wanted);
  denet_thread_sums_end(sums, !outcome);
  return outcome;
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
  struct denet_usage *usage = process->usage;
  uint64_t now_ns = procfs->env->boot_ns(procfs->env->context);
  if (!usage->threads)
    usage->threads = denet_thread_sums_new();
  int outcome = usage->threads ? visit_threads(procfs, process, wanted, now_ns) : -ENOMEM;
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

/* Reads memory from statm of a process or one of its threads. Returns the outcome. */
static int measure_memory_of(struct denet_procfs *procfs, struct denet_process *process,
                             pid_t tid) {
  struct denet_text text;
  uint64_t vm_pages;
  int outcome = denet_procfs_read(procfs, process->pid, tid, "statm", &text);
  /* A process that has exited since the scan has no memory; its last values stay. */
  bool has_memory = !outcome && denet_parse_field(text, 1, &vm_pages) && vm_pages;
  if (has_memory || (!outcome && (process->kernel_thread || process->ended)))
    take_fields(&procfs->plan[DENET_FILE_STATM], text, &process->usage->now);
  return outcome;
}

/* When the main thread has exited, its statm has zeros, but those of the other threads do not. */
static void measure_memory(struct denet_procfs *procfs, struct denet_process *process) {
  if (!process->no_mm) {
    measure_memory_of(procfs, process, 0);
    return;
  }
  list_threads(procfs, process->pid);
  for (size_t i = 0; i < procfs->tid_count; i++)
    if (procfs->tids[i] != process->pid && !measure_memory_of(procfs, process, procfs->tids[i]))
      return;
}

static void measure_io(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = denet_procfs_note_failure(procfs, process->notes.procfs.io_outcome);
  if (outcome == DENET_LATER) {
    denet_read_worker_begin(procfs->numbers);
    outcome = denet_procfs_read_listed(procfs, process->pid, 0, "io", &text);
    if (!outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &process->usage->now);
  }
  denet_procfs_note_denied(procfs, process, outcome, DENET_UNAVAILABLE_IO);
}

/* Reads the number of the network namespace. After a transient error it stays as it was; otherwise
 * a namespace that cannot be read is unknown. */
static void measure_net_namespace(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = denet_procfs_note_failure(procfs, process->notes.procfs.net_outcome);
  if (outcome == DENET_LATER) {
    denet_read_worker_begin(procfs->numbers);
    outcome = denet_procfs_read_listed(procfs, process->pid, 0, "ns/net", &text);
    if (!outcome)
      take_net_namespace(process, text);
  }
  denet_procfs_note_denied(procfs, process, outcome, DENET_UNAVAILABLE_NAMESPACES);
  if (outcome && !denet_error_is_transient(outcome))
    denet_usage_enter_net(process->usage, 0);
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

void denet_procfs_measure_net(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  struct denet_usage *usage = process->usage;
  if (!denet_metric_set_meets(wanted, &plan->metrics) || !usage->net_namespace)
    return;
  const struct denet_procfs_net *net = find_net(procfs, usage->net_namespace, process->pid);
  for (unsigned i = 0; net && i < plan->count; i++)
    if (net->present >> i & 1)
      denet_values_set(&usage->now, plan->metric[i], net->value[i]);
}

void denet_procfs_add_files(struct denet_procfs *procfs, pid_t pid,
                            const struct denet_process *process,
                            struct denet_procfs_files *out_files) {
  static const struct denet_metric_set none = {0};
  const struct denet_procfs_plan *plan = procfs->plan;
  const struct denet_metric_set *wanted = &procfs->wanted;
  bool wants_all = !process && procfs->wants_all;
  if (process)
    wanted = process->usage ? &process->usage->wanted : &none;
  bool wants_io = (wants_all || denet_metric_set_meets(wanted, &plan[DENET_FILE_IO].metrics)) &&
                  !(process && process->has_reaped);
  bool wants_net =
      (wants_all || denet_metric_set_meets(wanted, &plan[DENET_FILE_NET_DEV].metrics)) &&
      !(process && process->no_mm);
  out_files->stat = denet_procfs_add_file(procfs, pid, 0, "stat");
  out_files->io = wants_io ? denet_procfs_add_file(procfs, pid, 0, "io") : DENET_PROCFS_NOT_READ;
  out_files->net_namespace =
      wants_net ? denet_procfs_add_file(procfs, pid, 0, "ns/net") : DENET_PROCFS_NOT_READ;
}

void denet_procfs_take_files(struct denet_procfs *procfs, struct denet_process *process,
                             const struct denet_procfs_files *files) {
  struct denet_procfs_notes *notes = &process->notes.procfs;
  struct denet_text text;
  notes->io_outcome = notes->net_outcome = DENET_LATER;
  if (files->io != DENET_PROCFS_NOT_READ && !process->has_reaped) {
    notes->io_outcome = denet_procfs_file_text(procfs, files->io, &text);
    if (!notes->io_outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &process->usage->now);
  }
  if (files->net_namespace != DENET_PROCFS_NOT_READ && !process->no_mm) {
    notes->net_outcome = denet_procfs_file_text(procfs, files->net_namespace, &text);
    if (!notes->net_outcome)
      take_net_namespace(process, text);
  }
}

void denet_procfs_measure(struct denet_source *source, struct denet_process *process,
                          const struct denet_metric_set *wanted, bool first) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  const struct denet_procfs_plan *plan = procfs->plan;
  struct denet_usage *usage = process->usage;
  struct denet_metric_set of_threads = plan[DENET_FILE_THREAD_STATUS].metrics;
  denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_THREAD_SCHEDSTAT].metrics);
  denet_metric_set_add(&of_threads, DENET_OFF_CPU);
  bool may_differ = first || process->has_run;
  procfs->wants_all = false;
  denet_metric_set_add_all(&procfs->wanted, wanted);
  /* I/O that was read with stat, and that no rule of this process wants, is not to be counted. */
  const struct denet_metric_set *of_io = &plan[DENET_FILE_IO].metrics;
  if (!denet_metric_set_meets(wanted, of_io) && !denet_metric_set_meets(&usage->wanted, of_io))
    denet_metric_set_remove_all(&usage->now.present, of_io);
  if (process->vanished || process->notes.procfs.is_unread) /* the pid may be another process's */
    return;
  procfs->read_failure = 0;
  if (first && denet_metric_set_is_empty(&usage->now.present))
    denet_procfs_measure_stat(procfs, process);
  if (denet_metric_set_meets(wanted, &plan[DENET_FILE_STATM].metrics))
    measure_memory(procfs, process);
  /* When a process waits for a child, the kernel adds the child's I/O to its own (wait_task_zombie,
   * kernel/exit.c), so that a tree would count it twice. The files of its threads do not have that.
   * Until then the file of the process is right, and includes threads that exited. */
  if (process->has_reaped)
    denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_IO].metrics);
  else if (may_differ && denet_metric_set_meets(wanted, &plan[DENET_FILE_IO].metrics))
    measure_io(procfs, process);
  if (may_differ && denet_metric_set_meets(wanted, &of_threads))
    measure_threads(procfs, process, wanted);
  else if (denet_metric_set_has(wanted, DENET_OFF_CPU)) /* no thread has run since */
    take_blocked(usage, usage->measured_ns);
  if (may_differ && denet_metric_set_meets(wanted, &plan[DENET_FILE_NET_DEV].metrics) &&
      !process->no_mm)
    measure_net_namespace(procfs, process);
  denet_procfs_measure_net(source, process, wanted);
  process->has_run = procfs->read_failure != 0; /* the next pass reads again */
}
