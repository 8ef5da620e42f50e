/* The /proc source: opens and frees it, and reads files. */
#include "core/source/procfs/procfs.h"

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LISTED_BYTES 2048 /* stat has 52 numbers and a name, io seven lines */

int denet_procfs_outcome(void) { return errno == ENOENT || errno == ESRCH ? DENET_GONE : -errno; }

struct path {
  char text[64];
};

/* Returns the path of a file of the process, or of its thread if tid is not 0. */
static struct path make_path(pid_t pid, pid_t tid, const char *name) {
  struct path path;
  if (tid)
    snprintf(path.text, sizeof(path.text), "%d/task/%d/%s", (int)pid, (int)tid, name);
  else
    snprintf(path.text, sizeof(path.text), "%d/%s", (int)pid, name);
  return path;
}

int denet_procfs_open_file(const struct denet_procfs *procfs, pid_t pid, pid_t tid,
                           const char *name, int flags) {
  struct path path = make_path(pid, tid, name);
  return openat(procfs->proc_fd, path.text, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Reads a file to its end, usually with one read(2): the kernel gives the text of one process or
 * thread in one piece. A file of one line is complete with its newline. */
static int read_whole(int fd, const char *name, char *out, size_t *out_length) {
  bool is_line = !strcmp(name, "statm") || !strcmp(name, "schedstat") || !strcmp(name, "stat");
  size_t length = 0;
  while (length < DENET_PROCFS_TEXT && !(is_line && length && out[length - 1] == '\n')) {
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

int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text) {
  size_t length = 0;
  DENET_CLOSE int fd = denet_procfs_open_file(procfs, pid, tid, name, 0);
  int outcome = fd < 0 ? denet_procfs_outcome() : read_whole(fd, name, procfs->text, &length);
  if (outcome)
    return denet_procfs_note_failure(procfs, outcome);
  procfs->text[length] = '\0';
  *out_text = (struct denet_text){procfs->text, length};
  return 0;
}

int denet_procfs_note_failure(struct denet_procfs *procfs, int outcome) {
  if (outcome < 0 && outcome != -EACCES && outcome != -EPERM)
    procfs->read_failure = outcome;
  return outcome;
}

void denet_procfs_note_denied(struct denet_procfs *procfs, struct denet_process *process,
                              int outcome, enum denet_unavailable what) {
  if (outcome != -EACCES && outcome != -EPERM)
    return;
  process->unavailable |= what;
  procfs->source.seen_unavailable |= what;
}

unsigned denet_procfs_add_file(struct denet_procfs *procfs, pid_t pid, pid_t tid,
                               const char *name) {
  struct path path = make_path(pid, tid, name);
  return denet_read_worker_add(procfs->numbers, pid, path.text, LISTED_BYTES);
}

int denet_procfs_file_text(struct denet_procfs *procfs, unsigned index,
                           struct denet_text *out_text) {
  int outcome = denet_read_worker_text(procfs->numbers, index, out_text);
  if (outcome == -ENOENT || outcome == -ESRCH)
    return DENET_GONE;
  return denet_procfs_note_failure(procfs, outcome == DENET_LATER ? -EAGAIN : outcome);
}

int denet_procfs_read_listed(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                             struct denet_text *out_text) {
  unsigned index = denet_procfs_add_file(procfs, pid, tid, name);
  denet_read_worker_read(procfs->numbers);
  return denet_procfs_file_text(procfs, index, out_text);
}

bool denet_procfs_has_own_pids(const struct denet_source *source) {
  return ((const struct denet_procfs *)source)->own_pids;
}

void denet_procfs_begin_pass(struct denet_source *source) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  procfs->net_count = 0;
  denet_read_worker_begin_pass(procfs->texts);
}

pid_t denet_procfs_parse_pid(const char *name) {
  if (name[0] < '1' || name[0] > '9')
    return 0;
  char *end;
  errno = 0;
  long pid = strtol(name, &end, 10);
  return *end || errno || pid > INT32_MAX ? 0 : (pid_t)pid;
}

static void free_procfs(struct denet_source *source) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_read_worker_free(procfs->texts);
  denet_read_worker_free(procfs->numbers);
  if (procfs->folder)
    closedir(procfs->folder); /* closes proc_fd */
  free(procfs->listed);
  free(procfs->nets);
  free(procfs->tids);
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
    if (info->procfs.file == DENET_FILE_NONE || plan->count == DENET_COUNT_OF(plan->metric))
      continue;
    unsigned i = plan->count++;
    plan->metric[i] = m;
    plan->key[i] = info->procfs.key;
    plan->index[i] = (unsigned)strtoul(info->procfs.key, NULL, 10);
    plan->unit[i] = units[info->procfs.unit];
    denet_metric_set_add(&plan->metrics, m);
  }
}

/* Returns whether pids there are of the own pid namespace: then "self" is this process. */
static bool has_own_pids(int proc_fd) {
  char link[16];
  ssize_t length = readlinkat(proc_fd, "self", link, sizeof(link) - 1);
  if (length < 0)
    return false;
  link[length] = '\0';
  return denet_procfs_parse_pid(link) == getpid();
}

/* Returns whether stat of pid 1, a process of another user, may be read in full. */
static bool can_see_all(struct denet_procfs *procfs) {
  struct denet_text text = {0};
  struct denet_stat stat;
  return !denet_procfs_read(procfs, 1, 0, "stat", &text) && !denet_parse_stat(text, &stat) &&
         stat.fields > DENET_STAT_START_STACK && stat.field[DENET_STAT_START_STACK];
}

/* Returns whether the kernel keeps run queue times. Without CONFIG_SCHED_INFO there is no file, or
 * it has zeros, also for this thread, which has run. */
static bool has_run_queue_times(struct denet_procfs *procfs) {
  DENET_CLOSE int fd = openat(procfs->proc_fd, "self/schedstat", O_RDONLY | O_CLOEXEC);
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
    return denet_error_set(error, -errno, "ProcPath \"%s\" cannot be opened: %s", env->proc_path,
                           strerror(errno));
  struct denet_procfs *procfs = calloc(1, sizeof(*procfs));
  if (!procfs || denet_read_worker_new(dirfd(folder), &procfs->texts) ||
      denet_read_worker_new(dirfd(folder), &procfs->numbers)) {
    if (procfs)
      denet_read_worker_free(procfs->texts);
    free(procfs);
    closedir(folder);
    return denet_error_set(error, -ENOMEM, "there is no memory");
  }
  procfs->source = (struct denet_source){.name = "procfs",
                                         .source_id = DENET_SOURCE_ID_PROCFS,
                                         .event_fd = -1,
                                         .scan = denet_procfs_scan,
                                         .measure = denet_procfs_measure,
                                         .read_text = denet_procfs_read_text,
                                         .read_uid = denet_procfs_read_uid,
                                         .free = free_procfs};
  procfs->env = env;
  procfs->wants_all = true;
  procfs->folder = folder;
  procfs->proc_fd = dirfd(folder);
  procfs->own_pids = has_own_pids(procfs->proc_fd);
  struct stat own_net;
  if (procfs->own_pids && !fstatat(procfs->proc_fd, "self/ns/net", &own_net, 0))
    procfs->own_net = own_net.st_ino;
  bool has_self = !faccessat(procfs->proc_fd, "self/stat", F_OK, 0);
  procfs->has_schedstat = !has_self || has_run_queue_times(procfs);
  if (!procfs->has_schedstat)
    procfs->source.unavailable |= DENET_UNAVAILABLE_SCHEDSTAT;
  if (has_self && faccessat(procfs->proc_fd, "self/io", F_OK, 0))
    procfs->source.unavailable |= DENET_UNAVAILABLE_IO_ACCOUNTING;
  procfs->source.seen_unavailable = procfs->source.unavailable;
  procfs->sees_all = can_see_all(procfs);
  make_plans(procfs);
  *out_source = &procfs->source;
  return 0;
}
