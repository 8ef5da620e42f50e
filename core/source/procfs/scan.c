/* Lists the processes of /proc. A pass opens no file of most of them: getdents(2) gives the inode
 * of each /proc/PID, another one for a new process, and the CPU clock of a process
 * (clock_gettime(2), 0.3 us) shows whether any of its threads has run since the last pass. A
 * process that has not run has not exec'd, changed its name, exited or used anything. Only its
 * memory may have changed, as the kernel reclaims it. */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include "core/util/array.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCK_SKEW_NS 100000 /* 0.1 % of the shortest usual interval */
#define CLOCK_ATTEMPTS 3
#define CHUNK_MOST 256 /* processes; most are idle, so that no file of them is read */

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

void denet_procfs_measure_stat(struct denet_procfs *procfs, struct denet_process *process) {
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
  bool is_idle; /* it has not run since the last pass: no file is read */
  unsigned stat, others[DENET_PROCFS_OTHERS]; /* indices in the list of files */
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
    denet_process_table_undo(procfs->table); /* which may free it */
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
  process->notes.procfs.has_others = denet_procfs_take_others(procfs, process, entry->others);
  return 0;
}

/* Takes one entry. The process may turn out to be a new one with the pid of a known one. */
static int take_entry(struct denet_procfs *procfs, struct entry *entry) {
  struct denet_process *process;
  struct denet_text text;
  struct denet_stat stat;
  int error = denet_process_table_upsert(procfs->table, entry->listed->pid, &process);
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
    error = denet_process_table_replace(procfs->table, &process);
  return error ? error : take_stat(procfs, process, entry, &stat);
}

/* Reads the CPU clock of a process, and appends the files that must be read: of a known process
 * that has not run, if the last pass could not read them, or its parent has ended, so that it has
 * another one. Returns how many. */
static unsigned begin_entry(struct denet_procfs *procfs, struct entry *entry) {
  static const struct denet_metric_set none = {0};
  pid_t pid = entry->listed->pid;
  entry->has_cpu = !denet_procfs_read_cpu(procfs, pid, &entry->cpu_ns, &entry->now_ns);
  const struct denet_process *process = denet_process_table_peek(procfs->table, pid);
  bool is_known = process && process->notes.procfs.inode == entry->listed->inode;
  const struct denet_metric_set *wanted =
      process && process->usage ? &process->usage->wanted : &none;
  if (is_known && entry->has_cpu && process->notes.procfs.cpu_ns == entry->cpu_ns) {
    pid_t parent = process->parent_pid;
    bool is_orphan = parent && !denet_process_table_find(procfs->table, parent) &&
                     !denet_process_table_peek(procfs->table, parent);
    bool is_unread =
        process->notes.procfs.is_unread || (process->has_run && !denet_metric_set_is_empty(wanted));
    entry->is_idle = !is_unread && !is_orphan;
  }
  if (entry->is_idle)
    return 0;
  entry->stat = denet_procfs_add_file(procfs, pid, 0, "stat");
  return 1 + denet_procfs_add_others(procfs, process, wanted, entry->others);
}

/* Scans a chunk of the list: as many processes as one list of files has room for. Adds how many to
 * *at. 0 or -ENOMEM. */
static int scan_chunk(struct denet_procfs *procfs, size_t *at) {
  struct entry entries[CHUNK_MOST];
  unsigned count = 0, room = DENET_READ_WORKER_FILES;
  int failure = 0;
  denet_read_worker_begin(procfs->numbers);
  while (*at < procfs->processes.count && count < CHUNK_MOST && room > DENET_PROCFS_OTHERS) {
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
  source->table = procfs->table = table;
  rewinddir(procfs->folder);
  int failure = denet_procfs_list(&procfs->processes, procfs->folder);
  if (failure)
    return denet_error_set(error, failure, "%s cannot be listed: %s", procfs->env->proc_path,
                           strerror(-failure));
  procfs->scan_failure = 0;
  failure = denet_process_table_begin(table);
  for (size_t at = 0; at < procfs->processes.count && !failure;)
    failure = scan_chunk(procfs, &at);
  denet_process_table_end(table, !failure);
  failure = failure ? failure : procfs->scan_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be read: %s", strerror(-failure));
  return 0;
}
