/* crowd [THREADS]: so many threads that wait until they are told, and the main thread, which
 * listens. Told "sleep COUNT MS" each of them sleeps COUNT times for so long, all at once; told
 * "storm COUNT AT_ONCE MS" it makes so many threads besides, each of which sleeps once for so long
 * and ends. Answers {"blocked_ns":,"waits":} of those sleeps, as the threads measured them. */
#include "truth.h"

#include <pthread.h>

static struct truth truth;
static pthread_barrier_t begins, ends;
static int turns;
static uint64_t turn_ns;

static void *sleep_when_told(void *unused) {
  for (;;) {
    pthread_barrier_wait(&begins);
    struct moment before = look();
    for (int i = 0; i < turns; i++)
      sleep_ns(turn_ns);
    add_wait(&truth, before);
    pthread_barrier_wait(&ends);
  }
  return unused;
}

static void *sleep_once(void *unused) {
  struct moment before = look();
  sleep_ns(turn_ns);
  add_wait(&truth, before);
  end_waits();
  return unused;
}

static pthread_t start(void *(*run)(void *unused)) {
  pthread_attr_t small;
  pthread_t thread;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 16);
  if (pthread_create(&thread, &small, run, NULL))
    exit(11);
  pthread_attr_destroy(&small);
  return thread;
}

static void storm(int count, int at_once) {
  pthread_t *threads = calloc((size_t)at_once, sizeof(*threads));
  for (int i = 0; i < count; i++) {
    if (i >= at_once)
      pthread_join(threads[i % at_once], NULL);
    threads[i % at_once] = start(sleep_once);
  }
  for (int i = 0; i < at_once && i < count; i++)
    pthread_join(threads[i], NULL);
  free(threads);
}

static void tell(void) {
  char line[100];
  snprintf(line, sizeof(line), "{\"blocked_ns\":%lld,\"waits\":%llu}",
           (long long)blocked_ns(&truth), (unsigned long long)atomic_load(&truth.waits));
  say(line);
}

static void sleep_all(void) {
  pthread_barrier_wait(&begins);
  pthread_barrier_wait(&ends);
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 0, lives, at_once;
  double ms;
  pthread_barrier_init(&begins, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&ends, NULL, (unsigned)threads + 1);
  prctl(PR_SET_TIMERSLACK, 1);
  for (int i = 0; i < threads; i++)
    start(sleep_when_told);
  say("ready");
  for (;;) {
    const char *word = listen_for_word();
    if (sscanf(word, "sleep %d %lf", &turns, &ms) == 2) {
      turn_ns = (uint64_t)(ms * 1e6);
      sleep_all();
    } else if (sscanf(word, "storm %d %d %lf", &lives, &at_once, &ms) == 3) {
      turn_ns = (uint64_t)(ms * 1e6);
      storm(lives, at_once);
    }
    tell();
  }
}
