/* The kernel types that the programs read, each with only the fields that they use. libbpf finds
 * the real offsets when it loads the programs (CO-RE), by the names of types and fields. A type
 * NAME___FORM stands for the type NAME of older kernels. */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>

typedef int pid_t;

/* task_struct.flags, include/linux/sched.h. */
#define PF_EXITING 0x00000004    /* in do_exit() */
#define PF_FORKNOEXEC 0x00000040 /* has not called execve() since its fork */
#define PF_KTHREAD 0x00200000
/* signal_struct.flags, include/linux/sched/signal.h. */
#define SIGNAL_GROUP_EXIT 0x4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Scheduling: include/linux/task_io_accounting.h, sched.h; kernel/sched/sched.h. */

struct task_io_accounting {
  __u64 rchar, wchar, syscr, syscw, read_bytes, write_bytes;
};

struct cfs_rq {
  struct rq {
    __u64 clock;
  } * rq;
};

struct list_head {
  struct list_head *next;
};

/* Files and paths: include/linux/dcache.h, mount.h, path.h, fs.h, fdtable.h; fs/mount.h. */

struct dentry {
  struct dentry *d_parent;
  struct qstr {
    const unsigned char *name;
  } d_name;
};

struct vfsmount {
  struct dentry *mnt_root;
};

struct mount {
  struct mount *mnt_parent;
  struct dentry *mnt_mountpoint;
  struct vfsmount mnt;
};

struct file {
  struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
  } f_path;
  struct inode {
    unsigned short i_mode;
  } * f_inode;
};

struct files_struct {
  struct fdtable {
    unsigned int max_fds;
    struct file **fd;
  } * fdt;
};

/* Memory: include/linux/percpu_counter.h, mm_types.h. */

struct mm_struct {
  unsigned long total_vm, arg_start, arg_end;
  struct file *exe_file;
  struct percpu_counter {
    __s64 count;
    __s32 *counters;
  } rss_stat[4]; /* MM_FILEPAGES, _ANONPAGES, _SWAPENTS, _SHMEMPAGES */
};

/* Before Linux 6.2. */
struct mm_struct___plain {
  struct mm_rss_stat {
    struct {
      long counter;
    } count[4];
  } rss_stat;
};

/* Control groups: include/linux/kernfs.h, cgroup-defs.h; kernel/cgroup/cgroup-internal.h. */

struct kernfs_node {
  struct kernfs_node *__parent;
  const char *name;
};

/* Before Linux 6.15. */
struct kernfs_node___old {
  struct kernfs_node *parent;
};

struct cgroup {
  struct kernfs_node *kn;
  struct cgroup_root {
    char name[64];
  } * root;
};

struct cgrp_cset_link {
  struct cgroup *cgrp;
  struct list_head cgrp_link;
};

struct css_set {
  struct cgroup *dfl_cgrp;
  struct list_head cgrp_links;
};

/* Processes: include/linux/sched.h, sched/signal.h, cred.h, ns_common.h, nsproxy.h;
 * include/net/net_namespace.h. */

struct signal_struct {
  struct {
    int counter;
  } live;
  int nr_threads, group_exit_code;
  unsigned int flags;
  __u64 utime, stime;
  unsigned long nvcsw, nivcsw, min_flt, maj_flt, cmin_flt, maxrss;
  unsigned long long sum_sched_runtime;
  struct task_io_accounting ioac;
  /* seqlock_t, include/linux/seqlock.h */
  struct {
    struct {
      struct {
        unsigned int sequence;
      } seqcount;
    } seqcount;
  } stats_lock;
  struct mm_struct *oom_mm;
  struct task_struct *group_exec_task;
};

/* Before Linux 5.17. */
struct signal_struct___old {
  struct task_struct *group_exit_task;
};

struct nsproxy {
  struct net {
    struct ns_common {
      unsigned int inum;
    } ns;
  } * net_ns;
};

struct task_struct {
  struct thread_info {
    __u32 status, cpu;
  } thread_info;
  unsigned int __state, flags;
  int on_cpu;
  struct sched_entity {
    __u64 sum_exec_runtime;
    struct cfs_rq *cfs_rq;
  } se;
  struct sched_info {
    unsigned long long run_delay, last_queued;
  } sched_info;
  struct mm_struct *mm;
  int exit_state, exit_code;
  pid_t pid, tgid;
  struct task_struct *real_parent, *group_leader;
  __u64 utime, stime;
  unsigned long nvcsw, nivcsw, min_flt, maj_flt;
  __u64 start_time, start_boottime, self_exec_id;
  const struct cred {
    struct {
      unsigned int val;
    } uid;
  } * real_cred;
  char comm[16];
  struct nsproxy *nsproxy;
  struct signal_struct *signal;
  struct sighand_struct *sighand;
  struct task_io_accounting ioac;
  struct css_set *cgroups;
  struct files_struct *files;
  struct bpf_local_storage *bpf_storage;
  unsigned int in_iowait : 1;
};

/* Before Linux 5.14. */
struct task_struct___state {
  long state;
};

/* Before Linux 5.16. */
struct task_struct___cpu {
  unsigned int cpu;
};

/* Contexts of iterator programs: include/linux/bpf.h, kernel/bpf/task_iter.c, map_iter.c. */

struct bpf_iter_meta {
  struct seq_file *seq;
  __u64 session_id;
};

struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};

struct bpf_array {
  struct bpf_map {
    __u32 id;
  } map;
  void *pptrs[0];
};

struct bpf_iter__bpf_map {
  struct bpf_iter_meta *meta;
  struct bpf_map *map;
};

#pragma clang attribute pop
