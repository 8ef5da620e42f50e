/* jit [HOW]: a chain of calls from main() to enter(), to code that it has generated, which has a
 * frame pointer and no unwind table, and to a function that waits. /tmp/perf-PID.map names that
 * code as a just-in-time compiler does. The function is wait_for_ever(), which reads its input to
 * the end; with "sleep", "fifo" and "huge" it is sleep_for_jit(), which sleeps 5 ms at a time.
 * nameless: no map; late: the code is made after the first byte of the input; fifo: the map is a
 * FIFO; huge: a hole of 1 TiB follows the name. x86-64 only: on other machines it ends with status
 * 77. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define NOINLINE __attribute__((noinline, noclone))

/* The additions keep the compiler from making jumps of the calls before them. */
NOINLINE static int sleep_for_jit(void) { return usleep(5000) + 1; }

NOINLINE static int wait_for_ever(void) {
  char byte;
  int count = 0;
  while (read(0, &byte, 1) > 0)
    count++;
  return count;
}

/* With a frame pointer, as such compilers keep one, so that the chain goes on behind their code. */
__attribute__((noinline, noclone, optimize("no-omit-frame-pointer"))) static int
enter(int (*code)(int (*)(void)), int (*wait)(void)) {
  return code(wait) + 1;
}

static void write_map(void *code, size_t size, const char *how) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
  if (!strcmp(how, "fifo")) {
    check(!mkfifo(path, 0600));
    return;
  }
  FILE *map = fopen(path, "we");
  check(map);
  fprintf(map, "%llx %zx LazyCompile:~serve shop.js:7\n", (unsigned long long)(uintptr_t)code,
          size);
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

int main(int count, char **arguments) {
  const char *how = count > 1 ? arguments[1] : "";
  bool waits = count < 2 || !strcmp(how, "nameless") || !strcmp(how, "late");
  char byte;
  if (sizeof(made) == 1)
    return 77;
  check(strcmp(how, "late") || read(0, &byte, 1) == 1);
  void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, made, sizeof(made));
  check(!mprotect(code, 4096, PROT_READ | PROT_EXEC));
  if (strcmp(how, "nameless") != 0)
    write_map(code, sizeof(made), how);
  say("ready");
  do
    enter((int (*)(int (*)(void)))(uintptr_t)code, waits ? wait_for_ever : sleep_for_jit);
  while (!has_input(0));
}
