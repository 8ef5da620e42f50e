/* duty BUSY_MS PERIOD_MS: a thread that uses exactly so much CPU in each period and sleeps for the
 * rest. After "at MS" its busy part begins so many ms after each multiple of the period on
 * CLOCK_REALTIME. */
#include "workload.h"

#include <stdatomic.h>

static _Atomic uint64_t offset_ns;
static uint64_t busy_ns, period_ns;

static void *work(void *unused) {
  uint64_t target_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (uint64_t turn = 0;;) {
    uint64_t offset = atomic_load(&offset_ns);
    uint64_t next = (clock_ns(CLOCK_REALTIME) - offset) / period_ns + 1;
    turn = next > turn ? next : turn + 1;
    sleep_until_ns(CLOCK_REALTIME, turn * period_ns + offset);
    /* A sum: CPU time above that of one turn makes the next turn shorter. */
    target_ns += busy_ns;
    uint64_t used_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (used_ns < target_ns)
      burn_ns(CLOCK_PROCESS_CPUTIME_ID, target_ns - used_ns);
  }
  return unused;
}

int main(int count, char **arguments) {
  check(count > 2);
  busy_ns = ns_of_ms(arguments[1]);
  period_ns = ns_of_ms(arguments[2]);
  start_thread(work, NULL);
  say("ready");
  for (;;) {
    char *offset = argument_of(next_command(), "at");
    if (offset)
      atomic_store(&offset_ns, ns_of_ms(offset));
    say("done");
  }
}
