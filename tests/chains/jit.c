/* Writes a function into memory as a just-in-time compiler does, and its name into
 * /tmp/perf-PID.map (argument "nameless": no name; "late": only after it has read a byte). The
 * chain of calls is main
 * -> enter -> that function -> wait_for_ever. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((noinline, noclone)) static void wait_for_ever(void) {
  char byte;
  while (read(0, &byte, 1) > 0)
    __asm__ volatile("" ::: "memory");
}

/* With a frame pointer, as such compilers keep one, so that the chain goes on behind their code. */
__attribute__((noinline, noclone, optimize("no-omit-frame-pointer"))) static void
enter(void (*code)(void)) {
  code();
  __asm__ volatile("" ::: "memory");
}

static size_t write_code(unsigned char *out) {
  /* push rbp; mov rbp, rsp; mov rax, wait_for_ever; call rax; pop rbp; ret */
  static const unsigned char head[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8};
  static const unsigned char tail[] = {0xff, 0xd0, 0x5d, 0xc3};
  uintptr_t address = (uintptr_t)wait_for_ever;
  memcpy(out, head, sizeof(head));
  memcpy(out + sizeof(head), &address, sizeof(address));
  memcpy(out + sizeof(head) + sizeof(address), tail, sizeof(tail));
  return sizeof(head) + sizeof(address) + sizeof(tail);
}

static void write_name(const void *code, size_t bytes) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
  FILE *map = fopen(path, "w");
  if (!map)
    return;
  fprintf(map, "%lx %zx LazyCompile:~serve shop.js:7\n", (unsigned long)(uintptr_t)code, bytes);
  fclose(map);
}

int main(int argument_count, char **arguments) {
  char byte;
  if (argument_count > 1 && !strcmp(arguments[1], "late") && read(0, &byte, 1) != 1)
    return 1;
  unsigned char *code =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    return 1;
  size_t bytes = write_code(code);
  if (argument_count < 2 || strcmp(arguments[1], "nameless") != 0)
    write_name(code, bytes);
  enter((void (*)(void))(uintptr_t)code);
  return 0;
}
