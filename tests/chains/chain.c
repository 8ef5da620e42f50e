/* Ten functions that call each other, the last of which waits for ever: in a system call, in one
 * inside of a signal handler, or deep below a recursion. What is asked of it is its argument. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAIN __attribute__((noinline, noclone))
/* Not the last thing that the function does, so that the call is no jump. */
#define BEHIND_CALL __asm__ volatile("" ::: "memory")

static const char *what;

CHAIN static void wait_for_ever(void) {
  char byte;
  while (read(0, &byte, 1) > 0)
    BEHIND_CALL;
  BEHIND_CALL;
}

/* As a C++ compiler would name shop::Till<int>::open(std::string const&), and an older Rust's. */
CHAIN void open_till(void) __asm__("_ZN4shop4TillIiE4openERKNSt7__cxx1112basic_stringIcSt11char_"
                                   "traitsIcESaIcEEE");
CHAIN void poll_future(void) __asm__("_ZN6future4poll17h0123456789abcdefE");

CHAIN static void handle_signal(int number) {
  if (number == SIGUSR1)
    wait_for_ever();
  BEHIND_CALL;
}

CHAIN static void send_signal(void) {
  signal(SIGUSR1, handle_signal);
  raise(SIGUSR1);
  BEHIND_CALL;
}

CHAIN static void recurse(int depth) {
  volatile char padding[64];
  padding[0] = (char)depth;
  if (depth)
    recurse(depth - 1);
  else
    wait_for_ever();
  BEHIND_CALL;
  (void)padding[0];
}

CHAIN void tenth(void) {
  if (!strcmp(what, "signal"))
    send_signal();
  else if (!strncmp(what, "deep", 4))
    recurse(atoi(what + 4));
  else if (!strcmp(what, "sleep"))
    usleep(1000u * 1000 * 1000);
  else
    wait_for_ever();
  BEHIND_CALL;
}

/* A function that only calls the next one. */
#define LINK(name, next)                                                                           \
  CHAIN void name(void) {                                                                          \
    next();                                                                                        \
    BEHIND_CALL;                                                                                   \
  }
#define SIZED_LINK(name, next)                                                                     \
  CHAIN void name(size_t bytes) {                                                                  \
    next(bytes);                                                                                   \
    BEHIND_CALL;                                                                                   \
  }

LINK(ninth, tenth)
LINK(poll_future, ninth)
LINK(open_till, poll_future)

/* Its frame's size is not known when it is compiled: it is left by rbp. */
CHAIN void sixth(size_t bytes) {
  volatile char *room = __builtin_alloca(bytes);
  room[0] = 1;
  open_till();
  BEHIND_CALL;
}

SIZED_LINK(fifth, sixth)
SIZED_LINK(fourth, fifth)
SIZED_LINK(third, fourth)
SIZED_LINK(second, third)
SIZED_LINK(first, second)

int main(int argument_count, char **arguments) {
  what = argument_count > 1 ? arguments[1] : "";
  first(16 + 16 * (size_t)argument_count);
  return 0;
}
