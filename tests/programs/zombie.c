/* zombie NAME: has a child of that name, whose pid is the first answer. Told "exit" the child ends
 * with status 3 and stays a zombie; told "reap" it is waited for; told "fork" there is another
 * child, which keeps the name, burns 20 ms of CPU and stays a zombie. */
#include "talk.h"

#include <sys/wait.h>

static void fork_another(void) {
  if (fork())
    return;
  burn_seconds(CLOCK_PROCESS_CPUTIME_ID, 0.02);
  _exit(0);
}

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
    const char *word = listen_for_word();
    if (!strcmp(word, "exit"))
      (void)!write(ends[1], &byte, 1);
    else if (!strcmp(word, "fork"))
      fork_another();
    else
      waitpid(child, NULL, 0);
    say("done");
  }
}
