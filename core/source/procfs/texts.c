/* The texts and the user of a process of /proc. */
#include "core/source/procfs/parse.h"
#include "core/source/procfs/procfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The rest is cut: a user's arguments must not fill the memory of this process. */
#define ARGUMENTS_MOST (1 << 18)

/* Reads a symbolic link or a file of the process on which a read may stall. */
static int read_file(struct denet_procfs *procfs, const struct denet_process *process,
                     const char *name, size_t limit, struct denet_buffer *out) {
  struct denet_read_key key = {process->pid, process->start_ticks, process->exec_stamp,
                               process->never_execd};
  char path[32];
  snprintf(path, sizeof(path), "%d/%s", (int)process->pid, name);
  return denet_read_worker_read_text(procfs->texts, &key, path, limit, out);
}

static int read_executable(struct denet_procfs *procfs, struct denet_process *process,
                           struct denet_buffer *out) {
  static const char deleted[] = " (deleted)"; /* d_path, fs/d_path.c */
  int outcome = read_file(procfs, process, "exe", PATH_MAX, out);
  denet_procfs_note_denied(procfs, process, outcome, DENET_UNAVAILABLE_EXECUTABLE);
  if (outcome)
    return outcome;
  size_t cut = sizeof(deleted) - 1;
  if (out->length > cut && !memcmp(out->bytes + out->length - cut, deleted, cut))
    out->length -= cut;
  out->bytes[out->length] = '\0';
  return 0;
}

/* Returns whether the process has lost its memory since the scan, in its exit. */
static bool has_ended(struct denet_procfs *procfs, const struct denet_process *process) {
  struct denet_text text;
  uint64_t vm_pages;
  if (process->kernel_thread || process->ended || process->no_mm)
    return false;
  int outcome = denet_procfs_read(procfs, process->pid, 0, "statm", &text);
  return outcome == DENET_GONE || (!outcome && denet_parse_field(text, 1, &vm_pages) && !vm_pages);
}

static int read_arguments(struct denet_procfs *procfs, const struct denet_process *process,
                          struct denet_buffer *out) {
  int outcome = read_file(procfs, process, "cmdline", ARGUMENTS_MOST, out);
  if (!outcome && !out->length && has_ended(procfs, process))
    return DENET_GONE;
  if (!outcome)
    out->length = denet_parse_arguments(denet_buffer_text(out)).length;
  return outcome == -ENOENT || outcome == -ESRCH ? DENET_GONE : outcome;
}

int denet_procfs_read_text(struct denet_source *source, struct denet_process *process,
                           enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_procfs *procfs = (struct denet_procfs *)source;
  denet_buffer_clear(out);
  if (process->vanished) /* another process may have the pid */
    return DENET_GONE;
  if (kind == DENET_TEXT_EXECUTABLE)
    return read_executable(procfs, process, out);
  if (kind == DENET_TEXT_ARGUMENTS)
    return read_arguments(procfs, process, out);
  struct denet_text file, path;
  int outcome = denet_procfs_read(procfs, process->pid, 0, "cgroup", &file);
  if (outcome)
    return outcome;
  path = denet_parse_cgroup(file);
  return path.bytes ? denet_buffer_append(out, path.bytes, path.length) : -ENOENT;
}

int denet_procfs_read_uid(struct denet_source *source, const struct denet_process *process,
                          uid_t *out_uid) {
  static const char *const uid_key[] = {"Uid"};
  struct denet_text text;
  uint64_t uid;
  if (process->vanished)
    return DENET_GONE;
  int outcome = denet_procfs_read((struct denet_procfs *)source, process->pid, 0, "status", &text);
  if (outcome)
    return outcome;
  if (!denet_parse_keys(text, uid_key, 1, &uid))
    return -ENOENT;
  *out_uid = (uid_t)uid;
  return 0;
}
