/* The /proc source. What makes it cheap: getdents gives each process's inode, which is new for a
 * new process, and clock_gettime() on a process's CPU clock (0.3 µs) tells whether any of its
 * threads has run since the last pass. One that has not run cannot have exec'd, renamed itself,
 * exited or used anything, so none of its files but statm (memory can be taken away from outside)
 * is opened. */
#include "procfs.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CLOCK_SKEW_NS 100000 /* 0.1 % of the shortest usual interval */
#define CLOCK_ATTEMPTS 3

static struct denet_procfs *self(struct denet_source *source) {
  return (struct denet_procfs *)source;
}

int denet_procfs_outcome(void) { return errno == ENOENT || errno == ESRCH ? DENET_GONE : -errno; }

int denet_procfs_open_file(const struct denet_procfs *procfs, pid_t pid, pid_t tid,
                           const char *name, int flags) {
  char path[64];
  if (tid)
    snprintf(path, sizeof(path), "%d/task/%d/%s", (int)pid, (int)tid, name);
  else
    snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
  return openat(procfs->proc_fd, path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Whether the file has one line: with its newline it is whole, and need not be read for its end. */
static bool is_line(const char *name, const char *text, size_t length) {
  bool has_line = !strcmp(name, "stat") || !strcmp(name, "statm") || !strcmp(name, "schedstat");
  return has_line && length && text[length - 1] == '\n';
}

/* Usually one read(): the kernel makes the texts of one process or thread whole in one call. */
static int read_whole(int fd, const char *name, char *out, size_t *out_length) {
  size_t length = 0;
  while (length < DENET_PROCFS_TEXT && !is_line(name, out, length)) {
    ssize_t got = read(fd, out + length, DENET_PROCFS_TEXT - length);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return denet_procfs_outcome();
    if (got == 0)
      break;
    length += (size_t)got;
  }
  *out_length = length;
  return length < DENET_PROCFS_TEXT ? 0 : -EMSGSIZE;
}

static int read_text(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                     struct denet_text *out_text) {
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, tid, name, 0);
  if (fd < 0)
    return denet_procfs_outcome();
  size_t length = 0;
  int outcome = read_whole(fd, name, procfs->text, &length);
  if (outcome)
    return outcome;
  procfs->text[length] = '\0';
  *out_text = (struct denet_text){procfs->text, length};
  return 0;
}

int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text) {
  int outcome = read_text(procfs, pid, tid, name, out_text);
  if (outcome < 0 && outcome != -EACCES && outcome != -EPERM)
    procfs->read_failure = outcome;
  return outcome;
}

void denet_procfs_note_lack(struct denet_procfs *procfs, struct denet_process *process,
                            enum denet_lack lack) {
  process->lacks |= lack;
  procfs->source.met_lacks |= lack;
}

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
  const struct denet_host *host = procfs->host;
  int outcome = 0;
  for (int attempt = 0; attempt < CLOCK_ATTEMPTS && !outcome; attempt++) {
    uint64_t before_ns = host->boot_ns(host->context);
    outcome = read_cpu_clock(procfs, pid, out_cpu_ns);
    *out_now_ns = host->boot_ns(host->context);
    if (*out_now_ns - before_ns < CLOCK_SKEW_NS)
      break;
  }
  return outcome;
}

int denet_procfs_read_cpu(struct denet_source *source, struct denet_process *process) {
  uint64_t cpu_ns, now_ns;
  int outcome = read_cpu(self(source), process->pid, &cpu_ns, &now_ns);
  if (outcome)
    return outcome;
  if (cpu_ns > process->cpu_ns)
    process->cpu_ns = cpu_ns;
  process->measured_ns = now_ns;
  return 0;
}

bool denet_procfs_has_own_pids(const struct denet_source *source) {
  return ((const struct denet_procfs *)source)->own_pids;
}

void denet_procfs_forget_nets(struct denet_source *source) { self(source)->net_count = 0; }

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

pid_t denet_procfs_parse_pid(const char *name) {
  if (name[0] < '1' || name[0] > '9')
    return 0;
  char *end;
  errno = 0;
  long pid = strtol(name, &end, 10);
  return *end || errno || pid > INT32_MAX ? 0 : (pid_t)pid;
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

static void take_metrics(const struct denet_procfs *procfs, const struct denet_stat *stat,
                         struct denet_values *now) {
  const struct denet_procfs_plan *plan = &procfs->plan[DENET_FILE_STAT];
  for (unsigned i = 0; i < plan->count; i++)
    if (plan->index[i] < stat->fields && !(procfs->own_pids && plan->unit[i] != 1))
      denet_values_set(now, plan->metric[i], stat->field[plan->index[i]] * plan->unit[i]);
}

/* Who it is and what happened to it, from its stat line. */
static void take_identity(const struct denet_procfs *procfs, struct denet_process *process,
                          const struct denet_stat *stat) {
  uint64_t flags = stat->field[DENET_STAT_FLAGS];
  bool has_stack = DENET_STAT_START_STACK < stat->fields;
  bool is_zombie = stat->state == 'Z' || stat->state == 'X';
  bool is_hollow = !(flags & PF_KTHREAD) && !stat->field[DENET_STAT_VM_BYTES];
  struct denet_identity identity = {
      .start_ticks = stat->field[DENET_STAT_START_TICKS],
      .born_ns = stat->field[DENET_STAT_START_TICKS] * procfs->host->tick_ns,
      .parent_pid = (pid_t)stat->field[DENET_STAT_PARENT],
      .name = stat->name,
      .kernel_thread = flags & PF_KTHREAD,
      .never_execd = flags & PF_FORKNOEXEC,
      /* Where the stack begins is chosen anew by each exec (proc(5), startstack). */
      .exec_stamp = has_stack ? stat->field[DENET_STAT_START_STACK] : 0,
      .has_reaped = stat->field[DENET_STAT_CHILDREN_MINOR_FAULTS] > 0,
      /* A main thread that exits has no memory left to tell an exec by. */
      .has_exec_stamp = !is_zombie && !is_hollow,
      .is_zombie = is_zombie,
      .is_hollow = is_hollow,
      .threads = stat->field[DENET_STAT_THREADS],
  };
  if (DENET_STAT_EXIT_CODE < stat->fields)
    identity.exit_status = (int)stat->field[DENET_STAT_EXIT_CODE];
  /* To whom it may not be told it says 0, and of a living process that its code starts at 1
   * (do_task_stat, fs/proc/array.c). */
  bool has_memory = stat->field[DENET_STAT_VM_BYTES] != 0;
  if (has_memory || process->is_new)
    process->hides_exit = has_memory ? stat->field[DENET_STAT_START_CODE] == 1 : !procfs->sees_all;
  identity.has_exit_status = identity.exit_status || !process->hides_exit;
  denet_process_identify(process, &identity);
}

/* A reading of a process's CPU clock. It is taken before stat is read: what happens in between is
 * then still ahead at the next pass, which finds another reading. */
struct cpu_reading {
  bool is_known; /* pids are our own */
  uint64_t cpu_ns, now_ns;
};

/* The process could not be looked at. Only if it is gone is it not there: for want of a descriptor
 * or memory one that is known stays as it was. */
static int pass_by(struct denet_procfs *procfs, struct denet_roster *roster,
                   struct denet_process *process, const struct cpu_reading *cpu, int outcome) {
  /* With hidepid (proc(5)) some may be listed that are none of our business. */
  bool is_gone =
      outcome == DENET_GONE || outcome == -EINVAL || outcome == -EACCES || outcome == -EPERM;
  if (!is_gone)
    procfs->scan_failure = outcome;
  if (is_gone || process->is_new) {
    denet_roster_unsee(roster); /* which may free it */
    return 0;
  }
  process->has_run = process->is_unread = true;
  if (cpu->is_known) {
    /* The clock was had without a descriptor; how it splits has to wait. */
    uint64_t user = process->now.value[DENET_CPU_USER];
    denet_process_split_cpu(&process->now, cpu->cpu_ns, user, process->now.value[DENET_CPU_SYSTEM]);
    process->measured_ns = cpu->now_ns;
  }
  return 0;
}

/* Reads stat and puts everything that it says into the process, which may turn out to be another
 * one with an old one's pid. */
static int scan_stat(struct denet_procfs *procfs, struct denet_roster *roster,
                     struct denet_process *process, const struct denet_procfs_listed *listed,
                     const struct cpu_reading *cpu) {
  struct denet_text text = {0};
  struct denet_stat stat;
  int outcome = denet_procfs_read(procfs, listed->pid, 0, "stat", &text);
  if (!outcome)
    outcome = denet_parse_stat(text, &stat);
  if (outcome)
    return pass_by(procfs, roster, process, cpu, outcome);
  uint64_t start_ticks = stat.field[DENET_STAT_START_TICKS];
  if (!process->is_new && process->start_ticks != start_ticks) {
    int error = denet_roster_replace(roster, &process);
    if (error)
      return error;
  }
  take_identity(procfs, process, &stat);
  take_metrics(procfs, &stat, &process->now);
  process->inode = listed->inode;
  process->has_run = true;
  process->measured_ns = cpu->now_ns;
  process->cpu_ns = cpu->cpu_ns;
  if (cpu->is_known)
    denet_process_split_cpu(&process->now, cpu->cpu_ns, stat.field[DENET_STAT_USER_TICKS],
                            stat.field[DENET_STAT_SYSTEM_TICKS]);
  return 0;
}

static int scan_one(struct denet_procfs *procfs, struct denet_roster *roster,
                    const struct denet_procfs_listed *listed) {
  struct denet_process *process;
  int error = denet_roster_see(roster, listed->pid, &process);
  if (error)
    return error;
  struct cpu_reading cpu = {0};
  cpu.is_known = !read_cpu(procfs, listed->pid, &cpu.cpu_ns, &cpu.now_ns);
  process->is_unread = false;
  bool is_known = !process->is_new && process->inode == listed->inode && !process->has_run;
  bool is_idle = cpu.is_known && is_known && process->cpu_ns == cpu.cpu_ns;
  if (!is_idle)
    return scan_stat(procfs, roster, process, listed, &cpu);
  process->measured_ns = cpu.now_ns;
  return 0;
}

static int scan(struct denet_source *source, struct denet_roster *roster,
                struct denet_error *error) {
  struct denet_procfs *procfs = self(source);
  denet_procfs_forget_nets(source);
  int failure = list_processes(procfs);
  if (failure)
    return denet_error_set(error, failure, "%s cannot be listed: %s", procfs->host->proc_path,
                           strerror(-failure));
  procfs->scan_failure = 0;
  failure = denet_roster_begin(roster);
  for (size_t i = 0; i < procfs->listed_count && !failure; i++)
    failure = scan_one(procfs, roster, &procfs->listed[i]);
  denet_roster_end(roster, !failure);
  failure = failure ? failure : procfs->scan_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be read: %s", strerror(-failure));
  return 0;
}

static void free_procfs(struct denet_source *source) {
  struct denet_procfs *procfs = self(source);
  denet_aside_free(procfs->aside);
  if (procfs->folder)
    closedir(procfs->folder); /* closes proc_fd */
  free(procfs->listed);
  free(procfs->nets);
  denet_buffer_done(&procfs->net_text);
  free(procfs);
}

/* Sorts the rows of metrics.def by file. */
static void make_plans(struct denet_procfs *procfs) {
  const uint64_t units[DENET_UNITS] = {[DENET_UNIT_ONE] = 1,
                                       [DENET_UNIT_TICKS] = procfs->host->tick_ns,
                                       [DENET_UNIT_PAGES] = procfs->host->page_bytes};
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    struct denet_procfs_plan *plan = &procfs->plan[info->file];
    if (info->file == DENET_FILE_NONE || plan->count == DENET_COUNT_OF(plan->metric))
      continue;
    unsigned i = plan->count++;
    plan->metric[i] = m;
    plan->key[i] = info->key;
    plan->index[i] = (unsigned)strtoul(info->key, NULL, 10);
    plan->unit[i] = units[info->file_unit];
    plan->mask |= UINT64_C(1) << m;
  }
}

/* Whether the pids in there are those of our own pid namespace: its "self" is this process. */
static bool has_own_pids(int proc_fd) {
  char link[16];
  ssize_t length = readlinkat(proc_fd, "self", link, sizeof(link) - 1);
  if (length < 0)
    return false;
  link[length] = '\0';
  return denet_procfs_parse_pid(link) == getpid();
}

/* Whether stat tells all of other users' processes: it does of the first one. */
static bool can_see_all(struct denet_procfs *procfs) {
  struct denet_text text = {0};
  struct denet_stat stat;
  return !denet_procfs_read(procfs, 1, 0, "stat", &text) && !denet_parse_stat(text, &stat) &&
         stat.fields > DENET_STAT_START_STACK && stat.field[DENET_STAT_START_STACK];
}

/* Whether the kernel does: of those that do not, some have no file and some zeros in it, also for
 * us who have run. */
static bool keeps_run_queue_times(struct denet_procfs *procfs) {
  DENET_CLOSE int fd = openat(procfs->proc_fd, "self/schedstat", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno != ENOENT;
  ssize_t got = read(fd, procfs->text, DENET_PROCFS_TEXT);
  struct denet_text text = {procfs->text, got > 0 ? (size_t)got : 0};
  uint64_t timeslices;
  return denet_parse_field(text, 3, &timeslices) && timeslices;
}

int denet_procfs_open(const struct denet_host *host, struct denet_error *error,
                      struct denet_source **out_source) {
  DIR *folder = opendir(host->proc_path);
  if (!folder)
    return denet_error_set(error, -errno, "ProcPath \"%s\" cannot be opened: %s", host->proc_path,
                           strerror(errno));
  struct denet_procfs *procfs = calloc(1, sizeof(*procfs));
  if (!procfs || denet_aside_new(&procfs->aside)) {
    free(procfs);
    closedir(folder);
    return denet_error_set(error, -ENOMEM, "there is no memory");
  }
  procfs->source = (struct denet_source){.name = "procfs",
                                         .gauge = DENET_GAUGE_PROCFS,
                                         .call_fd = -1,
                                         .scan = scan,
                                         .measure = denet_procfs_measure,
                                         .describe = denet_procfs_describe,
                                         .owner = denet_procfs_owner,
                                         .free = free_procfs};
  procfs->host = host;
  procfs->folder = folder;
  procfs->proc_fd = dirfd(folder);
  procfs->own_pids = has_own_pids(procfs->proc_fd);
  struct stat own_net;
  if (procfs->own_pids && !fstatat(procfs->proc_fd, "self/ns/net", &own_net, 0))
    procfs->own_net = own_net.st_ino;
  bool has_self = !faccessat(procfs->proc_fd, "self/stat", F_OK, 0);
  if (has_self && !keeps_run_queue_times(procfs))
    procfs->source.lacks |= DENET_LACK_SCHEDSTAT;
  if (has_self && faccessat(procfs->proc_fd, "self/io", F_OK, 0))
    procfs->source.lacks |= DENET_LACK_IO_ACCOUNTING;
  procfs->source.met_lacks = procfs->source.lacks;
  procfs->sees_all = can_see_all(procfs);
  make_plans(procfs);
  *out_source = &procfs->source;
  return 0;
}
