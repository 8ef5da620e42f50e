/* two_waits [LONG_MS SHORT_MS [together]]: a thread "long-waiter" that is blocked for LONG_MS of
 * each turn of LONG_MS + 1 ms in wait_in_alpha(), and a thread "short-waiter" that is blocked for
 * SHORT_MS of each turn in wait_in_beta(); each uses the CPU for the rest of the turn. together:
 * one thread, "both-waiter", is blocked in the one and then in the other. The answer is
 * {"long_ns":,"short_ns":}: how long threads were blocked in each. */
#include "waits.h"

__attribute__((noinline)) static int wait_in_alpha(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 1; /* so that the call is not the last thing, which would be a jump */
}

__attribute__((noinline)) static int wait_in_beta(uint64_t ns) {
  usleep((useconds_t)(ns / 1000));
  return 2;
}

static struct place {
  const char *thread;
  int (*wait)(uint64_t ns);
  uint64_t ns;
  struct waits waits;
} places[] = {{"long-waiter", wait_in_alpha, 6000000, {0}},
              {"short-waiter", wait_in_beta, 2000000, {0}}};

static struct moment measure(struct place *place) {
  struct moment before = read_moment();
  place->wait(place->ns);
  add_wait(&place->waits, before);
  return before;
}

static void *take_turns(void *of) {
  struct place *place = of;
  name_myself(place->thread);
  for (;;) {
    uint64_t end_ns = measure(place).wall_ns + places[0].ns + 1000000;
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    burn_ns(CLOCK_MONOTONIC, now_ns < end_ns ? end_ns - now_ns : 0);
  }
  return NULL;
}

static void *wait_in_both(void *unused) {
  name_myself("both-waiter");
  for (unsigned i = 0;; i++)
    measure(&places[i % 2]);
  return unused;
}

int main(int count, char **arguments) {
  for (int i = 0; i < 2 && count > 2; i++)
    places[i].ns = ns_of_ms(arguments[1 + i]);
  prctl(PR_SET_TIMERSLACK, 1);
  for (int i = 0; i < 2 && count <= 3; i++)
    start_thread(take_turns, &places[i]);
  if (count > 3)
    start_thread(wait_in_both, NULL);
  say("ready");
  for (;;) {
    next_command();
    say("{\"long_ns\":%lld,\"short_ns\":%lld}", blocked_ns(&places[0].waits),
        blocked_ns(&places[1].waits));
  }
}
