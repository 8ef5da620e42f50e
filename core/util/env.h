/* What core needs from outside, so that it has no globals and no environment of its own. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_env {
  const char *proc_path; /* the /proc of the host that is watched; borrowed */
  uint64_t tick_ns;      /* one USER_HZ tick, the unit of times in /proc/PID/stat */
  uint64_t page_bytes;
  void *context; /* for the functions */
  /* Time since boot with suspend (CLOCK_BOOTTIME, the clock of start times), ns. */
  uint64_t (*boot_ns)(void *context);
  /* Wall clock, ms since 1970. */
  uint64_t (*unix_ms)(void *context);
  /* Name of a user into out; 0, -ENOENT when nobody knows it, another -errno when nobody could be
   * asked. May ask a directory service. */
  int (*user_name)(void *context, uid_t uid, char *out, size_t size);
};

/* The machine that this runs on, with its /proc at proc_path (borrowed). */
struct denet_env denet_env_here(const char *proc_path);
