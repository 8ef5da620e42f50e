/* two_waits [LONG_MS SHORT_MS [together]]: a thread "long-waiter" that is blocked for LONG_MS of
 * each turn of LONG_MS + 1 ms in wait_in_alpha(), and a thread "short-waiter" that is blocked for
 * SHORT_MS of each turn in wait_in_beta(); each uses the CPU for the rest of the turn. together:
 * one thread, "both-waiter", is blocked in the one and then in the other. The answer is
 * {"long_ns":,"short_ns":}: how long threads were blocked in each. */
#include "waits.h"

static struct waits long_waits, short_waits;
static uint64_t long_ns = 6000000, short_ns = 2000000;

__attribute__((noinline)) static int wait_in_alpha(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 1; /* so that the call is not the last thing, which would be a jump */
}

__attribute__((noinline)) static int wait_in_beta(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 2;
}

static struct moment measure(struct waits *waits, int (*wait)(uint64_t ns), uint64_t ns) {
  struct moment before = read_moment();
  wait(ns);
  add_wait(waits, before);
  return before;
}

static void take_turn(struct waits *waits, int (*wait)(uint64_t ns), uint64_t ns) {
  uint64_t end_ns = measure(waits, wait, ns).wall_ns + long_ns + 1000000;
  uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  burn_ns(CLOCK_MONOTONIC, now_ns < end_ns ? end_ns - now_ns : 0);
}

static void *wait_long(void *unused) {
  name_myself("long-waiter");
  for (;;)
    take_turn(&long_waits, wait_in_alpha, long_ns);
  return unused;
}

static void *wait_short(void *unused) {
  name_myself("short-waiter");
  for (;;)
    take_turn(&short_waits, wait_in_beta, short_ns);
  return unused;
}

static void *wait_both(void *unused) {
  name_myself("both-waiter");
  for (;;) {
    measure(&long_waits, wait_in_alpha, long_ns);
    measure(&short_waits, wait_in_beta, short_ns);
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count > 2) {
    long_ns = ns_of_ms(arguments[1]);
    short_ns = ns_of_ms(arguments[2]);
  }
  prctl(PR_SET_TIMERSLACK, 1);
  start_thread(count > 3 ? wait_both : wait_long, NULL);
  if (count <= 3)
    start_thread(wait_short, NULL);
  say("ready");
  for (;;) {
    next_command();
    say("{\"long_ns\":%lld,\"short_ns\":%lld}", blocked_ns(&long_waits), blocked_ns(&short_waits));
  }
}
