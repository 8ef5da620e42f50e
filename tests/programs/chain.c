/* chain [SECONDS [DEPTH]]: sleeps 5 ms at a time in link_10(), which link_9() called, which ...
 * link_1(), which main() called: a chain of calls that is known, ending in the function that calls
 * libc. With a DEPTH link_1() is called by so many calls of dig(), with 1 KiB of stack each. Ends
 * by itself after so many seconds, or at the end of its input. */
#include "talk.h"

#include <poll.h>

/* What it does after the call is what makes it a call and no jump. */
#define LINK(name, next)                                                                           \
  __attribute__((noinline, noclone)) int name(int depth) {                                         \
    calls++;                                                                                       \
    return next + depth;                                                                           \
  }

static volatile int calls;

LINK(link_10, usleep(5000))
LINK(link_9, link_10(depth + 1))
LINK(link_8, link_9(depth + 1))
LINK(link_7, link_8(depth + 1))
LINK(link_6, link_7(depth + 1))
LINK(link_5, link_6(depth + 1))
LINK(link_4, link_5(depth + 1))
LINK(link_3, link_4(depth + 1))
LINK(link_2, link_3(depth + 1))
LINK(link_1, link_2(depth + 1))

static __attribute__((noinline, noclone)) int dig(int depth) {
  volatile char room[1024];
  room[0] = (char)depth;
  return (depth > 1 ? dig(depth - 1) : link_1(0)) + room[0];
}

int main(int count, char **arguments) {
  struct pollfd input = {.fd = STDIN_FILENO};
  double end = read_clock(CLOCK_MONOTONIC) + (count > 1 ? atof(arguments[1]) : 1e9);
  int depth = count > 2 ? atoi(arguments[2]) : 0;
  say("ready");
  while (read_clock(CLOCK_MONOTONIC) < end) {
    if (depth)
      dig(depth);
    else
      link_1(0);
    if (poll(&input, 1, 0) == 1) /* there are no words for it, only their end */
      return 0;
  }
  return 0;
}
