#include "core/util/env.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t boot_ns_here(void *context) {
  (void)context;
  return read_clock(CLOCK_BOOTTIME);
}

static uint64_t unix_ms_here(void *context) {
  (void)context;
  return read_clock(CLOCK_REALTIME) / 1000000;
}

static int user_name_here(void *context, uid_t uid, char *out, size_t size) {
  (void)context;
  char texts[4096];
  struct passwd entry, *found = NULL;
  int error = getpwuid_r(uid, &entry, texts, sizeof(texts), &found);
  if (error || !found)
    return error ? -error : -ENOENT;
  int length = snprintf(out, size, "%s", found->pw_name);
  return length < 0 || (size_t)length >= size ? -ENOENT : 0;
}

struct denet_env denet_env_here(const char *proc_path) {
  return (struct denet_env){
      .proc_path = proc_path,
      .tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK),
      .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
      .boot_ns = boot_ns_here,
      .unix_ms = unix_ms_here,
      .user_name = user_name_here,
  };
}
