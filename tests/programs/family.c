/* family: a parent that makes descendants. "orphan" starts a grandchild whose parent ends soon;
 * "worker BYTES CPU_MS" starts a child that uses CPU, writes BYTES to /dev/null, rests and ends,
 * and waits for it. The answer is the pid of the new process. */
#include "workload.h"

#define ORPHANED_AFTER_US 3000000 /* /proc shows an ancestor only while the parent lives */
#define WORKER_REST_US 700000     /* long enough for a sample after its work */

/* The orphan answers itself. */
static void start_orphan(void) {
  pid_t child = fork();
  if (child) {
    waitpid(child, NULL, 0);
    return;
  }
  child = getpid();
  if (fork()) {
    usleep(ORPHANED_AFTER_US);
    _exit(0);
  }
  while (getppid() == child)
    usleep(50000);
  say("%d", (int)getpid());
  has_input(-1); /* until the test closes the input; the commands are its grandparent's */
  exit(0);
}

static void run_worker(size_t bytes, const char *cpu_ms) {
  pid_t child = fork_child();
  if (!child) {
    burn_ns(CLOCK_PROCESS_CPUTIME_ID, ns_of_ms(cpu_ms));
    write_bytes(open("/dev/null", O_WRONLY), bytes);
    usleep(WORKER_REST_US);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  say("%d", (int)child);
}

int main(void) {
  say("ready");
  for (;;) {
    size_t bytes;
    char cpu_ms[16];
    if (sscanf(next_command(), "worker %zu %15s", &bytes, cpu_ms) == 2)
      run_worker(bytes, cpu_ms);
    else
      start_orphan();
  }
}
