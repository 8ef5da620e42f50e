/* sleeper ARGUMENTS...: rests, under any name and command line. In the environment: SLEEPER_COMM is
 * the name it takes; SLEEPER_CLEAR "zero" overwrites its command line with NULs, "cut" makes it end
 * where it begins; SLEEPER_MIB is memory to touch. Told "name NAME" it renames itself, told
 * "exit N" it ends with that status, told "touch MIB" it touches so much more and gives it back. */
#include "talk.h"

#include <sys/mman.h>

static void clear_arguments(const char *how, int count, char **arguments) {
  char *end = arguments[count - 1] + strlen(arguments[count - 1]) + 1;
  char *start = arguments[0];
  if (!strcmp(how, "cut") && prctl(PR_SET_MM, PR_SET_MM_ARG_END, start, 0, 0))
    exit(8);
  memset(start, 0, (size_t)(end - start));
}

static void *touch_memory(size_t mebibytes) {
  char *memory = mmap(NULL, mebibytes << 20, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    exit(7);
  return memory;
}

int main(int count, char **arguments) {
  const char *comm = getenv("SLEEPER_COMM"), *clear = getenv("SLEEPER_CLEAR");
  const char *mebibytes = getenv("SLEEPER_MIB");
  if (comm)
    name_myself(comm);
  if (mebibytes)
    touch_memory((size_t)atoi(mebibytes));
  if (clear)
    clear_arguments(clear, count, arguments);
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    if (!strncmp(word, "exit ", 5))
      exit(atoi(word + 5));
    if (!strncmp(word, "name ", 5))
      name_myself(word + 5);
    if (!strncmp(word, "touch ", 6)) {
      size_t size = (size_t)atoi(word + 6);
      void *memory = touch_memory(size);
      usleep(500000);
      munmap(memory, size << 20);
    }
    say("done");
  }
}
