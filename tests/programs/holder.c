/* holder THREAD: lets that thread come as far as its next writev(2) and no further, as if a disk
 * did not answer. The thread goes on when this ends, which it also does when the thread does. */
#include "talk.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool is_at_writev(pid_t thread) {
  struct __ptrace_syscall_info info = {0};
  return ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) > 0 &&
         info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_writev;
}

/* False: it has ended. */
static bool watch(pid_t thread) {
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
  if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD) ||
      ptrace(PTRACE_INTERRUPT, thread, 0, 0))
    return 9;
  say("ready");
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  while (watch(thread) && !poll(&input, 1, 1))
    ;
  return 0;
}
