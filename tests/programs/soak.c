/* What a busy host does, for tests/soak.py. Every process ends with its parent.
 *
 * soak load FOLDER SLEEPERS EXECS
 *   FOLDER has a link to this program for each of the names. SLEEPERS processes "soak-sleeper N",
 *   one in 50 with four threads; WORKERS "soak-worker", whose threads wait for a lock, a pipe and
 *   the time; CHURNERS "soak-churn", in which threads come and go. Says "ready" when it has started
 *   them, and from then on starts EXECS processes a second, "soak-brief N", which compute for a
 *   moment and sleep for up to BRIEF_MS.
 *
 * soak reference
 *   Only sleeps, to a time each 10 ms. Prints "<Unix ms> <late us>" whenever it woke 5 ms or more
 *   too late: what any thread of the host has to expect. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, CHURNERS = 2, THREADED_EVERY = 50, THREADS_MORE = 3, BRIEF_MS = 200 };

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)
#define REFERENCE_NS (10 * NS_PER_MS)
#define LATE_NS (5 * NS_PER_MS)
#define BUSY_ROUNDS 200000
#define CHURN_MS 20
#define CHURN_LIFE_MS 100

static const char *folder;

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

static void sleep_until(int64_t ns) {
  struct timespec until = {ns / NS_PER_SECOND, ns % NS_PER_SECOND};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
    ;
}

static void sleep_ms(int64_t ms) { sleep_until(now(CLOCK_MONOTONIC) + ms * NS_PER_MS); }

static void compute(void) {
  for (volatile int i = 0; i < BUSY_ROUNDS; i++)
    ;
}

static void *wait_for_ever(void *unused) {
  for (;;)
    pause();
  return unused;
}

static pthread_t start(void *(*run)(void *), void *argument) {
  pthread_attr_t small;
  pthread_t thread;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 16);
  if (pthread_create(&thread, &small, run, argument))
    exit(11);
  pthread_attr_destroy(&small);
  return thread;
}

static void sleeper(int number) {
  for (int i = 0; number % THREADED_EVERY == 0 && i < THREADS_MORE; i++)
    start(wait_for_ever, NULL);
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
  if (pipe(ends))
    exit(12);
  start(hold_lock, NULL);
  start(hold_lock, NULL);
  start(write_pipe, NULL);
  read_pipe(NULL);
}

static void *live_a_while(void *unused) {
  sleep_ms(CHURN_LIFE_MS);
  return unused;
}

static void churn(void) {
  for (;; sleep_ms(CHURN_MS))
    pthread_detach(start(live_a_while, NULL));
}

static void brief(int number) {
  compute();
  sleep_ms(number * INT64_C(7919) % BRIEF_MS);
}

/* Starts this program once more as "<role> <number>", by the link of that name beside it. */
static void spawn(const char *role, int number) {
  char path[4096], digits[16];
  snprintf(path, sizeof(path), "%s/%s", folder, role);
  snprintf(digits, sizeof(digits), "%d", number);
  pid_t parent = getpid(), child = fork();
  if (child < 0)
    exit(13);
  if (child > 0)
    return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent)
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
  puts("ready");
  fflush(stdout);
  int64_t begun = now(CLOCK_MONOTONIC);
  for (int i = 0;; i++) {
    sleep_until(begun + i * (NS_PER_SECOND / execs));
    spawn("soak-brief", i);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
  }
}

static void reference(void) {
  int64_t due = now(CLOCK_MONOTONIC);
  for (;; due += REFERENCE_NS) {
    sleep_until(due);
    int64_t late = now(CLOCK_MONOTONIC) - due;
    if (late < LATE_NS)
      continue;
    printf("%lld %lld\n", (long long)(now(CLOCK_REALTIME) / NS_PER_MS), (long long)(late / 1000));
    fflush(stdout);
    due = now(CLOCK_MONOTONIC);
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
