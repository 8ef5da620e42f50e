#include "core/util/env.h"

#include "core/util/clock.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t read_boot_ns(void *context) {
  (void)context;
  return denet_clock_boot_ns();
}

static uint64_t read_unix_ms(void *context) {
  (void)context;
  return denet_clock_unix_ms();
}

static int read_user_name(void *context, uid_t uid, char *out, size_t size) {
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
      .boot_ns = read_boot_ns,
      .unix_ms = read_unix_ms,
      .user_name = read_user_name,
  };
}
