#include "core/source/source.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define ANCESTORS_MOST 16
#define NO_SCHED_INFO "the kernel was built without CONFIG_SCHED_INFO"
#define NOT_PERMITTED "not permitted: needs CAP_SYS_PTRACE"

const struct denet_unavailable_info denet_unavailable_info[DENET_UNAVAILABLE_ROWS] = {
    {DENET_UNAVAILABLE_EXECUTABLE, "executable", NOT_PERMITTED,
     "the executable of a process may not be read: Executable conditions do not match such ones, "
     "and "
     "%{exe} is their name; for other users' processes CAP_SYS_PTRACE brings it back"},
    {DENET_UNAVAILABLE_IO, "io", NOT_PERMITTED " and CAP_DAC_READ_SEARCH",
     "/proc/PID/io of a process may not be read: disk_octets, io_octets and io_ops of such ones "
     "are "
     "left out; for other users' processes CAP_SYS_PTRACE with CAP_DAC_READ_SEARCH brings them "
     "back"},
    {DENET_UNAVAILABLE_IO_ACCOUNTING, "io",
     "the kernel was built without CONFIG_TASK_IO_ACCOUNTING",
     "there is no /proc/PID/io: disk_octets, io_octets and io_ops are left out; a kernel with "
     "CONFIG_TASK_IO_ACCOUNTING brings them back"},
    {DENET_UNAVAILABLE_SCHEDSTAT, "run_delay", NO_SCHED_INFO,
     "the kernel keeps no run queue times (/proc/PID/schedstat): they and off-CPU times "
     "(total_time_in_ms, delay_rate) are left out; a kernel with CONFIG_SCHED_INFO brings them "
     "back"},
    {DENET_UNAVAILABLE_SCHEDSTAT, "off_cpu", NO_SCHED_INFO, NULL},
    {DENET_UNAVAILABLE_NAMESPACES, "sys_net", NOT_PERMITTED,
     "the network namespace of a process may not be read: sys_net_rx_bytes and sys_net_tx_bytes "
     "are "
     "left out of such ones' files; for other users' processes CAP_SYS_PTRACE brings them back"},
};

bool denet_source_is_passing(int outcome) {
  switch (-outcome) {
  case EAGAIN:
  case EINTR:
  case EIO:
  case EMFILE:
  case ENFILE:
  case ENOMEM:
    return true;
  default:
    return false;
  }
}

int denet_source_open(const char *choice, const struct denet_env *env, struct denet_error *error,
                      struct denet_source **out_source) {
  if (!strcasecmp(choice, "bpf"))
    return denet_bpf_open(env, error, out_source);
  if (!strcasecmp(choice, "procfs"))
    return denet_procfs_open(env, error, out_source);
  if (strcasecmp(choice, "auto") != 0)
    return denet_error_set(error, -EINVAL, "Source \"%s\": must be auto, bpf or procfs", choice);
  int bpf_error = denet_bpf_open(env, error, out_source);
  return bpf_error ? denet_procfs_open(env, error, out_source) : 0;
}

/* Whether both run the same program, as far as one can tell. One that was seen in its exit only has
 * no stamp: then their names must do, which a fork inherits and an exec changes. */
static bool are_alike(const struct denet_process *one, const struct denet_process *other) {
  bool have_stamps = one->exec_stamp && other->exec_stamp;
  return have_stamps ? one->exec_stamp == other->exec_stamp : !strcmp(one->name, other->name);
}

/* A process that never exec'd runs what its parent ran when it forked, and may still. The parent
 * may be gone as well. */
static struct denet_process *find_like(const struct denet_process_table *table,
                                       const struct denet_process *process) {
  if (!table || !process->never_execd)
    return NULL;
  struct denet_process *parent = denet_process_table_find(table, process->parent_pid);
  if (!parent || parent->born_ns > process->born_ns)
    parent = denet_process_table_find_gone(table, process->parent_pid, process->born_ns);
  return parent && are_alike(parent, process) ? parent : NULL;
}

/* Whether the process has no such text any more. One that exits gives its executable back first,
 * and a zombie's arguments are empty. */
static bool has_lost(const struct denet_process *process, enum denet_text_kind kind, int outcome,
                     const struct denet_buffer *text) {
  bool has_exited = process->ended || process->no_mm;
  switch (kind) {
  case DENET_TEXT_EXECUTABLE:
    has_exited |= outcome == -ENOENT && !process->kernel_thread;
    return outcome == DENET_GONE || (has_exited && outcome);
  case DENET_TEXT_ARGUMENTS:
    return outcome == DENET_GONE || (has_exited && (outcome || !text->length));
  case DENET_TEXT_CGROUP:
    break;
  }
  return outcome == DENET_GONE;
}

int denet_source_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out) {
  int own = source->read_text(source, process, kind, out), outcome = own;
  struct denet_process *like = process;
  for (int i = 0; i < ANCESTORS_MOST && has_lost(like, kind, outcome, out); i++) {
    like = find_like(source->table, like);
    if (!like || !are_alike(like, process))
      return own;
    outcome = source->read_text(source, like, kind, out);
  }
  return outcome;
}

void denet_source_free(struct denet_source *source) {
  if (source)
    source->free(source);
}
