/* writer: writes to /dev/null and renames itself when told. "write BYTES" writes so much, "name
 * NAME" takes that name, "child" starts a child that writes a little every 50 ms until this process
 * ends, and answers its pid. */
#include "talk.h"

#include <fcntl.h>

static void write_bytes(int fd, size_t bytes) {
  static char block[65536];
  for (; bytes; bytes -= bytes < sizeof(block) ? bytes : sizeof(block))
    (void)!write(fd, block, bytes < sizeof(block) ? bytes : sizeof(block));
}

static pid_t start_child(int fd) {
  pid_t child = fork();
  if (child)
    return child;
  prctl(PR_SET_PDEATHSIG, 9);
  for (;;) {
    write_bytes(fd, 1000);
    usleep(50000);
  }
}

int main(void) {
  int fd = open("/dev/null", O_WRONLY);
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    size_t bytes = 0;
    char words[32] = "done";
    if (!strncmp(word, "name ", 5))
      name_myself(word + 5);
    else if (sscanf(word, "write %zu", &bytes) == 1)
      write_bytes(fd, bytes);
    else
      snprintf(words, sizeof(words), "%d", (int)start_child(fd));
    say(words);
  }
}
