/* herd COUNT ...: so many children at rest; all have the same command line, of any length. */
#include "workload.h"

int main(int count, char **arguments) {
  for (int i = count > 1 ? atoi(arguments[1]) : 0; i; i--)
    if (!fork_child())
      for (;;)
        pause();
  say("ready");
  next_command();
  return 0;
}
