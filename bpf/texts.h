/* Reads the texts of a process: its arguments, and the paths of its executable and its cgroup. */
#pragma once

#include "kernel.h"

#include "process_records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define HIERARCHIES 16 /* of cgroup v1 that are searched at most */

/* An event and its texts. used is a field and not a local variable: the verifier would follow each
 * value of a variable through the loops. */
struct texts_buffer {
  denet_u64 used; /* of bytes, at most DENET_BPF_TEXT_BYTES */
  struct denet_bpf_texts texts;
  char bytes[2 * DENET_BPF_TEXT_BYTES]; /* twice as many as are used: the verifier adds bounds */
};

/* Appends a name and its NUL. Returns false if it does not fit or cannot be read. */
static __always_inline bool append_name(struct texts_buffer *buffer, const void *name) {
  denet_u64 used = buffer->used;
  if (used > DENET_BPF_TEXT_BYTES - DENET_BPF_NAME_BYTES)
    return false;
  long length = bpf_probe_read_kernel_str(&buffer->bytes[used], DENET_BPF_NAME_BYTES, name);
  if (length <= 0)
    return false;
  buffer->used = used + length;
  return true;
}

/* Appends the arguments from the process's memory (mm->arg_start to arg_end, as /proc/PID/cmdline
 * reads them), cut at DENET_BPF_ARGUMENT_BYTES - 1. Appends nothing if they are not resident. */
static __always_inline void append_arguments(struct texts_buffer *buffer, struct mm_struct *mm) {
  unsigned long start = mm->arg_start, length = mm->arg_end - start;
  if (mm->arg_end <= start)
    return;
  if (length > DENET_BPF_ARGUMENT_BYTES - 1)
    length = DENET_BPF_ARGUMENT_BYTES - 1;
  if (!bpf_probe_read_user(buffer->bytes, length & (DENET_BPF_ARGUMENT_BYTES - 1), (void *)start))
    buffer->used = length;
}

/* Appends the names of the file's path, leaf first, up through its mounts to the root, as d_path()
 * does (prepend_path(), fs/d_path.c). Returns false if the path is not complete. */
static __always_inline bool append_path(struct texts_buffer *buffer, struct file *file) {
  struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
  struct vfsmount *mounted = BPF_CORE_READ(file, f_path.mnt);
  for (int i = 0; i < DENET_BPF_PATH_NAMES; i++) {
    struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
    if (dentry == BPF_CORE_READ(mounted, mnt_root)) {
      struct mount *mount = (void *)mounted - bpf_core_field_offset(struct mount, mnt);
      struct mount *above = BPF_CORE_READ(mount, mnt_parent);
      if (above == mount)
        return true;
      dentry = BPF_CORE_READ(mount, mnt_mountpoint);
      mounted = (void *)above + bpf_core_field_offset(struct mount, mnt);
      continue;
    }
    if (!append_name(buffer, BPF_CORE_READ(dentry, d_name.name)))
      return false;
    if (dentry == parent) /* a file without a directory: a memfd */
      return true;
    dentry = parent;
  }
  return false;
}

/* kernfs_node.parent before Linux 6.15, __parent since then. */
static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node) {
  struct kernfs_node___old *old = (void *)node;
  if (bpf_core_field_exists(old->parent))
    return BPF_CORE_READ(old, parent);
  return BPF_CORE_READ(node, __parent);
}

/* Returns the cgroup in the v1 hierarchy named "systemd"; NULL if there is none. A css_set has a
 * link to a cgroup in each hierarchy (kernel/cgroup/cgroup-internal.h). */
static __always_inline struct cgroup *find_systemd(struct css_set *set) {
  const char *head = (const char *)set + bpf_core_field_offset(struct css_set, cgrp_links);
  struct list_head *at = BPF_CORE_READ(set, cgrp_links.next);
  for (int i = 0; i < HIERARCHIES && (const char *)at != head; i++) {
    struct cgrp_cset_link *link =
        (void *)at - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);
    struct cgroup *cgroup = BPF_CORE_READ(link, cgrp);
    char name[8] = {};
    struct cgroup_root *root = BPF_CORE_READ(cgroup, root);
    bpf_probe_read_kernel_str(name, sizeof(name), &root->name);
    if (*(denet_u64 *)name == *(const denet_u64 *)"systemd")
      return cgroup;
    at = BPF_CORE_READ(at, next);
  }
  return 0;
}

/* Appends the names of the cgroup's path, leaf first: of cgroup v2 (css_set.dfl_cgrp), or of
 * systemd's v1 hierarchy if the process is in the root of v2. Returns false if the path is not
 * complete. */
static __always_inline bool append_cgroup(struct texts_buffer *buffer, struct css_set *set) {
  struct cgroup *cgroup = BPF_CORE_READ(set, dfl_cgrp);
  struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
  struct kernfs_node *parent = parent_of(node);
  if (!parent && (cgroup = find_systemd(set))) {
    node = BPF_CORE_READ(cgroup, kn);
    parent = parent_of(node);
  }
  if (!parent) /* the root has one empty name */
    return append_name(buffer, "");
  for (int i = 0; i < DENET_BPF_PATH_NAMES; i++) {
    if (!parent)
      return true;
    if (!append_name(buffer, BPF_CORE_READ(node, name)))
      return false;
    node = parent;
    parent = parent_of(node);
  }
  return false;
}
