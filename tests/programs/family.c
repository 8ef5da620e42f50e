/* family: a parent that makes descendants. "orphan" starts a grandchild whose parent ends soon;
 * "worker BYTES CPU_MS" starts a child that uses CPU, writes BYTES to /dev/null, rests and ends,
 * and waits for it. The answer is the pid of the new process. */
#include "workload.h"

#define ORPHANED_AFTER_US 3000000 /* /proc shows an ancestor only while the parent lives */
#define WORKER_REST_US 700000     /* long enough for a sample after its work */

static pid_t start_orphan(void) {
  int ends[2];
  pid_t orphan = 0;
  check(!pipe(ends));
  pid_t child = fork();
  if (!child) {
    orphan = fork();
    if (!orphan) {
      close(ends[0]);
      close(ends[1]);
      has_input(-1); /* until the test closes the input; the commands are its grandparent's */
      exit(0);
    }
    check(write(ends[1], &orphan, sizeof(orphan)) == sizeof(orphan));
    usleep(ORPHANED_AFTER_US);
    _exit(0);
  }
  check(read(ends[0], &orphan, sizeof(orphan)) == sizeof(orphan));
  close(ends[0]);
  close(ends[1]);
  waitpid(child, NULL, 0);
  return orphan;
}

static pid_t run_worker(size_t bytes, const char *cpu_ms) {
  pid_t child = fork_child();
  if (!child) {
    burn_ns(CLOCK_PROCESS_CPUTIME_ID, ns_of_ms(cpu_ms));
    write_bytes(open("/dev/null", O_WRONLY), bytes);
    usleep(WORKER_REST_US);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  return child;
}

int main(void) {
  say("ready");
  for (;;) {
    size_t bytes;
    char cpu_ms[16];
    bool is_worker = sscanf(next_command(), "worker %zu %15s", &bytes, cpu_ms) == 2;
    say("%d", (int)(is_worker ? run_worker(bytes, cpu_ms) : start_orphan()));
  }
}
