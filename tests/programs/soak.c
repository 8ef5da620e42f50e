/* The load of a busy host, for tests/soak.py. Every process ends with its parent.
 *
 * soak load FOLDER SLEEPERS EXECS
 *   FOLDER has a link to this program for each of the names. SLEEPERS processes "soak-sleeper N",
 *   one in 50 with four threads; WORKERS "soak-worker", whose threads wait for a lock, a pipe and
 *   a timer; CHURNERS "soak-churn", in which threads start and end. Writes "ready" when it has
 * started them. From then on it starts EXECS processes a second, "soak-brief N", which use a little
 * CPU and sleep for up to BRIEF_MS.
 *
 * soak reference
 *   Sleeps until a time each 10 ms. Writes "<Unix ms> <late us>" when it wakes up 5 ms or more too
 *   late: any thread of the host may. */
#include "workload.h"

enum { WORKERS = 4, CHURNERS = 2, THREADED_EVERY = 50, THREADS_MORE = 3, BRIEF_MS = 200 };

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)
#define REFERENCE_NS (10 * NS_PER_MS)
#define LATE_NS (5 * NS_PER_MS)
#define BUSY_ROUNDS 200000
#define CHURN_MS 20
#define CHURN_LIFE_MS 100

static const char *folder;

static void sleep_ms(uint64_t ms) { sleep_ns(ms * NS_PER_MS); }

static void compute(void) {
  for (volatile int i = 0; i < BUSY_ROUNDS; i++)
    ;
}

static void *wait_for_ever(void *unused) {
  for (;;)
    pause();
  return unused;
}

static void sleeper(int number) {
  for (int i = 0; number % THREADED_EVERY == 0 && i < THREADS_MORE; i++)
    start_thread(wait_for_ever, NULL);
  wait_for_ever(NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ends[2];

static void *hold_lock(void *unused) {
  for (;;) {
    pthread_mutex_lock(&lock);
    compute();
    sleep_ms(3);
    pthread_mutex_unlock(&lock);
    sleep_ms(1);
  }
  return unused;
}

static void *write_pipe(void *unused) {
  for (;; sleep_ms(7))
    if (write(ends[1], "x", 1) != 1)
      return unused;
}

static void *read_pipe(void *unused) {
  char byte;
  while (read(ends[0], &byte, 1) == 1)
    compute();
  return unused;
}

static void worker(void) {
  check(!pipe(ends));
  start_thread(hold_lock, NULL);
  start_thread(hold_lock, NULL);
  start_thread(write_pipe, NULL);
  read_pipe(NULL);
}

static void *live_a_while(void *unused) {
  sleep_ms(CHURN_LIFE_MS);
  return unused;
}

static void churn(void) {
  for (;; sleep_ms(CHURN_MS))
    pthread_detach(start_thread(live_a_while, NULL));
}

static void brief(int number) {
  compute();
  sleep_ms((uint64_t)number * 7919 % BRIEF_MS);
}

/* Starts this program as "<role> <number>", by the link of that name. */
static void spawn(const char *role, int number) {
  char path[4096], digits[16];
  snprintf(path, sizeof(path), "%s/%s", folder, role);
  snprintf(digits, sizeof(digits), "%d", number);
  if (fork_child())
    return;
  execl(path, role, digits, (char *)NULL);
  _exit(14);
}

static void load(int sleepers, int execs) {
  for (int i = 0; i < sleepers; i++)
    spawn("soak-sleeper", i);
  for (int i = 0; i < WORKERS; i++)
    spawn("soak-worker", i);
  for (int i = 0; i < CHURNERS; i++)
    spawn("soak-churn", i);
  say("ready");
  uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  for (unsigned i = 0;; i++) {
    sleep_until_ns(CLOCK_MONOTONIC, start_ns + i * (NS_PER_SECOND / (unsigned)execs));
    spawn("soak-brief", (int)i);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
  }
}

static void reference(void) {
  for (uint64_t due_ns = clock_ns(CLOCK_MONOTONIC);; due_ns += REFERENCE_NS) {
    sleep_until_ns(CLOCK_MONOTONIC, due_ns);
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    if (now_ns - due_ns < LATE_NS)
      continue;
    say("%llu %llu", (unsigned long long)(clock_ns(CLOCK_REALTIME) / NS_PER_MS),
        (unsigned long long)((now_ns - due_ns) / 1000));
    due_ns = now_ns;
  }
}

int main(int argc, char **argv) {
  int number = argc > 1 ? atoi(argv[1]) : 0;
  if (!strcmp(argv[0], "soak-sleeper"))
    sleeper(number);
  else if (!strcmp(argv[0], "soak-worker"))
    worker();
  else if (!strcmp(argv[0], "soak-churn"))
    churn();
  else if (!strcmp(argv[0], "soak-brief"))
    brief(number);
  else if (argc == 5 && !strcmp(argv[1], "load")) {
    folder = argv[2];
    load(atoi(argv[3]), atoi(argv[4]));
  } else if (argc == 2 && !strcmp(argv[1], "reference"))
    reference();
  else
    return 2;
  return 0;
}
