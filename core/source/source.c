#include "core/source/source.h"

#include "core/util/capabilities.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define ANCESTORS_MOST 16
#define NO_SCHED_INFO "the kernel was built without CONFIG_SCHED_INFO"
#define NOT_PERMITTED "not permitted"
#define CAN_TRACE DENET_CAPABILITY(SYS_PTRACE) /* ptrace_may_access, kernel/ptrace.c */

const struct denet_unavailable_info denet_unavailable_info[DENET_UNAVAILABLE_ROWS] = {
    {DENET_UNAVAILABLE_EXECUTABLE, "executable", NOT_PERMITTED,
     "the executable of a process may not be read: Executable conditions do not match such "
     "processes, and %{exe} is their name",
     CAN_TRACE},
    {DENET_UNAVAILABLE_IO, "io", NOT_PERMITTED,
     "/proc/PID/io of a process may not be read: disk_octets, io_octets and io_ops of such "
     "processes are left out",
     CAN_TRACE | DENET_CAPABILITY(DAC_READ_SEARCH)},
    {DENET_UNAVAILABLE_IO_ACCOUNTING, "io",
     "the kernel was built without CONFIG_TASK_IO_ACCOUNTING",
     "there is no /proc/PID/io: disk_octets, io_octets and io_ops are left out; a kernel with "
     "CONFIG_TASK_IO_ACCOUNTING brings them back",
     0},
    {DENET_UNAVAILABLE_SCHEDSTAT, "run_delay", NO_SCHED_INFO,
     "the kernel keeps no run queue times (/proc/PID/schedstat): they and off-CPU times "
     "(total_time_in_ms, delay_rate) are left out; a kernel with CONFIG_SCHED_INFO brings them "
     "back",
     0},
    {DENET_UNAVAILABLE_SCHEDSTAT, "off_cpu", NO_SCHED_INFO, NULL, 0},
    {DENET_UNAVAILABLE_NAMESPACES, "sys_net", NOT_PERMITTED,
     "the network namespace of a process may not be read: sys_net_rx_bytes and sys_net_tx_bytes "
     "are left out of the files of such processes",
     CAN_TRACE},
    {DENET_UNAVAILABLE_PROCESSES, NULL, NULL,
     "ProcPath hides processes of other users (mount option hidepid; in a systemd unit "
     "ProtectProc): a group has no values until a process of it is seen; the remedies are "
     "hidepid=0, gid= with a group of collectd, or a capability",
     CAN_TRACE},
    {DENET_UNAVAILABLE_TASKS, NULL, NULL,
     "the kernel's task iterator leaves out pid 1 or collectd itself, and perhaps other processes: "
     "they are in no group; Source \"procfs\" finds what ProcPath shows",
     0},
};

void denet_unavailable_explain(const struct denet_unavailable_info *info, const char *sentence,
                               struct denet_error *out) {
  if (info->capabilities)
    denet_capabilities_explain(sentence, info->capabilities, denet_capabilities_read(), out);
  else
    denet_error_set(out, 0, "%s", sentence);
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

/* Returns whether both run the same program. A process that was first seen in its exit has no exec
 * stamp; then the names are compared, which a fork inherits and an exec changes. */
static bool run_same_program(const struct denet_process *one, const struct denet_process *other) {
  bool have_stamps = one->exec_stamp && other->exec_stamp;
  return have_stamps ? one->exec_stamp == other->exec_stamp : !strcmp(one->name, other->name);
}

/* Returns whether the process has lost this text in its exit: its executable is the first to go,
 * and the arguments of a zombie are empty. */
static bool has_lost(const struct denet_process *process, enum denet_text_kind kind, int outcome,
                     const struct denet_buffer *text) {
  bool is_executable = kind == DENET_TEXT_EXECUTABLE, is_arguments = kind == DENET_TEXT_ARGUMENTS;
  bool is_exiting = process->ended || process->no_mm ||
                    (is_executable && outcome == -ENOENT && !process->kernel_thread);
  bool is_missing = (is_executable && outcome) || (is_arguments && (outcome || !text->length));
  return outcome == DENET_GONE || (is_exiting && is_missing);
}

int denet_source_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out) {
  int own = source->read_text(source, process, kind, out), outcome = own;
  struct denet_process *at = process;
  for (int i = 0; i < ANCESTORS_MOST && has_lost(at, kind, outcome, out); i++) {
    struct denet_process *parent =
        at->never_execd ? denet_process_table_find_parent(source->table, at) : NULL;
    if (!parent || !run_same_program(parent, at) || !run_same_program(parent, process))
      return own ? own : process->ended ? -ENOENT : DENET_GONE;
    at = parent;
    outcome = source->read_text(source, at, kind, out);
  }
  return outcome;
}

void denet_source_free(struct denet_source *source) {
  if (source)
    source->free(source);
}
