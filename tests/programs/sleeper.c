/* sleeper ARGUMENTS...: rests, under any name and command line. Environment: SLEEPER_COMM is its
 * name; SLEEPER_CLEAR "zero" overwrites its command line with NULs, "cut" makes it empty;
 * SLEEPER_MIB is memory to touch. "name NAME" renames it, "exit N" ends it with that status, "touch
 * MIB" touches further memory for half a second, "write BYTES" writes to /dev/null. "child" starts
 * a child that writes a little every 50 ms until this process ends, and answers its pid. "leave"
 * ends the main thread; another one goes on. */
#include "workload.h"

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
  check(memory != MAP_FAILED);
  return memory;
}

static pid_t start_writer(int fd) {
  pid_t child = fork_child();
  for (; !child; usleep(50000))
    write_bytes(fd, 1000);
  return child;
}

static void *serve(void *unused) {
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (;;) {
    char *command = next_command(), *name = argument_of(command, "name");
    char *status = argument_of(command, "exit"), *mebibytes = argument_of(command, "touch");
    char *bytes = argument_of(command, "write");
    if (status)
      exit(atoi(status));
    if (name)
      name_myself(name);
    if (mebibytes) {
      size_t size = (size_t)atoi(mebibytes);
      void *memory = touch_memory(size);
      usleep(500000);
      munmap(memory, size << 20);
    }
    if (bytes)
      write_bytes(null, (size_t)atoll(bytes));
    if (strcmp(command, "child"))
      say("done");
    else
      say("%d", (int)start_writer(null));
    if (!strcmp(command, "leave")) {
      start_thread(serve, NULL);
      pthread_exit(NULL);
    }
  }
  return unused;
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
  serve(NULL);
}
