/* The /proc source. What makes it cheap: getdents gives each process's inode, which is new for a new
 * process, and clock_gettime() on a process's CPU clock (0.3 µs) tells whether any of its threads has
 * run since the last pass. One that has not run cannot have exec'd, renamed itself, exited or used
 * anything, so none of its files but statm (memory can be taken away from outside) is opened. */
#include "cleanup.h"
#include "source.h"
#include "threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PF_FORKNOEXEC 0x40     /* include/linux/sched.h: forked but did not exec */
#define PF_KTHREAD 0x00200000  /* include/linux/sched.h */
#define FILE_BYTES 16384       /* of the files with numbers; status of a many-core host has 5 KiB */
#define ARGUMENT_BYTES (256 * 1024)
#define TEXT_BYTES 4096 /* PATH_MAX */

/* The metrics that one file holds. */
struct file_plan {
  unsigned count;
  enum denet_metric metric[8];
  const char *key[8];
  unsigned index[8]; /* the key as a number, 0 if it is a word */
  uint64_t unit[8];
  uint64_t mask; /* bit m: metric m is in this file */
};

struct listed {
  pid_t pid;
  uint64_t inode;
};

struct net_sums {
  uint64_t namespace;
  uint64_t present;
  uint64_t value[2];
};

struct procfs {
  struct denet_source source; /* first: the one is the other */
  const struct denet_host *host;
  int proc_fd;
  DIR *folder; /* of proc_fd's path */
  bool own_pids; /* pids in there are pids of ours, so that CPU clocks can be asked for by pid */
  struct file_plan plan[DENET_FILES];
  struct listed *listed;
  size_t listed_count, listed_capacity;
  struct net_sums *nets; /* of this pass */
  size_t net_count, net_capacity;
  char text[FILE_BYTES + 1];
};

static struct procfs *self(struct denet_source *source) { return (struct procfs *)source; }

/* Which outcome a failed system call on a file of a process is. */
static int outcome_of_errno(void) {
  return errno == ENOENT || errno == ESRCH ? DENET_GONE : -errno;
}

static int open_file(struct procfs *procfs, pid_t pid, pid_t tid, const char *name, int flags) {
  char path[64];
  if (tid)
    snprintf(path, sizeof(path), "%d/task/%d/%s", (int)pid, (int)tid, name);
  else
    snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
  return openat(procfs->proc_fd, path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Reads a small file with one read(), as the kernel makes these texts whole in one call. 0 with the
 * text (borrowed until the next read), DENET_GONE, -errno; -EMSGSIZE if it does not fit. */
static int read_file(struct procfs *procfs, pid_t pid, pid_t tid, const char *name,
                     struct denet_text *out_text) {
  DENET_CLOSE int fd = open_file(procfs, pid, tid, name, 0);
  if (fd < 0)
    return outcome_of_errno();
  ssize_t got = read(fd, procfs->text, FILE_BYTES);
  if (got < 0)
    return outcome_of_errno();
  if (got == FILE_BYTES)
    return -EMSGSIZE;
  procfs->text[got] = '\0';
  *out_text = (struct denet_text){procfs->text, (size_t)got};
  return 0;
}

/* CPU time of all threads of the process, exited ones included, ns: the kernel sums it for us
 * (posix_cpu_clock_get, kernel/time/posix-cpu-timers.c). */
static int read_cpu_clock(const struct procfs *procfs, pid_t pid, uint64_t *out_ns) {
  clockid_t clock;
  struct timespec time;
  if (!procfs->own_pids)
    return -ENOTSUP;
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
    return DENET_GONE;
  *out_ns = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
  return 0;
}

static int compare_listed(const void *a, const void *b) {
  const struct listed *left = a, *right = b;
  return (left->pid > right->pid) - (left->pid < right->pid);
}

static int list_one(struct procfs *procfs, pid_t pid, uint64_t inode) {
  if (procfs->listed_count == procfs->listed_capacity) {
    size_t capacity = procfs->listed_capacity ? 2 * procfs->listed_capacity : 512;
    struct listed *grown = reallocarray(procfs->listed, capacity, sizeof(*grown));
    if (!grown)
      return -ENOMEM;
    procfs->listed = grown;
    procfs->listed_capacity = capacity;
  }
  procfs->listed[procfs->listed_count++] = (struct listed){pid, inode};
  return 0;
}

static pid_t parse_pid(const char *name) {
  if (name[0] < '1' || name[0] > '9')
    return 0;
  char *end;
  errno = 0;
  long pid = strtol(name, &end, 10);
  return *end || errno || pid > INT32_MAX ? 0 : (pid_t)pid;
}

/* The pids of all processes, ascending. */
static int list_processes(struct procfs *procfs) {
  procfs->listed_count = 0;
  rewinddir(procfs->folder);
  bool sorted = true;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(procfs->folder);
    if (!entry)
      break;
    pid_t pid = parse_pid(entry->d_name);
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
    qsort(procfs->listed, procfs->listed_count, sizeof(struct listed), compare_listed);
  return 0;
}

static void take_metrics(const struct procfs *procfs, const struct denet_stat *stat,
                         struct denet_values *now) {
  const struct file_plan *plan = &procfs->plan[DENET_FILE_STAT];
  for (unsigned i = 0; i < plan->count; i++)
    if (plan->index[i] < stat->fields && !(procfs->own_pids && plan->unit[i] != 1))
      denet_values_set(now, plan->metric[i], stat->field[plan->index[i]] * plan->unit[i]);
}

/* Who it is and what happened to it, from its stat line. */
static void take_identity(const struct procfs *procfs, struct denet_process *process,
                          const struct denet_stat *stat) {
  uint64_t flags = stat->field[DENET_STAT_FLAGS];
  uint64_t exec_stamp = DENET_STAT_START_STACK < stat->fields ? stat->field[DENET_STAT_START_STACK] : 0;
  bool never_execd = flags & PF_FORKNOEXEC;
  bool gone_to_zombie = stat->state == 'Z' || stat->state == 'X';
  /* A zombie has no memory left to tell an exec by, and keeps its name. */
  bool execd = !process->is_new && !gone_to_zombie &&
               (process->never_execd != never_execd || process->exec_stamp != exec_stamp);
  process->execd |= execd;
  process->changed |= execd || process->is_new || strcmp(process->name, stat->name);
  process->start_ticks = stat->field[DENET_STAT_START_TICKS];
  process->born_ns = process->start_ticks * procfs->host->tick_ns;
  process->parent_pid = (pid_t)stat->field[DENET_STAT_PARENT];
  memcpy(process->name, stat->name, sizeof(process->name));
  process->kernel_thread = flags & PF_KTHREAD;
  process->never_execd = never_execd;
  process->exec_stamp = exec_stamp;
  /* The first thread of a process may be a zombie while others run. */
  process->ended = gone_to_zombie && stat->field[DENET_STAT_THREADS] <= 1;
  process->has_exit_status = process->ended && DENET_STAT_EXIT_CODE < stat->fields;
  if (process->has_exit_status)
    process->exit_status = (int)stat->field[DENET_STAT_EXIT_CODE];
}

/* Reads stat and puts everything that it says into the process, which may turn out to be another
 * one with an old one's pid. */
static int scan_stat(struct procfs *procfs, struct denet_roster *roster,
                     struct denet_process *process, const struct listed *listed) {
  struct denet_text text;
  struct denet_stat stat;
  int outcome = read_file(procfs, listed->pid, 0, "stat", &text);
  if (!outcome)
    outcome = denet_parse_stat(text, &stat);
  if (outcome) {
    denet_roster_unsee(roster);
    return outcome == -ENOMEM ? outcome : 0;
  }
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
  process->measured_ns = procfs->host->boot_ns(procfs->host->context);
  if (!read_cpu_clock(procfs, listed->pid, &process->cpu_ns))
    denet_process_split_cpu(&process->now, process->cpu_ns, stat.field[DENET_STAT_USER_TICKS],
                            stat.field[DENET_STAT_SYSTEM_TICKS]);
  return 0;
}

static int scan_one(struct procfs *procfs, struct denet_roster *roster,
                    const struct listed *listed) {
  struct denet_process *process;
  int error = denet_roster_see(roster, listed->pid, &process);
  if (error)
    return error;
  uint64_t cpu_ns;
  bool is_idle = !process->is_new && process->inode == listed->inode &&
                 !read_cpu_clock(procfs, listed->pid, &cpu_ns) && cpu_ns == process->cpu_ns;
  if (!is_idle)
    return scan_stat(procfs, roster, process, listed);
  process->measured_ns = procfs->host->boot_ns(procfs->host->context);
  return 0;
}

static int scan(struct denet_source *source, struct denet_roster *roster,
                struct denet_error *error) {
  struct procfs *procfs = self(source);
  procfs->net_count = 0;
  int failure = list_processes(procfs);
  if (failure)
    return denet_error_set(error, failure, "%s cannot be listed: %s", procfs->host->proc_path,
                           strerror(-failure));
  denet_roster_begin(roster);
  for (size_t i = 0; i < procfs->listed_count && !failure; i++)
    failure = scan_one(procfs, roster, &procfs->listed[i]);
  int end_failure = denet_roster_end(roster, !failure);
  failure = failure ? failure : end_failure;
  if (failure)
    return denet_error_set(error, failure, "the processes cannot be listed: %s",
                           strerror(-failure));
  return 0;
}

static void take_fields(const struct file_plan *plan, struct denet_text text,
                        struct denet_values *out) {
  uint64_t value;
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_field(text, plan->index[i], &value))
      denet_values_set(out, plan->metric[i], value * plan->unit[i]);
}

static void take_keys(const struct file_plan *plan, struct denet_text text,
                      struct denet_values *out) {
  uint64_t values[DENET_COUNT_OF(plan->key)];
  uint64_t found = denet_parse_keys(text, plan->key, plan->count, values);
  for (unsigned i = 0; i < plan->count; i++)
    if (found >> i & 1)
      denet_values_set(out, plan->metric[i], values[i] * plan->unit[i]);
}

static int measure_memory(struct procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = read_file(procfs, process->pid, 0, "statm", &text);
  if (!outcome)
    take_fields(&procfs->plan[DENET_FILE_STATM], text, &process->now);
  return outcome;
}

static int measure_io(struct procfs *procfs, struct denet_process *process) {
  struct denet_text text;
  int outcome = read_file(procfs, process->pid, 0, "io", &text);
  if (outcome == -EACCES || outcome == -EPERM)
    procfs->source.lacks |= DENET_LACK_IO;
  if (!outcome)
    take_keys(&procfs->plan[DENET_FILE_IO], text, &process->now);
  return outcome;
}

/* Adds one thread's counters to its process's. Reading its status is spared if it has not run. */
static int measure_thread(struct procfs *procfs, struct denet_process *process, pid_t tid,
                          uint64_t wanted) {
  struct denet_text text;
  struct denet_values counters = {0};
  int outcome = read_file(procfs, process->pid, tid, "schedstat", &text);
  if (outcome)
    return outcome;
  uint64_t run_ns = 0, timeslices = 0;
  denet_parse_field(text, 1, &run_ns);
  denet_parse_field(text, 3, &timeslices);
  take_fields(&procfs->plan[DENET_FILE_THREAD_SCHEDSTAT], text, &counters);
  int has_run = denet_threads_visit(process->threads, tid, run_ns, timeslices);
  if (has_run <= 0)
    return has_run;
  const struct file_plan *status = &procfs->plan[DENET_FILE_THREAD_STATUS];
  if ((wanted & status->mask) && !read_file(procfs, process->pid, tid, "status", &text))
    take_keys(status, text, &counters);
  denet_threads_add(process->threads, &counters);
  return 0;
}

static int measure_each_thread(struct procfs *procfs, struct denet_process *process,
                               uint64_t wanted) {
  DENET_CLOSE int fd = open_file(procfs, process->pid, 0, "task", O_DIRECTORY);
  if (fd < 0)
    return outcome_of_errno();
  DIR *tasks = fdopendir(fd);
  if (!tasks)
    return -errno;
  DENET_TAKE_FD(fd);
  int outcome = 0;
  struct dirent *entry;
  while ((entry = readdir(tasks)) && outcome >= 0) {
    pid_t tid = parse_pid(entry->d_name);
    if (tid)
      outcome = measure_thread(procfs, process, tid, wanted);
  }
  closedir(tasks);
  return outcome < 0 ? outcome : 0;
}

static int measure_threads(struct procfs *procfs, struct denet_process *process, uint64_t wanted) {
  if (!process->threads)
    process->threads = denet_threads_new();
  if (!process->threads)
    return -ENOMEM;
  denet_threads_begin(process->threads);
  bool is_single = denet_values_has(&process->now, DENET_THREADS) &&
                   process->now.value[DENET_THREADS] == 1;
  int outcome = is_single ? measure_thread(procfs, process, process->pid, wanted)
                          : measure_each_thread(procfs, process, wanted);
  if (outcome == -ENOENT)
    procfs->source.lacks |= DENET_LACK_SCHEDSTAT;
  denet_threads_end(process->threads);
  const struct denet_values *sums = denet_threads_sums(process->threads);
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_values_has(sums, m))
      denet_values_set(&process->now, m, sums->value[m]);
  return outcome;
}

/* The number in "net:[4026531840]"; 0 when it cannot be told. */
static uint64_t read_net_namespace(struct procfs *procfs, pid_t pid) {
  char path[64], link[64];
  snprintf(path, sizeof(path), "%d/ns/net", (int)pid);
  ssize_t length = readlinkat(procfs->proc_fd, path, link, sizeof(link) - 1);
  if (length < 0) {
    if (errno == EACCES || errno == EPERM)
      procfs->source.lacks |= DENET_LACK_NAMESPACES;
    return 0;
  }
  link[length] = '\0';
  const char *number = strchr(link, '[');
  return number ? strtoull(number + 1, NULL, 10) : 0;
}

/* The interface sums of a network namespace, read once a pass through whichever process asks
 * first. NULL when there is no memory. */
static const struct net_sums *find_net(struct procfs *procfs, uint64_t namespace, pid_t pid) {
  for (size_t i = 0; i < procfs->net_count; i++)
    if (procfs->nets[i].namespace == namespace)
      return &procfs->nets[i];
  if (procfs->net_count == procfs->net_capacity) {
    size_t capacity = procfs->net_capacity ? 2 * procfs->net_capacity : 8;
    struct net_sums *grown = reallocarray(procfs->nets, capacity, sizeof(*grown));
    if (!grown)
      return NULL;
    procfs->nets = grown;
    procfs->net_capacity = capacity;
  }
  struct net_sums *net = &procfs->nets[procfs->net_count++];
  *net = (struct net_sums){.namespace = namespace};
  struct denet_text text;
  const struct file_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  if (read_file(procfs, pid, 0, "net/dev", &text))
    return net;
  for (unsigned i = 0; i < plan->count; i++)
    if (denet_parse_net_dev(text, plan->index[i], &net->value[i]))
      net->present |= 1u << i;
  return net;
}

static void measure_net(struct procfs *procfs, struct denet_process *process, bool first) {
  if (first || process->has_run)
    process->net_namespace = read_net_namespace(procfs, process->pid);
  if (!process->net_namespace)
    return;
  const struct net_sums *net = find_net(procfs, process->net_namespace, process->pid);
  const struct file_plan *plan = &procfs->plan[DENET_FILE_NET_DEV];
  for (unsigned i = 0; net && i < plan->count; i++)
    if (net->present >> i & 1)
      denet_values_set(&process->now, plan->metric[i], net->value[i]);
}

static int measure(struct denet_source *source, struct denet_process *process, uint64_t wanted,
                   bool first) {
  struct procfs *procfs = self(source);
  bool may_differ = first || process->has_run;
  int outcome = 0;
  if (wanted & procfs->plan[DENET_FILE_STATM].mask)
    outcome = measure_memory(procfs, process);
  if (outcome != DENET_GONE && may_differ && wanted & procfs->plan[DENET_FILE_IO].mask)
    outcome = measure_io(procfs, process);
  uint64_t of_threads =
      procfs->plan[DENET_FILE_THREAD_STATUS].mask | procfs->plan[DENET_FILE_THREAD_SCHEDSTAT].mask;
  if (outcome != DENET_GONE && may_differ && wanted & of_threads)
    outcome = measure_threads(procfs, process, wanted);
  if (outcome != DENET_GONE && wanted & procfs->plan[DENET_FILE_NET_DEV].mask)
    measure_net(procfs, process, first);
  return outcome == DENET_GONE ? DENET_GONE : 0;
}

static int describe_executable(struct procfs *procfs, pid_t pid, struct denet_buffer *out) {
  static const char deleted[] = " (deleted)"; /* d_path, fs/d_path.c */
  char path[32];
  int error = denet_buffer_reserve(out, TEXT_BYTES);
  if (error)
    return error;
  snprintf(path, sizeof(path), "%d/exe", (int)pid);
  ssize_t length = readlinkat(procfs->proc_fd, path, out->bytes, TEXT_BYTES);
  if (length < 0) {
    if (errno == EACCES || errno == EPERM)
      procfs->source.lacks |= DENET_LACK_EXECUTABLE;
    return -errno;
  }
  size_t cut = sizeof(deleted) - 1;
  if ((size_t)length > cut && !memcmp(out->bytes + (size_t)length - cut, deleted, cut))
    length -= (ssize_t)cut;
  out->length = (size_t)length;
  out->bytes[length] = '\0';
  return 0;
}

static int describe_file(struct procfs *procfs, pid_t pid, const char *name, size_t limit,
                         struct denet_buffer *out) {
  DENET_CLOSE int fd = open_file(procfs, pid, 0, name, 0);
  if (fd < 0)
    return outcome_of_errno();
  int error = denet_buffer_read(out, fd, limit);
  return error == -ESRCH ? DENET_GONE : error;
}

static int describe(struct denet_source *source, const struct denet_process *process,
                    enum denet_text_kind kind, struct denet_buffer *out) {
  struct procfs *procfs = self(source);
  denet_buffer_clear(out);
  if (kind == DENET_TEXT_EXECUTABLE)
    return describe_executable(procfs, process->pid, out);
  if (kind == DENET_TEXT_ARGUMENTS) {
    int outcome = describe_file(procfs, process->pid, "cmdline", ARGUMENT_BYTES, out);
    if (!outcome)
      out->length = denet_parse_arguments(denet_buffer_text(out)).length;
    return outcome;
  }
  struct denet_text file, path;
  int outcome = read_file(procfs, process->pid, 0, "cgroup", &file);
  if (outcome)
    return outcome;
  path = denet_parse_cgroup(file);
  return path.bytes ? denet_buffer_append(out, path.bytes, path.length) : -ENOENT;
}

static int owner(struct denet_source *source, const struct denet_process *process,
                 uid_t *out_uid) {
  static const char *const uid_key[] = {"Uid"};
  struct denet_text text;
  uint64_t uid;
  int outcome = read_file(self(source), process->pid, 0, "status", &text);
  if (outcome)
    return outcome;
  if (!denet_parse_keys(text, uid_key, 1, &uid))
    return -ENOENT;
  *out_uid = (uid_t)uid;
  return 0;
}

static void free_procfs(struct denet_source *source) {
  struct procfs *procfs = self(source);
  if (procfs->folder)
    closedir(procfs->folder); /* closes proc_fd */
  free(procfs->listed);
  free(procfs->nets);
  free(procfs);
}

/* Sorts the rows of metrics.def by file. */
static void make_plans(struct procfs *procfs) {
  const uint64_t units[DENET_UNITS] = {[DENET_UNIT_ONE] = 1,
                                       [DENET_UNIT_TICKS] = procfs->host->tick_ns,
                                       [DENET_UNIT_PAGES] = procfs->host->page_bytes};
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    struct file_plan *plan = &procfs->plan[info->file];
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
  return parse_pid(link) == getpid();
}

int denet_procfs_open(const struct denet_host *host, struct denet_error *error,
                      struct denet_source **out_source) {
  DIR *folder = opendir(host->proc_path);
  if (!folder)
    return denet_error_set(error, -errno, "ProcPath \"%s\" cannot be opened: %s", host->proc_path,
                           strerror(errno));
  struct procfs *procfs = calloc(1, sizeof(*procfs));
  if (!procfs) {
    closedir(folder);
    return denet_error_set(error, -ENOMEM, "there is no memory");
  }
  procfs->source = (struct denet_source){.name = "procfs",
                                         .gauge = 1,
                                         .scan = scan,
                                         .measure = measure,
                                         .describe = describe,
                                         .owner = owner,
                                         .free = free_procfs};
  procfs->host = host;
  procfs->folder = folder;
  procfs->proc_fd = dirfd(folder);
  procfs->own_pids = has_own_pids(procfs->proc_fd);
  make_plans(procfs);
  *out_source = &procfs->source;
  return 0;
}
