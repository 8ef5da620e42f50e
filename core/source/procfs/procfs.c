/* The /proc source: how its files are read, and how it begins and ends. */
#include "core/source/procfs/procfs.h"

#include "core/source/procfs/parse.h"
#include "core/util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ASKED_BYTES 2048 /* stat has 52 numbers and a name, io seven lines */

int denet_procfs_outcome(void) { return errno == ENOENT || errno == ESRCH ? DENET_GONE : -errno; }

/* Of a process's file, or with tid of its thread's. */
struct path {
  char text[64];
};

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

int denet_procfs_note_failure(struct denet_procfs *procfs, int outcome) {
  if (outcome < 0 && outcome != -EACCES && outcome != -EPERM)
    procfs->read_failure = outcome;
  return outcome;
}

int denet_procfs_read(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                      struct denet_text *out_text) {
  return denet_procfs_note_failure(procfs, read_text(procfs, pid, tid, name, out_text));
}

unsigned denet_procfs_ask_file(struct denet_procfs *procfs, pid_t pid, pid_t tid,
                               const char *name) {
  struct path path = make_path(pid, tid, name);
  return denet_batch_add(procfs->batch, pid, path.text, ASKED_BYTES);
}

int denet_procfs_text(struct denet_procfs *procfs, unsigned place, struct denet_text *out_text) {
  int outcome = denet_batch_text(procfs->batch, place, out_text);
  if (outcome == -ENOENT || outcome == -ESRCH)
    return DENET_GONE;
  if (outcome == DENET_LATER)
    outcome = -EAGAIN;
  return denet_procfs_note_failure(procfs, outcome);
}

int denet_procfs_read_held(struct denet_procfs *procfs, pid_t pid, pid_t tid, const char *name,
                           struct denet_text *out_text) {
  unsigned place = denet_procfs_ask_file(procfs, pid, tid, name);
  denet_batch_read(procfs->batch);
  return denet_procfs_text(procfs, place, out_text);
}

void denet_procfs_note_unavailable(struct denet_procfs *procfs, struct denet_process *process,
                                   enum denet_unavailable lack) {
  process->unavailable |= lack;
  procfs->source.seen_unavailable |= lack;
}

bool denet_procfs_has_own_pids(const struct denet_source *source) {
  return ((const struct denet_procfs *)source)->own_pids;
}

void denet_procfs_forget_nets(struct denet_source *source) {
  ((struct denet_procfs *)source)->net_count = 0;
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
  denet_aside_free(procfs->aside);
  denet_batch_free(procfs->batch);
  if (procfs->folder)
    closedir(procfs->folder); /* closes proc_fd */
  free(procfs->listed);
  free(procfs->nets);
  free(procfs->tids);
  denet_buffer_done(&procfs->net_text);
  free(procfs);
}

/* Sorts the rows of metrics.def by file. */
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

int denet_procfs_open(const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source) {
  DIR *folder = opendir(env->proc_path);
  if (!folder)
    return denet_error_set(error, -errno, "ProcPath \"%s\" cannot be opened: %s", env->proc_path,
                           strerror(errno));
  struct denet_procfs *procfs = calloc(1, sizeof(*procfs));
  if (!procfs || denet_aside_new(&procfs->aside) ||
      denet_batch_new(dirfd(folder), &procfs->batch)) {
    if (procfs)
      denet_aside_free(procfs->aside);
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
  if (has_self && !keeps_run_queue_times(procfs))
    procfs->source.unavailable |= DENET_UNAVAILABLE_SCHEDSTAT;
  if (has_self && faccessat(procfs->proc_fd, "self/io", F_OK, 0))
    procfs->source.unavailable |= DENET_UNAVAILABLE_IO_ACCOUNTING;
  procfs->source.seen_unavailable = procfs->source.unavailable;
  procfs->sees_all = can_see_all(procfs);
  make_plans(procfs);
  *out_source = &procfs->source;
  return 0;
}
