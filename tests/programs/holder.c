/* holder THREAD: lets that thread run to its next writev(2) and stops it there, as a disk does that
 * does not answer. The thread goes on when this program ends; it also ends with the thread. */
#include "workload.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>

static bool is_at_writev(pid_t thread) {
  struct __ptrace_syscall_info info = {0};
  return ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) > 0 &&
         info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_writev;
}

/* Lets the thread go on to its next call, except from a writev. Returns false if it has ended. */
static bool step(pid_t thread) {
  int status;
  while (waitpid(thread, &status, __WALL | WNOHANG) == thread) {
    if (!WIFSTOPPED(status))
      return false;
    if (!is_at_writev(thread))
      ptrace(PTRACE_SYSCALL, thread, 0, 0);
  }
  return true;
}

int main(int count, char **arguments) {
  pid_t thread = count > 1 ? atoi(arguments[1]) : 0;
  check(!ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD) &&
        !ptrace(PTRACE_INTERRUPT, thread, 0, 0));
  say("ready");
  while (step(thread) && !has_input(1))
    ;
  return 0;
}
