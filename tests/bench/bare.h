/* The record of the bare iterator for each task. Both compilers check its size. */
#pragma once

#include <linux/types.h>

struct bare_record {
  __u32 pid, tgid;
  __u64 start_ns, run_ns, user_ns, system_ns;
  __u64 switches_voluntary, switches_involuntary;
  __u64 minor_faults, major_faults;
  __u64 read_chars, write_chars, read_calls, write_calls, read_bytes, write_bytes;
  __u64 run_delay_ns;
  char comm[16];
  __u32 flags, exit_state, parent_tgid;
  __u32 vm_pages; /* 0: no memory of its own (kernel threads, zombies) */
};

_Static_assert(sizeof(struct bare_record) == 160, "no padding");
