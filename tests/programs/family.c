/* family: a parent that makes descendants of known cost when told. "orphan" starts a grandchild
 * whose parent ends soon; "worker BYTES CPU_MS" a child that burns, writes BYTES to /dev/null,
 * lives a little and ends, and is waited for. The answer has the new process's pid. */
#include "talk.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#define ORPHANED_AFTER 1.5 /* /proc shows who descends from whom only while the parent lives */
#define WORKER_REST 0.7    /* long enough to be sampled after its work */

static void answer_pid(pid_t pid) {
  char words[32];
  snprintf(words, sizeof(words), "%d", (int)pid);
  say(words);
}

static void start_orphan(void) {
  int ends[2];
  pid_t orphan = 0;
  if (pipe(ends))
    exit(9);
  pid_t child = fork();
  if (!child) {
    orphan = fork();
    if (!orphan) {
      close(ends[0]);
      close(ends[1]);
      /* Lives until the test closes our input, without taking words from it. */
      struct pollfd input = {.fd = STDIN_FILENO};
      poll(&input, 1, -1);
      exit(0);
    }
    (void)!write(ends[1], &orphan, sizeof(orphan));
    usleep((useconds_t)(ORPHANED_AFTER * 1e6));
    _exit(0);
  }
  if (read(ends[0], &orphan, sizeof(orphan)) != sizeof(orphan))
    exit(9);
  close(ends[0]);
  close(ends[1]);
  waitpid(child, NULL, 0);
  answer_pid(orphan);
}

static void run_worker(size_t bytes, double seconds) {
  static char block[4096];
  prctl(PR_SET_PDEATHSIG, 9);
  int fd = open("/dev/null", O_WRONLY);
  burn_seconds(CLOCK_PROCESS_CPUTIME_ID, seconds);
  for (; bytes >= sizeof(block); bytes -= sizeof(block))
    (void)!write(fd, block, sizeof(block));
  usleep((useconds_t)(WORKER_REST * 1e6));
  _exit(0);
}

int main(void) {
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    size_t bytes = 0;
    int cpu_ms = 0;
    if (sscanf(word, "worker %zu %d", &bytes, &cpu_ms) == 2) {
      pid_t child = fork();
      if (!child)
        run_worker(bytes, cpu_ms / 1e3);
      waitpid(child, NULL, 0);
      answer_pid(child);
    } else {
      start_orphan();
    }
  }
}
