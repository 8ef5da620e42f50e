/* crowd [THREADS]: so many threads that wait for a command, and the main thread. "sleep COUNT MS":
 * each thread sleeps COUNT times for so long, all at once. "storm COUNT AT_ONCE MS": so many
 * further threads start, each of which sleeps once for so long and ends. The answer is
 * {"blocked_ns":,"waits":} of those sleeps, as the threads measured them. */
#include "waits.h"

static struct waits waits;
static pthread_barrier_t begins, ends;
static int turns;
static uint64_t turn_ns;

static void *sleep_on_command(void *unused) {
  for (;;) {
    pthread_barrier_wait(&begins);
    struct moment before = read_moment();
    for (int i = 0; i < turns; i++)
      sleep_ns(turn_ns);
    add_wait(&waits, before);
    pthread_barrier_wait(&ends);
  }
  return unused;
}

static void *sleep_once(void *unused) {
  struct moment before = read_moment();
  sleep_ns(turn_ns);
  add_wait(&waits, before);
  end_waits();
  return unused;
}

static void storm(int count, int at_once) {
  pthread_t *threads = calloc((size_t)at_once, sizeof(*threads));
  for (int i = 0; i < count; i++) {
    if (i >= at_once)
      pthread_join(threads[i % at_once], NULL);
    threads[i % at_once] = start_thread(sleep_once, NULL);
  }
  for (int i = 0; i < at_once && i < count; i++)
    pthread_join(threads[i], NULL);
  free(threads);
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 0, lives, at_once;
  char ms[16];
  pthread_barrier_init(&begins, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&ends, NULL, (unsigned)threads + 1);
  prctl(PR_SET_TIMERSLACK, 1);
  for (int i = 0; i < threads; i++)
    start_thread(sleep_on_command, NULL);
  say("ready");
  for (;;) {
    const char *command = next_command();
    if (sscanf(command, "sleep %d %15s", &turns, ms) == 2) {
      turn_ns = ns_of_ms(ms);
      pthread_barrier_wait(&begins);
      pthread_barrier_wait(&ends);
    } else if (sscanf(command, "storm %d %d %15s", &lives, &at_once, ms) == 3) {
      turn_ns = ns_of_ms(ms);
      storm(lives, at_once);
    }
    say("{\"blocked_ns\":%lld,\"waits\":%llu}", blocked_ns(&waits),
        (unsigned long long)atomic_load(&waits.count));
  }
}
