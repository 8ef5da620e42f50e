#include "core/util/capabilities.h"

#include "core/util/cleanup.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(name) DENET_CAPABILITY(name)

uint64_t denet_capabilities_read(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
  if (syscall(SYS_capget, &header, sets))
    return 0;
  uint64_t has = (uint64_t)sets[1].effective << 32 | sets[0].effective;
  has |= (has & BIT(SYS_ADMIN)) ? BIT(BPF) | BIT(PERFMON) : 0;
  return has | ((has & BIT(DAC_OVERRIDE)) ? BIT(DAC_READ_SEARCH) : 0);
}

void denet_capabilities_explain(const char *sentence, uint64_t needed, uint64_t has,
                                struct denet_error *out) {
  static const struct {
    uint64_t bit;
    const char *name;
  } known[] = {{BIT(BPF), "CAP_BPF"},
               {BIT(PERFMON), "CAP_PERFMON"},
               {BIT(SYS_PTRACE), "CAP_SYS_PTRACE"},
               {BIT(DAC_READ_SEARCH), "CAP_DAC_READ_SEARCH"}};
  char names[128] = "";
  uint64_t lacks = needed & ~has, named = lacks ? lacks : needed;
  int length = 0;
  for (size_t i = 0; i < DENET_COUNT_OF(known); i++)
    if (named & known[i].bit)
      length += snprintf(names + length, sizeof(names) - (size_t)length, "%s%s",
                         length ? " and " : "", known[i].name);
  if (lacks)
    denet_error_set(out, 0, "%s; this needs %s", sentence, names);
  else
    denet_error_set(out, 0,
                    "%s; although this process has %s, a sandbox, a security module or a user "
                    "namespace forbids it",
                    sentence, names);
}
