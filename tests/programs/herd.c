/* herd COUNT ...: so many children that rest; all have the same command line, of any length. */
#include "talk.h"

int main(int count, char **arguments) {
  pid_t parent = getpid();
  for (int i = count > 1 ? atoi(arguments[1]) : 0; i; i--)
    if (!fork()) {
      prctl(PR_SET_PDEATHSIG, 9);
      /* Whoever lost its parent before that is not told any more. */
      while (getppid() == parent)
        pause();
      return 0;
    }
  say("ready");
  listen_for_word();
  return 0;
}
