/* Who is in /proc. What makes it cheap: getdents gives each process's inode, which is new for a new
 * process, and clock_gettime() on a process's CPU clock (0.3 µs) tells whether any of its threads
 * has run since the last pass. One that has not run cannot have exec'd, renamed itself, exited or
 * used anything, so none of its files but statm (memory can be taken away from outside) is opened.
 */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCK_SKEW_NS 100000 /* 0.1 % of the shortest usual interval */
#define CLOCK_ATTEMPTS 3
#define LOOKS_MOST                                                                                 \
  256 /* of which most ask for nothing: it took no CPU time since the last pass                    \
       */

/* CPU time of all threads of the process, exited ones included, ns: the kernel sums it for us
 * (posix_cpu_clock_get, kernel/time/posix-cpu-timers.c). DENET_GONE if there is no such process. */
static int read_cpu_clock(const struct denet_procfs *procfs, pid_t pid, uint64_t *out_ns) {
  clockid_t clock;
  struct timespec time;
  if (!procfs->own_pids)
    return -ENOTSUP;
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
    return DENET_GONE;
  *out_ns = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
  return 0;
}

/* Reads the CPU clock together with the time it stands for. On a busy host we may lose the CPU
 * between the two clocks, which would be an error in the CPU use: then they are read again. */
static int read_cpu(const struct denet_procfs *procfs, pid_t pid, uint64_t *out_cpu_ns,
                    uint64_t *out_now_ns) {
  const struct denet_env *env = procfs->env;
  int outcome = 0;
  for (int attempt = 0; attempt < CLOCK_ATTEMPTS && !outcome; attempt++) {
    uint64_t before_ns = env->boot_ns(env->context);
    outcome = read_cpu_clock(procfs, pid, out_cpu_ns);
    *out_now_ns = env->boot_ns(env->context);
    if (*out_now_ns - before_ns < CLOCK_SKEW_NS)
      break;
  }
  return outcome;
}

int denet_procfs_read_cpu(struct denet_source *source, struct denet_process *process) {
  uint64_t cpu_ns, now_ns;
  int outcome = read_cpu((struct denet_procfs *)source, process->pid, &cpu_ns, &now_ns);
  if (outcome)
    return outcome;
  if (cpu_ns > process->usage->cpu_ns)
    process->usage->cpu_ns = cpu_ns;
  process->usage->measured_ns = now_ns;
  return 0;
}

static int compare_listed(const void *a, const void *b) {
  const struct denet_procfs_listed *left = a, *right = b;
  return (left->pid > right->pid) - (left->pid < right->pid);
}

static int list_one(struct denet_procfs *procfs, pid_t pid, uint64_t inode) {
  if (procfs->listed_count == procfs->listed_capacity) {
    size_t capacity = procfs->listed_capacity ? 2 * procfs->listed_capacity : 512;
    struct denet_procfs_listed *grown = reallocarray(procfs->listed, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    procfs->listed = grown;
    procfs->listed_capacity = capacity;
  }
  procfs->listed[procfs->listed_count++] = (struct denet_procfs_listed){pid, inode};
  return 0;
}

/* The pids of all processes, ascending. */
static int list_processes(struct denet_procfs *procfs) {
  procfs->listed_count = 0;
  rewinddir(procfs->folder);
  bool sorted = true;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(procfs->folder);
    if (!entry)
      break;
    pid_t pid = denet_procfs_parse_pid(entry->d_name);
    if (!pid)
      continue;
    size_t count = procfs->listed_count;
    sorted = sorted && (!count || procfs->listed[count - 1].pid < pid);
    int error = list_one(procfs, pid, entry->d_ino);
    if (error)
      return error;
  }
  if (errno)
    return -errno;
  if (!sorted)
    qsort(procfs->listed, procfs->listed_count, sizeof(struct denet_procfs_listed), compare_listed);
  return 0;
}

/* Takes the values that stat has. CPU times in ticks only say how the CPU clock's time splits,
 * where there is that clock. */
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

void denet_procfs_measure_stat(struct denet_procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  struct denet_stat stat;
  if (procfs->own_pids && denet_procfs_read_cpu(&procfs->source, process))
    return;
  denet_batch_begin(procfs->batch);
  int outcome = denet_procfs_read_held(procfs, process->pid, 0, "stat", &text);
  if (!outcome && !denet_parse_stat(text, &stat) &&
      stat.field[DENET_STAT_START_TICKS] == process->start_ticks)
    take_values(procfs, process, &stat);
}

/* Who it is and what happened to it, from its stat line. */
static void take_identity(const struct denet_procfs *procfs, struct denet_process *process,
                          const struct denet_stat *stat) {
  uint64_t flags = stat->field[DENET_STAT_FLAGS];
  bool has_stack = DENET_STAT_START_STACK < stat->fields;
  bool is_zombie = stat->state == 'Z' || stat->state == 'X';
  bool no_mm = !(flags & PF_KTHREAD) && !stat->field[DENET_STAT_VM_BYTES];
  struct denet_identity identity = {
      .start_ticks = stat->field[DENET_STAT_START_TICKS],
      .born_ns = stat->field[DENET_STAT_START_TICKS] * procfs->env->tick_ns,
      .parent_pid = (pid_t)stat->field[DENET_STAT_PARENT],
      .name = stat->name,
      .kernel_thread = flags & PF_KTHREAD,
      .never_execd = flags & PF_FORKNOEXEC,
      /* Where the stack begins is chosen anew by each exec (proc(5), startstack). */
      .exec_stamp = has_stack ? stat->field[DENET_STAT_START_STACK] : 0,
      .has_reaped = stat->field[DENET_STAT_CHILDREN_MINOR_FAULTS] > 0,
      /* A main thread that exits has no memory left to tell an exec by. */
      .has_exec_stamp = !is_zombie && !no_mm,
      .is_zombie = is_zombie,
      .no_mm = no_mm,
      .threads = stat->field[DENET_STAT_THREADS],
  };
  if (DENET_STAT_EXIT_CODE < stat->fields)
    identity.exit_status = (int)stat->field[DENET_STAT_EXIT_CODE];
  /* To whom it may not be told it says 0, and of a living process that its code starts at 1
   * (do_task_stat, fs/proc/array.c). */
  bool has_memory = stat->field[DENET_STAT_VM_BYTES] != 0;
  if (has_memory || process->is_new)
    process->notes.procfs.hides_exit =
        has_memory ? stat->field[DENET_STAT_START_CODE] == 1 : !procfs->sees_all;
  identity.has_exit_status = identity.exit_status || !process->notes.procfs.hides_exit;
  denet_process_identify(process, &identity);
}

/* One process of the list. Its CPU clock is read before stat is: what happens in between is then
 * still ahead at the next pass, which finds another reading. */
struct look {
  const struct denet_procfs_listed *listed;
  bool has_cpu; /* pids are our own */
  uint64_t cpu_ns, now_ns;
  bool is_idle;              /* it has not run since the last pass: there is nothing to read */
  struct denet_procfs_at at; /* its files */
};

/* The process could not be looked at. Only if it is gone is it not there: for want of a descriptor
 * or memory one that is known stays as it was. */
static int pass_by(struct denet_procfs *procfs, struct denet_process_table *table,
                   struct denet_process *process, const struct look *look, int outcome) {
  /* With hidepid (proc(5)) some may be listed that are none of our business. */
  bool is_gone =
      outcome == DENET_GONE || outcome == -EINVAL || outcome == -EACCES || outcome == -EPERM;
  if (!is_gone && outcome != -EAGAIN) /* nor is one that holds up who looks at it */
    procfs->scan_failure = outcome;
  if (is_gone || process->is_new) {
    denet_process_table_undo(table); /* which may free it */
    return 0;
  }
  process->has_run = process->notes.procfs.is_unread = true;
  struct denet_usage *usage = process->usage;
  bool is_same = process->notes.procfs.inode == look->listed->inode; /* else it may be another's */
  if (usage && look->has_cpu && is_same) {
    /* The clock was had without a descriptor; how it splits has to wait. */
    denet_values_split_cpu(&usage->now, look->cpu_ns, usage->now.value[DENET_CPU_USER],
                           usage->now.value[DENET_CPU_SYSTEM]);
    usage->measured_ns = look->now_ns;
  }
  return 0;
}

/* What it used since its clock was read: nobody asks again. A zombie still has its clock. */
static void read_last_cpu(const struct denet_procfs *procfs, struct look *look) {
  uint64_t cpu_ns, now_ns;
  if (!look->has_cpu || read_cpu(procfs, look->listed->pid, &cpu_ns, &now_ns) ||
      cpu_ns < look->cpu_ns)
    return;
  look->cpu_ns = cpu_ns;
  look->now_ns = now_ns;
}

/* Puts everything that stat says into the process, which may turn out to be another one with an old
 * one's pid. */
static int take_stat(struct denet_procfs *procfs, struct denet_process_table *table,
                     struct denet_process *process, struct look *look) {
  struct denet_text text;
  struct denet_stat stat;
  int outcome = denet_procfs_text(procfs, look->at.stat, &text);
  if (!outcome)
    outcome = denet_parse_stat(text, &stat);
  if (outcome)
    return pass_by(procfs, table, process, look, outcome);
  uint64_t start_ticks = stat.field[DENET_STAT_START_TICKS];
  if (!process->is_new && process->start_ticks != start_ticks) {
    int error = denet_process_table_replace(table, &process);
    if (error)
      return error;
  }
  take_identity(procfs, process, &stat);
  if (process->ended)
    read_last_cpu(procfs, look);
  process->notes.procfs.inode = look->listed->inode;
  process->notes.procfs.cpu_ns = look->cpu_ns;
  process->has_run = true;
  if (!denet_process_use(process))
    return -ENOMEM;
  process->usage->measured_ns = look->now_ns;
  process->usage->cpu_ns = look->cpu_ns;
  take_values(procfs, process, &stat);
  denet_procfs_take_ahead(procfs, process, &look->at);
  return 0;
}

static int take_look(struct denet_procfs *procfs, struct denet_process_table *table,
                     struct look *look) {
  struct denet_process *process;
  int error = denet_process_table_upsert(table, look->listed->pid, &process);
  if (error)
    return error;
  process->notes.procfs.is_unread = false;
  denet_process_drop_usage(process); /* it was read in the last pass, and is no member */
  if (!look->is_idle)
    return take_stat(procfs, table, process, look);
  process->notes.procfs.io_outcome = process->notes.procfs.net_outcome = DENET_LATER;
  if (process->usage)
    process->usage->measured_ns = look->now_ns;
  return 0;
}

static bool is_measured(const struct denet_process *process) {
  return process->usage && !denet_metric_set_is_empty(&process->usage->wanted);
}

/* Whether there is something new in the files of a known process though it has not run: what the
 * last pass could not read, or who its parent is, which changes when that ends. */
static bool has_changed_asleep(const struct denet_process_table *table,
                               const struct denet_process *process) {
  if (process->notes.procfs.is_unread || (process->has_run && is_measured(process)))
    return true;
  pid_t parent = process->parent_pid;
  return parent && !denet_process_table_find(table, parent) &&
         !denet_process_table_peek(table, parent);
}

/* Reads its CPU clock, and asks for the files that there is something new in. */
static void begin_look(struct denet_procfs *procfs, const struct denet_process_table *table,
                       struct look *look) {
  pid_t pid = look->listed->pid;
  look->has_cpu = !read_cpu(procfs, pid, &look->cpu_ns, &look->now_ns);
  const struct denet_process *process = denet_process_table_peek(table, pid);
  if (process && process->notes.procfs.inode != look->listed->inode)
    process = NULL;
  look->is_idle = process && look->has_cpu && process->notes.procfs.cpu_ns == look->cpu_ns &&
                  !has_changed_asleep(table, process);
  if (!look->is_idle)
    denet_procfs_ask(procfs, pid, process, &look->at);
}

/* Processes from the front of the list, as many as go together. Returns how many, or -ENOMEM. */
static int scan_some(struct denet_procfs *procfs, struct denet_process_table *table,
                     const struct denet_procfs_listed *listed, size_t count) {
  struct look looks[LOOKS_MOST];
  int looked = 0, failure = 0;
  denet_batch_begin(procfs->batch);
  while ((size_t)looked < count && looked < LOOKS_MOST &&
         denet_batch_room(procfs->batch) >= DENET_PROCFS_FILES_ASKED) {
    looks[looked] = (struct look){.listed = &listed[looked]};
    begin_look(procfs, table, &looks[looked++]);
  }
  denet_batch_read(procfs->batch);
  for (int i = 0; i < looked && !failure; i++)
    failure = take_look(procfs, table, &looks[i]);
  return failure ? failure : looked;
}

int denet_procfs_scan(struct denet_source *source, struct denet_process_table *table,
                      struct denet_error *error) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_procfs_forget_nets(source);
  source->table = table;
  int failure = list_processes(procfs);
  if (failure)
    return denet_error_set(error, failure, "%s cannot be listed: %s", procfs->env->proc_path,
                           strerror(-failure));
  procfs->scan_failure = 0;
  failure = denet_process_table_begin(table);
  for (size_t i = 0; i < procfs->listed_count && !failure;) {
    int looked = scan_some(procfs, table, &procfs->listed[i], procfs->listed_count - i);
    failure = looked < 0 ? looked : 0;
    i += (size_t)(looked > 0 ? looked : 0);
  }
  denet_process_table_end(table, !failure);
  failure = failure ? failure : procfs->scan_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be read: %s", strerror(-failure));
  return 0;
}
