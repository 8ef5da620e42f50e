/* chain [SECONDS [DEPTH]]: sleeps 5 ms at a time at the end of a known chain of calls: main() calls
 * link_1(), which calls link_2(), and so on to link_10(), which calls libc. With a DEPTH link_1()
 * is called by so many nested calls of dig(), each with 1 KiB of stack. Ends after so many seconds,
 * or at the end of its input. */
#include "workload.h"

/* The addition after the call keeps the compiler from making a jump of it. */
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
  uint64_t end_ns = count > 1 ? clock_ns(CLOCK_MONOTONIC) + ns_of_ms(arguments[1]) * 1000 : ~0ull;
  int depth = count > 2 ? atoi(arguments[2]) : 0;
  say("ready");
  while (clock_ns(CLOCK_MONOTONIC) < end_ns && !has_input(0))
    depth ? dig(depth) : link_1(0);
  return 0;
}
