/* jit [fifo|huge]: sleeps 5 ms at a time in sleep_for_jit(), called by code that it made itself,
 * which keeps a frame pointer and has no unwind table; /tmp/perf-PID.map names it
 * "made_at_run_time". fifo: a FIFO lies there instead; huge: the file has a hole of 1 TiB after the
 * name. It is removed at the end of the input. x86-64 only: elsewhere it ends with the status 77.
 */
#include "talk.h"

#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char map_path[64];

__attribute__((noinline)) static int sleep_for_jit(void) { return usleep(5000) + 1; }

static void write_map(void *code, size_t size, const char *how) {
  snprintf(map_path, sizeof(map_path), "/tmp/perf-%d.map", (int)getpid());
  if (!strcmp(how, "fifo")) {
    if (mkfifo(map_path, 0600))
      exit(14);
    return;
  }
  FILE *map = fopen(map_path, "we");
  if (!map)
    exit(12);
  fprintf(map, "%llx %zx made_at_run_time\n", (unsigned long long)(uintptr_t)code, size);
  fflush(map);
  if (!strcmp(how, "huge") && ftruncate(fileno(map), 1LL << 40))
    exit(15);
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
  if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
    exit(13);
  write_map(code, sizeof(made), how);
  return (int (*)(int (*)(void)))(uintptr_t)code;
}

int main(int count, char **arguments) {
  struct pollfd input = {.fd = STDIN_FILENO};
  int (*run)(int (*)(void)) = make_code(count > 1 ? arguments[1] : "plain");
  say("ready");
  while (poll(&input, 1, 0) == 0)
    run(sleep_for_jit);
  unlink(map_path);
}
