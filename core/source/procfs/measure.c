/* What the processes of /proc cost. */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include "core/model/thread_sums.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NET_TEXT_BYTES (16u << 20) /* some 100,000 interfaces */
#define THREADS_AT_ONCE 64
_Static_assert(3 * THREADS_AT_ONCE <= DENET_BATCH_FILES, "stat, io and stat again of each");

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

static void close_folder(DIR **folder) {
  if (*folder)
    closedir(*folder);
}

/* The folder of a process's threads; NULL with errno. */
static DIR *open_tasks(struct denet_procfs *procfs, pid_t pid) {
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, 0, "task", O_DIRECTORY);
  DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
  if (tasks)
    DENET_TAKE_FD(fd);
  else if (denet_procfs_outcome() < 0)
    procfs->read_failure = -errno;
  return tasks;
}

static int measure_memory_of(struct denet_procfs *procfs, struct denet_process *process,
                             pid_t tid) {
  struct denet_text text;
  uint64_t vm_pages;
  int outcome = denet_procfs_read(procfs, process->pid, tid, "statm", &text);
  /* One that has exited since it was looked at has given its memory back: what it had stays. */
  bool has_memory = !outcome && denet_parse_field(text, 1, &vm_pages) && vm_pages;
  if (has_memory || (!outcome && (process->kernel_thread || process->ended)))
    take_fields(&procfs->plan[DENET_FILE_STATM], text, &process->usage->now);
  return outcome;
}

/* The process's memory. When its main thread has exited its own file says zero, but those of the
 * other threads still tell. */
static void measure_memory(struct denet_procfs *procfs, struct denet_process *process) {
  if (!process->no_mm) {
    measure_memory_of(procfs, process, 0);
    return;
  }
  DENET_CLEANUP(close_folder) DIR *tasks = open_tasks(procfs, process->pid);
  for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
    pid_t tid = denet_procfs_parse_pid(entry->d_name);
    if (tid && tid != process->pid && !measure_memory_of(procfs, process, tid))
      return;
  }
}

static void note_io_lack(struct denet_procfs *procfs, struct denet_process *process, int outcome) {
  if (outcome == -EACCES || outcome == -EPERM)
    denet_procfs_note_unavailable(procfs, process, DENET_UNAVAILABLE_IO);
}

static void measure_io(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = denet_procfs_note_failure(procfs, process->notes.procfs.io_outcome);
  if (outcome == DENET_LATER) {
    denet_batch_begin(procfs->batch);
    outcome = denet_procfs_read_held(procfs, process->pid, 0, "io", &text);
    if (!outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &process->usage->now);
  }
  note_io_lack(procfs, process, outcome);
}

/* What is read of a thread. */
struct thread_look {
  pid_t tid;
  int outcome; /* of its schedstat, which comes first: */
  struct denet_thread_times times;
  struct denet_values counters;
  unsigned stat, io; /* places in the batch; DENET_PROCFS_NOWHERE: not asked for */
};

/* Whether the main thread runs no more. */
static bool has_lost_main(const struct denet_process *process) {
  return process->ended || process->no_mm;
}

/* Has the thread visited last counted in the blocked time, if it is not yet. It began in the tick
 * that the kernel tells: in the middle of it, which is right on the average. 0 or the outcome. */
static int count_blocked(struct denet_procfs *procfs, const struct denet_process *process,
                         const struct thread_look *look) {
  struct denet_text text;
  struct denet_stat stat;
  uint64_t start_ticks = process->start_ticks, tick_ns = procfs->env->tick_ns;
  bool is_main = look->tid == process->pid;
  if (!denet_thread_sums_lacks_start(process->usage->threads) ||
      (is_main && has_lost_main(process)))
    return 0;
  if (!is_main) {
    /* Where another thread has the number now, nobody knew that it would be asked for. */
    int outcome = look->stat == DENET_PROCFS_NOWHERE
                      ? denet_procfs_read_held(procfs, process->pid, look->tid, "stat", &text)
                      : denet_procfs_text(procfs, look->stat, &text);
    if (!outcome)
      outcome = denet_parse_stat(text, &stat);
    if (outcome)
      return outcome;
    start_ticks = stat.field[DENET_STAT_START_TICKS];
  }
  denet_thread_sums_start(process->usage->threads, start_ticks * tick_ns + tick_ns / 2);
  return 0;
}

static void parse_times(struct denet_text text, struct denet_thread_times *out) {
  *out = (struct denet_thread_times){0};
  denet_parse_field(text, 1, &out->run_ns);
  denet_parse_field(text, 2, &out->delay_ns);
  denet_parse_field(text, 3, &out->timeslices);
}

static int take_status(struct denet_procfs *procfs, const struct denet_process *process, pid_t tid,
                       const struct denet_metric_set *wanted, struct denet_values *counters) {
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_THREAD_STATUS];
  struct denet_text text;
  if (!denet_metric_set_meets(wanted, &plan->metrics))
    return 0;
  int outcome = denet_procfs_read(procfs, process->pid, tid, "status", &text);
  if (!outcome)
    take_keys(plan, text, counters);
  return outcome;
}

/* Adds what the thread visited last has used since it was read last. */
static int add_thread(struct denet_procfs *procfs, struct denet_process *process,
                      struct thread_look *look, const struct denet_metric_set *wanted) {
  struct denet_text text;
  int outcome = take_status(procfs, process, look->tid, wanted, &look->counters);
  if (!denet_source_is_passing(outcome) && look->io != DENET_PROCFS_NOWHERE) {
    outcome = denet_procfs_text(procfs, look->io, &text);
    note_io_lack(procfs, process, outcome);
    if (!outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &look->counters);
  }
  if (denet_source_is_passing(outcome))
    return outcome;
  denet_thread_sums_add(process->usage->threads, &look->counters);
  return 0;
}

static bool has_schedstat(const struct denet_procfs *procfs) {
  return !(procfs->source.unavailable & DENET_UNAVAILABLE_SCHEDSTAT);
}

/* Whether I/O is summed over the threads from now on. */
static bool begins_io(const struct denet_process *process) {
  return process->has_reaped && !process->usage->io_by_thread;
}

/* Adds one thread's counters to its process's. If it has not run the rest of its files is spared.
 */
static int measure_thread(struct denet_procfs *procfs, struct denet_process *process,
                          struct thread_look *look, const struct denet_metric_set *wanted) {
  if (look->outcome)
    return look->outcome;
  int has_run = denet_thread_sums_visit(process->usage->threads, look->tid, &look->times);
  if (has_run < 0)
    return has_run;
  int outcome = has_schedstat(procfs) && denet_metric_set_has(wanted, DENET_OFF_CPU)
                    ? count_blocked(procfs, process, look)
                    : 0;
  bool is_spared = has_schedstat(procfs) && !has_run && !begins_io(process);
  if (!is_spared && !denet_source_is_passing(outcome))
    outcome = add_thread(procfs, process, look, wanted);
  if (!denet_source_is_passing(outcome))
    return 0;
  if (!is_spared)
    denet_thread_sums_owe(process->usage->threads);
  return outcome;
}

/* Reads its times, and asks for what else is needed of it and somebody may hold up. */
static void begin_thread(struct denet_procfs *procfs, const struct denet_process *process,
                         const struct denet_metric_set *wanted, struct thread_look *look) {
  pid_t pid = process->pid, tid = look->tid;
  struct denet_text text = {0};
  look->stat = look->io = DENET_PROCFS_NOWHERE;
  look->outcome =
      has_schedstat(procfs) ? denet_procfs_read(procfs, pid, tid, "schedstat", &text) : 0;
  if (look->outcome)
    return;
  parse_times(text, &look->times);
  take_fields(&procfs->plan[DENET_FILE_THREAD_SCHEDSTAT], text, &look->counters);
  if (has_schedstat(procfs) && denet_metric_set_has(wanted, DENET_OFF_CPU) && tid != pid &&
      !denet_thread_sums_knows(process->usage->threads, tid))
    look->stat = denet_procfs_ask_file(procfs, pid, tid, "stat");
  bool may_have_run = !has_schedstat(procfs) || begins_io(process) ||
                      denet_thread_sums_may_have_run(process->usage->threads, tid, &look->times);
  if (may_have_run && process->has_reaped &&
      denet_metric_set_meets(wanted, &procfs->plan[DENET_FILE_IO].metrics))
    look->io = denet_procfs_ask_file(procfs, pid, tid, "io");
}

/* Some of the listed threads, together. 0 or -errno. */
static int measure_some_threads(struct denet_procfs *procfs, struct denet_process *process,
                                const pid_t *tids, size_t count,
                                const struct denet_metric_set *wanted) {
  struct thread_look looks[THREADS_AT_ONCE];
  denet_batch_begin(procfs->batch);
  for (size_t i = 0; i < count; i++) {
    looks[i] = (struct thread_look){.tid = tids[i]};
    begin_thread(procfs, process, wanted, &looks[i]);
  }
  denet_batch_read(procfs->batch);
  int outcome = 0;
  for (size_t i = 0; i < count && outcome >= 0; i++)
    outcome = measure_thread(procfs, process, &looks[i], wanted);
  return outcome < 0 ? outcome : 0;
}

static int measure_listed_threads(struct denet_procfs *procfs, struct denet_process *process,
                                  const struct denet_metric_set *wanted) {
  int outcome = 0;
  for (size_t i = 0; i < procfs->tid_count && !outcome; i += THREADS_AT_ONCE) {
    size_t left = procfs->tid_count - i;
    outcome = measure_some_threads(procfs, process, &procfs->tids[i],
                                   left < THREADS_AT_ONCE ? left : THREADS_AT_ONCE, wanted);
  }
  return outcome;
}

static int list_thread(struct denet_procfs *procfs, pid_t tid) {
  if (procfs->tid_count == procfs->tid_capacity) {
    size_t capacity = procfs->tid_capacity ? 2 * procfs->tid_capacity : 64;
    pid_t *grown = reallocarray(procfs->tids, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    procfs->tids = grown;
    procfs->tid_capacity = capacity;
  }
  procfs->tids[procfs->tid_count++] = tid;
  return 0;
}

/* 0; DENET_GONE; -errno. */
static int list_threads(struct denet_procfs *procfs, pid_t pid) {
  DENET_CLEANUP(close_folder) DIR *tasks = open_tasks(procfs, pid);
  if (!tasks)
    return denet_procfs_outcome();
  int error = 0;
  while (!error) {
    errno = 0;
    struct dirent *entry = readdir(tasks);
    if (!entry)
      return errno && denet_procfs_outcome() < 0 ? -errno : 0;
    pid_t tid = denet_procfs_parse_pid(entry->d_name);
    error = tid ? list_thread(procfs, tid) : 0;
  }
  return error;
}

/* Looks after the threads that were there before and not in the folder: that skips some when one
 * exits while it is read (next_tid, fs/proc/base.c), and they are not to begin anew the next time.
 */
static int measure_unlisted(struct denet_procfs *procfs, struct denet_process *process,
                            const struct denet_metric_set *wanted) {
  int error = 0;
  pid_t tid = 0;
  procfs->tid_count = 0;
  while (!error && (tid = denet_thread_sums_next_missing(process->usage->threads, tid)))
    error = list_thread(procfs, tid);
  return error ? error : measure_listed_threads(procfs, process, wanted);
}

/* The time that the threads were blocked until now_ns, if it is known. */
static void take_blocked(struct denet_process *process, uint64_t now_ns) {
  uint64_t blocked_ns;
  if (process->usage->threads &&
      denet_thread_sums_blocked(process->usage->threads, now_ns, &blocked_ns))
    denet_values_set(&process->usage->now, DENET_OFF_CPU, blocked_ns);
}

static void take_sums(struct denet_process *process) {
  denet_thread_sums_raise(process->usage->threads, &process->usage->now);
  const struct denet_values *sums = denet_thread_sums_sums(process->usage->threads);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_values_has(sums, m))
      denet_values_set(&process->usage->now, m, sums->value[m]);
}

/* Visits all threads. 0 or -errno. */
static int pass_threads(struct denet_procfs *procfs, struct denet_process *process,
                        const struct denet_metric_set *wanted, uint64_t now_ns) {
  denet_thread_sums_begin(process->usage->threads, now_ns);
  denet_thread_sums_note_main(process->usage->threads, process->pid, process->exec_stamp,
                              has_lost_main(process));
  bool is_single = denet_values_has(&process->usage->now, DENET_THREADS) &&
                   process->usage->now.value[DENET_THREADS] == 1;
  procfs->tid_count = 0;
  int outcome = is_single ? list_thread(procfs, process->pid) : list_threads(procfs, process->pid);
  if (!outcome)
    outcome = measure_listed_threads(procfs, process, wanted);
  if (!outcome)
    outcome = measure_unlisted(procfs, process, wanted);
  denet_thread_sums_end(process->usage->threads, !outcome);
  return outcome;
}

/* What could be read of some threads only is no sum: the rest would come as a jump. */
static void measure_threads(struct denet_procfs *procfs, struct denet_process *process,
                            const struct denet_metric_set *wanted) {
  uint64_t now_ns = procfs->env->boot_ns(procfs->env->context);
  if (!process->usage->threads)
    process->usage->threads = denet_thread_sums_new();
  int outcome = process->usage->threads ? pass_threads(procfs, process, wanted, now_ns) : -ENOMEM;
  if (denet_source_is_passing(outcome)) {
    procfs->read_failure = outcome;
    return;
  }
  process->usage->io_by_thread = process->has_reaped;
  if (!outcome && denet_metric_set_has(wanted, DENET_OFF_CPU))
    take_blocked(process, now_ns);
  take_sums(process);
}

/* text is "net:[4026531840]". */
static void take_net_namespace(struct denet_process *process, struct denet_text text) {
  const char *number = strchr(text.bytes, '[');
  denet_usage_enter_net(process->usage, number ? strtoull(number + 1, NULL, 10) : 0);
}

/* What cannot be read for the moment stays as it was known, and what is not told is no more. */
static void measure_net_namespace(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = denet_procfs_note_failure(procfs, process->notes.procfs.net_outcome);
  if (outcome == DENET_LATER) {
    denet_batch_begin(procfs->batch);
    outcome = denet_procfs_read_held(procfs, process->pid, 0, "ns/net", &text);
    if (!outcome)
      take_net_namespace(process, text);
  }
  if (outcome == -EACCES || outcome == -EPERM)
    denet_procfs_note_unavailable(procfs, process, DENET_UNAVAILABLE_NAMESPACES);
  if (outcome && !denet_source_is_passing(outcome))
    denet_usage_enter_net(process->usage, 0);
}

/* The interface sums of a network namespace, read once a pass through whichever process asks
 * first. NULL when they cannot be read. */
static const struct denet_procfs_net *find_net(struct denet_procfs *procfs, uint64_t namespace,
                                               pid_t pid) {
  for (size_t i = 0; i < procfs->net_count; i++)
    if (procfs->nets[i].namespace == namespace)
      return &procfs->nets[i];
  if (procfs->net_count == procfs->net_capacity) {
    size_t capacity = procfs->net_capacity ? 2 * procfs->net_capacity : 8;
    struct denet_procfs_net *grown = reallocarray(procfs->nets, capacity, sizeof(*grown));
    if (!grown)
      return NULL;
    procfs->nets = grown;
    procfs->net_capacity = capacity;
  }
  struct denet_procfs_net *net = &procfs->nets[procfs->net_count++];
  *net = (struct denet_procfs_net){.namespace = namespace};
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  /* Made of many records: one read gives as many as fit a page, not all. */
  pid_t owner = namespace == procfs->own_net ? getpid() : pid;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, owner, 0, "net/dev", 0);
  if (fd < 0 || denet_buffer_read(&procfs->net_text, fd, NET_TEXT_BYTES)) {
    procfs->net_count--; /* whoever asks next may have more luck */
    return NULL;
  }
  struct denet_text text = denet_buffer_text(&procfs->net_text);
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_net_dev(text, plan->index[i], &net->value[i]))
      net->present |= 1u << i;
  return net;
}

void denet_procfs_measure_net(struct denet_source *source, struct denet_process *process,
                              const struct denet_metric_set *wanted) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  if (!denet_metric_set_meets(wanted, &plan->metrics) || !process->usage->net_namespace)
    return;
  const struct denet_procfs_net *net =
      find_net(procfs, process->usage->net_namespace, process->pid);
  for (unsigned i = 0; net && i < plan->count; i++)
    if (net->present >> i & 1)
      denet_values_set(&process->usage->now, plan->metric[i], net->value[i]);
}

void denet_procfs_ask(struct denet_procfs *procfs, pid_t pid, const struct denet_process *process,
                      struct denet_procfs_at *out_at) {
  const struct denet_procfs_plan *plan = procfs->plan;
  static const struct denet_metric_set none = {0};
  const struct denet_usage *usage = process ? process->usage : NULL;
  const struct denet_metric_set *wanted = usage     ? &usage->wanted
                                          : process ? &none
                                                    : &procfs->wanted;
  bool wants_all = !process && procfs->wants_all;
  bool wants_io = (wants_all || denet_metric_set_meets(wanted, &plan[DENET_FILE_IO].metrics)) &&
                  !(process && process->has_reaped);
  bool wants_net =
      (wants_all || denet_metric_set_meets(wanted, &plan[DENET_FILE_NET_DEV].metrics)) &&
      !(process && process->no_mm);
  out_at->stat = denet_procfs_ask_file(procfs, pid, 0, "stat");
  out_at->io = wants_io ? denet_procfs_ask_file(procfs, pid, 0, "io") : DENET_PROCFS_NOWHERE;
  out_at->net_namespace =
      wants_net ? denet_procfs_ask_file(procfs, pid, 0, "ns/net") : DENET_PROCFS_NOWHERE;
}

void denet_procfs_take_ahead(struct denet_procfs *procfs, struct denet_process *process,
                             const struct denet_procfs_at *at) {
  struct denet_text text;
  process->notes.procfs.io_outcome = process->notes.procfs.net_outcome = DENET_LATER;
  if (at->io != DENET_PROCFS_NOWHERE && !process->has_reaped) {
    process->notes.procfs.io_outcome = denet_procfs_text(procfs, at->io, &text);
    if (!process->notes.procfs.io_outcome)
      take_keys(&procfs->plan[DENET_FILE_IO], text, &process->usage->now);
  }
  if (at->net_namespace != DENET_PROCFS_NOWHERE && !process->no_mm) {
    process->notes.procfs.net_outcome = denet_procfs_text(procfs, at->net_namespace, &text);
    if (!process->notes.procfs.net_outcome)
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
  bool may_differ = first || process->has_run,
       wants_off_cpu = denet_metric_set_has(wanted, DENET_OFF_CPU);
  procfs->wants_all = false;
  denet_metric_set_add_all(&procfs->wanted, wanted);
  if (process->vanished || process->notes.procfs.is_unread) /* its files may be another's by now */
    return;
  procfs->read_failure = 0;
  if (first && denet_metric_set_is_empty(&usage->now.present))
    denet_procfs_measure_stat(procfs, process);
  if (denet_metric_set_meets(wanted, &plan[DENET_FILE_STATM].metrics))
    measure_memory(procfs, process);
  /* The kernel adds the I/O of a child to its parent's when that waits for it (wait_task_zombie,
   * kernel/exit.c), so that a tree would count it twice. The threads' own files do not have it;
   * until the first such child the process's has it right, exited threads included. */
  if (process->has_reaped)
    denet_metric_set_add_all(&of_threads, &plan[DENET_FILE_IO].metrics);
  else if (may_differ && denet_metric_set_meets(wanted, &plan[DENET_FILE_IO].metrics))
    measure_io(procfs, process);
  if (may_differ && denet_metric_set_meets(wanted, &of_threads))
    measure_threads(procfs, process, wanted);
  else if (wants_off_cpu) /* nothing of it has run, but all of it is older */
    take_blocked(process, usage->measured_ns);
  if (may_differ && denet_metric_set_meets(wanted, &plan[DENET_FILE_NET_DEV].metrics) &&
      !process->no_mm)
    measure_net_namespace(procfs, process);
  denet_procfs_measure_net(source, process, wanted);
  /* What could not be read for the moment, or is held up, is due again. */
  process->has_run = procfs->read_failure != 0;
}
