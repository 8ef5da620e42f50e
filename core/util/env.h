/* What core takes from its environment: core has no globals, and reads clocks and names of users
 * only through this. A test supplies its own. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct denet_env {
  const char *proc_path; /* the /proc of the monitored host; borrowed */
  uint64_t tick_ns;      /* one USER_HZ tick, the unit of times in /proc/PID/stat */
  uint64_t page_bytes;
  void *context; /* first argument of the functions */
  /* Returns CLOCK_BOOTTIME in ns: time since boot, suspension included; start times have it too. */
  uint64_t (*boot_ns)(void *context);
  /* Returns the wall clock in ms since 1970. */
  uint64_t (*unix_ms)(void *context);
  /* Writes the name of a user into out. 0; -ENOENT if there is none; another -errno if it could not
   * be looked up. May query a directory service. */
  int (*user_name)(void *context, uid_t uid, char *out, size_t size);
};

/* Returns the environment of this host, with its /proc at proc_path (borrowed). */
struct denet_env denet_env_here(const char *proc_path);
