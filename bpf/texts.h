/* The texts of a process: what it was started with, what it runs, which control group it is in. */
#pragma once

#include "kernel.h"

#include "process_records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define HIERARCHIES 16

/* used lives in here, not in a variable: the verifier then has nothing to follow from one turn of a
 * loop to the next, where every length would be another state. */
struct texts_room {
  denet_u64 used; /* of bytes */
  struct denet_bpf_texts texts;
  char bytes[2 * DENET_BPF_TEXT_BYTES]; /* half of it for the verifier's peace */
};

/* Appends a name and its NUL. False when it does not fit. */
static __always_inline bool append_name(struct texts_room *room, const void *name) {
  denet_u64 used = room->used;
  if (used > DENET_BPF_TEXT_BYTES - DENET_BPF_NAME_BYTES)
    return false;
  long length = bpf_probe_read_kernel_str(&room->bytes[used], DENET_BPF_NAME_BYTES, name);
  if (length <= 0)
    return false;
  room->used = used + length;
  return true;
}

static __always_inline void append_arguments(struct texts_room *room, struct mm_struct *mm) {
  unsigned long start = mm->arg_start, length = mm->arg_end - start;
  if (mm->arg_end <= start)
    return;
  if (length > DENET_BPF_ARGUMENT_BYTES - 1)
    length = DENET_BPF_ARGUMENT_BYTES - 1;
  if (!bpf_probe_read_user(room->bytes, length & (DENET_BPF_ARGUMENT_BYTES - 1), (void *)start))
    room->used = length;
}

/* Up from the file to the root of its mounts, as d_path() goes (prepend_path, fs/d_path.c). False
 * if the path could not be had whole. */
static __always_inline bool append_path(struct texts_room *room, struct file *file) {
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
    if (!append_name(room, BPF_CORE_READ(dentry, d_name.name)))
      return false;
    if (dentry == parent) /* in no folder: a memfd */
      return true;
    dentry = parent;
  }
  return false;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node) {
  struct kernfs_node___old *old = (void *)node;
  if (bpf_core_field_exists(old->parent))
    return BPF_CORE_READ(old, parent);
  return BPF_CORE_READ(node, __parent);
}

/* systemd's own hierarchy, where that of cgroup v2 is not in use. */
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

/* The path as in /proc/PID/cgroup. */
static __always_inline bool append_cgroup(struct texts_room *room, struct css_set *set) {
  struct cgroup *cgroup = BPF_CORE_READ(set, dfl_cgrp);
  struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
  struct kernfs_node *parent = parent_of(node);
  if (!parent && (cgroup = find_systemd(set))) {
    node = BPF_CORE_READ(cgroup, kn);
    parent = parent_of(node);
  }
  if (!parent) /* the root: one empty name */
    return append_name(room, "");
  for (int i = 0; i < DENET_BPF_PATH_NAMES; i++) {
    if (!parent)
      return true;
    if (!append_name(room, BPF_CORE_READ(node, name)))
      return false;
    node = parent;
    parent = parent_of(node);
  }
  return false;
}
