/* zombie NAME: has a child of that name, which has used 300 ms of CPU when its pid comes as the
 * first line. "exit": the child ends with status 3 and stays a zombie. "reap": the child is waited
 * for. "fork": another child, which keeps the name, uses 20 ms of CPU and stays a zombie. */
#include "workload.h"

static void run_child(const char *name, int input) {
  char byte;
  name_myself(name);
  burn_ns(CLOCK_PROCESS_CPUTIME_ID, 300000000);
  say("%d", (int)getpid());
  (void)!read(input, &byte, 1);
  _exit(3);
}

int main(int count, char **arguments) {
  int ends[2];
  check(count > 1 && !pipe(ends));
  pid_t child = fork();
  if (!child) {
    close(ends[1]);
    run_child(arguments[1], ends[0]);
  }
  close(ends[0]);
  for (;;) {
    const char *command = next_command();
    if (!strcmp(command, "exit")) {
      check(write(ends[1], "x", 1) == 1);
    } else if (!strcmp(command, "reap")) {
      waitpid(child, NULL, 0);
    } else if (!fork()) {
      burn_ns(CLOCK_PROCESS_CPUTIME_ID, 20000000);
      _exit(0);
    }
    say("done");
  }
}
