/* two_waits [LONG_MS SHORT_MS [together]]: a thread "long-waiter" that blocks for LONG_MS of every
 * turn of LONG_MS + 1 in wait_in_alpha(), and a thread "short-waiter" that blocks for SHORT_MS of
 * each in wait_in_beta(); each burns CPU until its end. together: it is one thread, "both-waiter",
 * that blocks in the one and then in the other. Told anything it answers {"long_ns":,"short_ns":}:
 * how long it was blocked in each. */
#include "truth.h"

#include <pthread.h>

static struct truth of_long, of_short;
static double long_ms = 6, short_ms = 2;

__attribute__((noinline)) static int wait_in_alpha(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 1; /* after the call, so that it is one and no jump */
}

__attribute__((noinline)) static int wait_in_beta(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 2;
}

static struct moment measure(struct truth *truth, int (*wait)(uint64_t ns), double ms) {
  struct moment before = look();
  wait((uint64_t)(ms * 1e6));
  add_wait(truth, before);
  return before;
}

static void take_turn(struct truth *truth, int (*wait)(uint64_t ns), double ms) {
  struct moment before = measure(truth, wait, ms);
  double end = ((double)before.wall_ns + (long_ms + 1) * 1e6) / 1e9;
  burn_seconds(CLOCK_MONOTONIC, end - read_clock(CLOCK_MONOTONIC));
}

static void *wait_long(void *unused) {
  name_myself("long-waiter");
  for (;;)
    take_turn(&of_long, wait_in_alpha, long_ms);
  return unused;
}

static void *wait_short(void *unused) {
  name_myself("short-waiter");
  for (;;)
    take_turn(&of_short, wait_in_beta, short_ms);
  return unused;
}

static void *wait_both(void *unused) {
  name_myself("both-waiter");
  for (;;) {
    measure(&of_long, wait_in_alpha, long_ms);
    measure(&of_short, wait_in_beta, short_ms);
  }
  return unused;
}

static void start(void *(*run)(void *unused)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL))
    exit(9);
}

int main(int count, char **arguments) {
  if (count > 2) {
    long_ms = atof(arguments[1]);
    short_ms = atof(arguments[2]);
  }
  prctl(PR_SET_TIMERSLACK, 1);
  if (count > 3) {
    start(wait_both);
  } else {
    start(wait_long);
    start(wait_short);
  }
  say("ready");
  for (;;) {
    char line[100];
    listen_for_word();
    snprintf(line, sizeof(line), "{\"long_ns\":%lld,\"short_ns\":%lld}",
             (long long)blocked_ns(&of_long), (long long)blocked_ns(&of_short));
    say(line);
  }
}
