/* duty BUSY_MS PERIOD_MS: uses exactly so much CPU in each period and rests for what is left of it.
 * Told "at MS" the busy part begins so many ms after each multiple of the period, on the clock of
 * the wall. */
#include "talk.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_int begins_ms;
static double busy, period;

static void sleep_until(double when) {
  struct timespec time = {.tv_sec = (time_t)when};
  time.tv_nsec = (long)((when - (double)time.tv_sec) * 1e9);
  while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL))
    ;
}

static void *work(void *unused) {
  double target = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  for (long long turn = 0;;) {
    double begins = atomic_load(&begins_ms) / 1e3, now = read_clock(CLOCK_REALTIME);
    long long next = (long long)((now - begins) / period) + 1;
    turn = next > turn ? next : turn + 1;
    sleep_until((double)turn * period + begins);
    /* Cumulative: what one turn does too much the next one does less. */
    target += busy;
    double left = target - read_clock(CLOCK_PROCESS_CPUTIME_ID);
    if (left > 0)
      burn_seconds(CLOCK_PROCESS_CPUTIME_ID, left);
  }
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  if (count < 3)
    return 9;
  busy = atoi(arguments[1]) / 1e3;
  period = atoi(arguments[2]) / 1e3;
  if (pthread_create(&thread, NULL, work, NULL))
    return 9;
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    if (!strncmp(word, "at ", 3))
      atomic_store(&begins_ms, atoi(word + 3));
    say("done");
  }
}
