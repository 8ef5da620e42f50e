/* zombie NAME: has a child of that name, whose pid is the first answer. Told "exit" the child ends
 * with status 3 and stays a zombie; told "reap" it is waited for. */
#include "talk.h"

#include <sys/wait.h>

int main(int count, char **arguments) {
  int ends[2];
  char byte = 0, words[32];
  if (count < 2 || pipe(ends))
    return 9;
  pid_t child = fork();
  if (!child) {
    name_myself(arguments[1]);
    close(ends[1]);
    burn_seconds(CLOCK_PROCESS_CPUTIME_ID, 0.3);
    (void)!read(ends[0], &byte, 1);
    _exit(3);
  }
  close(ends[0]);
  snprintf(words, sizeof(words), "%d", (int)child);
  say(words);
  for (;;) {
    if (!strcmp(listen_for_word(), "exit"))
      (void)!write(ends[1], &byte, 1);
    else
      waitpid(child, NULL, 0);
    say("done");
  }
}
