/* jit [fifo|huge]: sleeps 5 ms at a time in sleep_for_jit(), called by code that it has generated,
 * which has a frame pointer and no unwind table. /tmp/perf-PID.map names that code
 * "made_at_run_time" until the end of the input. fifo: the map is a FIFO; huge: a hole of 1 TiB
 * follows the name. x86-64 only: on other machines it ends with status 77. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/stat.h>

static char map_path[64];

__attribute__((noinline)) static int sleep_for_jit(void) { return usleep(5000) + 1; }

static void write_map(void *code, size_t size, const char *how) {
  snprintf(map_path, sizeof(map_path), "/tmp/perf-%d.map", (int)getpid());
  if (!strcmp(how, "fifo")) {
    check(!mkfifo(map_path, 0600));
    return;
  }
  FILE *map = fopen(map_path, "we");
  check(map);
  fprintf(map, "%llx %zx made_at_run_time\n", (unsigned long long)(uintptr_t)code, size);
  fflush(map);
  check(strcmp(how, "huge") || !ftruncate(fileno(map), 1LL << 40));
  fclose(map);
}

#ifdef __x86_64__
/* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
static const unsigned char made[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
#else
static const unsigned char made[1];
#endif

static int (*make_code(const char *how))(int (*)(void)) {
  void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sizeof(made) == 1)
    exit(77);
  memcpy(code, made, sizeof(made));
  check(!mprotect(code, 4096, PROT_READ | PROT_EXEC));
  write_map(code, sizeof(made), how);
  return (int (*)(int (*)(void)))(uintptr_t)code;
}

int main(int count, char **arguments) {
  int (*run)(int (*)(void)) = make_code(count > 1 ? arguments[1] : "plain");
  say("ready");
  while (!has_input(0))
    run(sleep_for_jit);
  unlink(map_path);
}
