/* writer: "write BYTES" writes to /dev/null, "name NAME" renames the process, "child" starts a
 * child that writes a little every 50 ms until this process ends, and answers its pid. */
#include "workload.h"

int main(void) {
  int fd = open("/dev/null", O_WRONLY);
  say("ready");
  for (;;) {
    char *command = next_command(), *name = argument_of(command, "name");
    char *bytes = argument_of(command, "write");
    pid_t child = name || bytes ? -1 : fork_child();
    if (name)
      name_myself(name);
    else if (bytes)
      write_bytes(fd, (size_t)atoll(bytes));
    for (; !child; usleep(50000))
      write_bytes(fd, 1000);
    if (child > 0)
      say("%d", (int)child);
    else
      say("done");
  }
}
