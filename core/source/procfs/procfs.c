/* The /proc source: opens and frees it, and reads files and texts. */
#include "core/source/procfs/procfs.h"

#include "core/source/procfs/parse.h"
#include "core/util/array.h"
#include "core/util/capabilities.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LISTED_BYTES 2048 /* stat has 52 numbers and a name, io seven lines */
/* The rest is cut: a user's arguments must not fill the memory of this process. */
#define ARGUMENTS_MOST (1 << 18)

int denet_procfs_outcome(int outcome) {
  return outcome == -ENOENT || outcome == -ESRCH ? DENET_GONE : outcome;
}

#define PATH_BYTES 64

/* Writes the path of a file of the process, or of its thread if tid is not 0. */
static void make_path(char out[PATH_BYTES], pid_t pid, pid_t tid, const char *name) {
  if (tid)
    snprintf(out, PATH_BYTES, "%d/task/%d/%s", (int)pid, (int)tid, name);
  else
    snprintf(out, PATH_BYTES, "%d/%s", (int)pid, name);
}

int denet_procfs_open_file(const struct denet_procfs *procfs, pid_t pid, pid_t tid,
                           const char *name, int flags) {
  char path[PATH_BYTES];
  make_path(path, pid, tid, name);
  return openat(dirfd(procfs->folder), path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
}

int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text) {
  /* A file of one line is complete with its newline; it is usually read in one piece. */
  bool has_lines = !strcmp(name, "status") || !strcmp(name, "cgroup"), is_complete = false;
  size_t length = 0;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, tid, name, 0);
  while (!is_complete) {
    char *at = procfs->text + length;
    ssize_t got = fd < 0 ? -1 : read(fd, at, DENET_PROCFS_TEXT - length);
    if (got < 0)
      return denet_procfs_note(procfs, NULL, denet_procfs_outcome(-errno), 0);
    length += (size_t)got;
    is_complete = !got || (!has_lines && at[got - 1] == '\n');
  }
  if (length == DENET_PROCFS_TEXT)
    return denet_procfs_note(procfs, NULL, -EMSGSIZE, 0);
  procfs->text[length] = '\0';
  *out_text = (struct denet_text){procfs->text, length};
  return 0;
}

int denet_procfs_note(struct denet_procfs *procfs, struct denet_process *process, int outcome,
                      enum denet_unavailable what) {
  bool is_denied = outcome == -EACCES || outcome == -EPERM;
  if (outcome < 0 && !is_denied)
    procfs->read_failure = outcome;
  if (is_denied && process) {
    process->unavailable |= what;
    procfs->source.seen_unavailable |= what;
  }
  return outcome;
}

unsigned denet_procfs_add_file(struct denet_procfs *procfs, pid_t pid, pid_t tid,
                               const char *name) {
  char path[PATH_BYTES];
  make_path(path, pid, tid, name);
  return denet_read_worker_add(procfs->numbers, pid, path, LISTED_BYTES);
}

int denet_procfs_file_text(struct denet_procfs *procfs, unsigned index,
                           struct denet_text *out_text) {
  int outcome = denet_procfs_outcome(denet_read_worker_text(procfs->numbers, index, out_text));
  return denet_procfs_note(procfs, NULL, outcome == DENET_LATER ? -EAGAIN : outcome, 0);
}

void denet_procfs_begin_pass(struct denet_procfs *procfs) {
  procfs->net_count = 0;
  denet_read_worker_begin_pass(procfs->texts);
  denet_read_worker_begin_pass(procfs->numbers);
}

/* Returns the pid in the name of a directory, 0 if it is none. */
static pid_t parse_pid(const char *name) {
  if (name[0] < '1' || name[0] > '9')
    return 0;
  char *end;
  errno = 0;
  long pid = strtol(name, &end, 10);
  return *end || errno || pid > INT32_MAX ? 0 : (pid_t)pid;
}

int denet_procfs_append(struct denet_procfs_list *list, pid_t pid, uint64_t inode) {
  int error =
      denet_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof(*list->items));
  if (!error)
    list->items[list->count++] = (struct denet_procfs_listed){pid, inode};
  return error;
}

static int compare_pids(const void *a, const void *b) {
  const struct denet_procfs_listed *left = a, *right = b;
  return (left->pid > right->pid) - (left->pid < right->pid);
}

int denet_procfs_list(struct denet_procfs_list *list, DIR *folder) {
  const struct dirent *entry;
  bool is_sorted = true;
  int error = 0;
  list->count = 0;
  do {
    errno = 0;
    entry = readdir(folder);
    error = entry ? 0 : -errno;
    pid_t pid = entry ? parse_pid(entry->d_name) : 0;
    size_t count = list->count;
    is_sorted = is_sorted && (!pid || !count || list->items[count - 1].pid < pid);
    if (pid)
      error = denet_procfs_append(list, pid, entry->d_ino);
  } while (entry && !error);
  if (!is_sorted)
    qsort(list->items, list->count, sizeof(*list->items), compare_pids);
  return error;
}

/* --- Texts --- */

/* Reads a symbolic link or a file of the process, or of its thread if tid is not 0, on which a read
 * may stall. */
static int read_file(struct denet_procfs *procfs, const struct denet_process *process, pid_t tid,
                     const char *name, size_t limit, struct denet_buffer *out) {
  struct denet_read_key key = {process->pid, process->start_ticks, process->exec_stamp,
                               process->never_execd};
  char path[PATH_BYTES];
  make_path(path, process->pid, tid, name);
  return denet_read_worker_read_text(procfs->texts, &key, path, limit, out);
}

/* Returns -EACCES in place of the outcome if the process is not gone, but hidden. */
static int unhide(struct denet_procfs *procfs, const struct denet_process *process, int outcome) {
  struct denet_text text;
  uint64_t cpu_ns, now_ns;
  if (!(procfs->source.unavailable & DENET_UNAVAILABLE_PROCESSES) ||
      denet_procfs_outcome(outcome) != DENET_GONE)
    return outcome;
  bool is_there = !denet_procfs_read_cpu(procfs, process->pid, &cpu_ns, &now_ns);
  bool is_seen = denet_procfs_read(procfs, process->pid, 0, "stat", &text) != DENET_GONE;
  return is_there && !is_seen ? -EACCES : outcome;
}

static int read_executable(struct denet_procfs *procfs, struct denet_process *process, pid_t tid,
                           struct denet_buffer *out) {
  int outcome = unhide(procfs, process, read_file(procfs, process, tid, "exe", PATH_MAX, out));
  return denet_procfs_note(procfs, process, outcome, DENET_UNAVAILABLE_EXECUTABLE);
}

/* Returns whether the process has left the program that the scan saw: it exits, or a fork is in its
 * first exec or has done it. The exec clears PF_FORKNOEXEC after it has replaced the executable,
 * and sets the arguments and then the start of the code at its end (begin_new_exec, fs/exec.c;
 * load_elf_binary, fs/binfmt_elf.c). A read of stat that stalls waits for an exec. */
static bool has_left(struct denet_procfs *procfs, const struct denet_process *process) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_stat stat;
  if (process->kernel_thread || process->ended || process->no_mm)
    return false;
  int outcome = denet_procfs_outcome(read_file(procfs, process, 0, "stat", LISTED_BYTES, &text));
  if (outcome == DENET_GONE || outcome == DENET_LATER)
    return true;
  if (outcome || denet_parse_stat(denet_buffer_text(&text), &stat))
    return false;
  bool has_execd = process->never_execd && !(stat.field[DENET_STAT_FLAGS] & PF_FORKNOEXEC);
  bool is_in_exec = procfs->sees_all && !stat.field[DENET_STAT_START_CODE];
  return has_execd || is_in_exec || !stat.field[DENET_STAT_VM_BYTES];
}

static int read_arguments(struct denet_procfs *procfs, const struct denet_process *process,
                          pid_t tid, struct denet_buffer *out) {
  int outcome = read_file(procfs, process, tid, "cmdline", ARGUMENTS_MOST, out);
  if (!outcome)
    out->length = denet_parse_arguments(denet_buffer_text(out)).length;
  return unhide(procfs, process, denet_procfs_outcome(outcome));
}

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_buffer_clear(out);
  if (process->vanished) /* another process may have the pid */
    return DENET_GONE;
  pid_t mm = denet_procfs_find_mm(procfs, process), tid = mm < 0 ? 0 : mm;
  int outcome;
  if (kind != DENET_TEXT_CGROUP) {
    outcome = kind == DENET_TEXT_EXECUTABLE ? read_executable(procfs, process, tid, out)
                                            : read_arguments(procfs, process, tid, out);
    bool may_be_in_exec = !outcome && (process->never_execd || !out->length);
    return may_be_in_exec && has_left(procfs, process) ? DENET_GONE : outcome;
  }
  struct denet_text file, path;
  outcome = denet_procfs_read(procfs, process->pid, tid, "cgroup", &file);
  if (outcome)
    return unhide(procfs, process, outcome);
  path = denet_parse_cgroup(file);
  return path.bytes ? denet_buffer_append(out, path.bytes, path.length) : -ENOENT;
}

static int read_uid(struct denet_source *source, const struct denet_process *process,
                    uid_t *out_uid) {
  static const char *const uid_key[] = {"Uid"};
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  struct denet_text text;
  uint64_t uid;
  if (process->vanished)
    return DENET_GONE;
  int outcome = denet_procfs_read(procfs, process->pid, 0, "status", &text);
  if (outcome)
    return unhide(procfs, process, outcome);
  if (!denet_parse_keys(text, uid_key, 1, &uid))
    return -ENOENT;
  *out_uid = (uid_t)uid;
  return 0;
}

/* --- The source --- */

static void free_procfs(struct denet_source *source) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_read_worker_free(procfs->texts);
  denet_read_worker_free(procfs->numbers);
  if (procfs->folder)
    closedir(procfs->folder);
  free(procfs->processes.items);
  free(procfs->nets);
  free(procfs->threads.items);
  denet_buffer_done(&procfs->net_text);
  free(procfs);
}

/* Makes a plan for each file from the rows of metrics.def. */
static void make_plans(struct denet_procfs *procfs) {
  const uint64_t units[DENET_UNITS] = {[DENET_ONE] = 1,
                                       [DENET_TICKS] = procfs->env->tick_ns,
                                       [DENET_PAGES] = procfs->env->page_bytes};
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    struct denet_procfs_plan *plan = &procfs->plan[info->procfs.file];
    if (info->procfs.file == DENET_FILE_NONE)
      continue;
    unsigned i = plan->count++;
    plan->metric[i] = m;
    plan->key[i] = info->procfs.key;
    plan->index[i] = (unsigned)strtoul(info->procfs.key, NULL, 10);
    plan->unit[i] = units[info->procfs.unit];
    denet_metric_set_add(&plan->metrics, m);
  }
}

/* Returns whether stat of pid 1, a process of another user, may be read in full. */
static bool can_see_all(struct denet_procfs *procfs) {
  struct denet_text text = {0};
  struct denet_stat stat;
  return !denet_procfs_read(procfs, 1, 0, "stat", &text) && !denet_parse_stat(text, &stat) &&
         stat.fields > DENET_STAT_START_STACK && stat.field[DENET_STAT_START_STACK];
}

/* Returns whether processes of other users, such as pid 1, are hidden (hidepid, proc(5)). A sandbox
 * may protect pid 1 from CAP_SYS_PTRACE too: then pid 2, a kernel thread, shows it. */
static bool hides_others(struct denet_procfs *procfs) {
  struct denet_text text;
  pid_t last = (denet_capabilities_read() & DENET_CAPABILITY(SYS_PTRACE)) ? 2 : 1;
  bool is_hidden = true;
  for (pid_t pid = 1; pid <= last && is_hidden; pid++) {
    int outcome = denet_procfs_read(procfs, pid, 0, "stat", &text);
    is_hidden = outcome == DENET_GONE || outcome == -EACCES || outcome == -EPERM;
  }
  return is_hidden;
}

/* Returns whether the kernel keeps run queue times. Without CONFIG_SCHED_INFO there is no file, or
 * it has zeros, also for this thread, which has run. */
static bool has_run_queue_times(struct denet_procfs *procfs) {
  DENET_CLOSE int fd = openat(dirfd(procfs->folder), "self/schedstat", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno != ENOENT;
  ssize_t got = read(fd, procfs->text, DENET_PROCFS_TEXT);
  struct denet_text text = {procfs->text, got > 0 ? (size_t)got : 0};
  uint64_t timeslices;
  return denet_parse_field(text, 3, &timeslices) && timeslices;
}

int denet_procfs_open(const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source) {
  DIR *folder = opendir(env->proc_path);
  if (!folder)
    return denet_error_set(error, -errno, "ProcPath \"%s\" cannot be opened: %m", env->proc_path);
  struct denet_procfs *procfs = calloc(1, sizeof(*procfs));
  if (procfs) {
    procfs->folder = folder;
    procfs->texts = denet_read_worker_new(dirfd(folder));
    procfs->numbers = denet_read_worker_new(dirfd(folder));
  }
  if (!procfs || !procfs->texts || !procfs->numbers) {
    if (procfs)
      free_procfs(&procfs->source);
    else
      closedir(folder);
    return denet_error_set(error, -ENOMEM, "there is no memory");
  }
  procfs->source = (struct denet_source){.name = "procfs",
                                         .source_id = DENET_SOURCE_ID_PROCFS,
                                         .event_fd = -1,
                                         .scan = denet_procfs_scan,
                                         .measure = denet_procfs_measure,
                                         .read_text = read_text,
                                         .read_uid = read_uid,
                                         .free = free_procfs};
  procfs->env = env;
  char self[16] = ""; /* the target of a symbolic link: the pid of this process there */
  procfs->own_pids =
      readlinkat(dirfd(folder), "self", self, sizeof(self) - 1) > 0 && parse_pid(self) == getpid();
  struct stat own_net;
  if (procfs->own_pids && !fstatat(dirfd(folder), "self/ns/net", &own_net, 0))
    procfs->own_net = own_net.st_ino;
  bool has_self = !faccessat(dirfd(folder), "self/stat", F_OK, 0);
  procfs->has_schedstat = !has_self || has_run_queue_times(procfs);
  if (!procfs->has_schedstat)
    procfs->source.unavailable |= DENET_UNAVAILABLE_SCHEDSTAT;
  if (has_self && faccessat(dirfd(folder), "self/io", F_OK, 0))
    procfs->source.unavailable |= DENET_UNAVAILABLE_IO_ACCOUNTING;
  if (has_self && hides_others(procfs))
    procfs->source.unavailable |= DENET_UNAVAILABLE_PROCESSES;
  procfs->source.seen_unavailable = procfs->source.unavailable;
  procfs->sees_all = can_see_all(procfs);
  make_plans(procfs);
  *out_source = &procfs->source;
  return 0;
}
