/* blocker KIND [BLOCK_MS BURN_MS [DATA]]: blocks in one way and burns CPU in turn, in one thread,
 * and measures both itself. DATA is a file of some MiB on a real disk, for disk, fsync and fault.
 * Told "tell" it answers {"blocked_ns":,"runqueue_ns":,"cpu_ns":,"waits":} of its waits so far;
 * told "stop" it answers the same and from then on only burns CPU, so that this stays true.
 * Where somebody has to wake it that is another process, whose command line begins with "helper".
 *
 * KIND "sleeper" sleeps once, for ever; it does not listen. KIND "mixed" has a thread of each kind
 * but child, one that only burns CPU, and the main thread, which listens and answers "done". */
#include "truth.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHUNK (1 << 20)  /* read at once from the disk */
#define WINDOW (1 << 20) /* of a mapping, made cold and touched again */
#define PAGE 4096

struct waiter {
  uint64_t block_ns, burn_ns;
  const char *data;
  int file;
  uint64_t size;
  _Atomic uint32_t *word;
  char *memory;
};

static void check(bool is_good, int status) {
  if (!is_good)
    exit(status);
}

/* ---- The helper: what wakes the others, at the beginning of each turn ---- */

static void wake_by_word(int file, uint64_t period_ns) {
  _Atomic uint32_t *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(word != MAP_FAILED, 21);
  for (;;) {
    sleep_ns(period_ns);
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
}

static void wake_by_bytes(int file, uint64_t period_ns) {
  for (uint64_t one = 1;;) {
    sleep_ns(period_ns);
    check(write(file, &one, sizeof(one)) == sizeof(one), 22);
  }
}

/* helper word|bytes FILE NS, or: helper rest - NS */
static int help(char **arguments) {
  int file = atoi(arguments[2]);
  uint64_t ns = strtoull(arguments[3], NULL, 10);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1);
  if (!strcmp(arguments[1], "word"))
    wake_by_word(file, ns);
  if (!strcmp(arguments[1], "bytes"))
    wake_by_bytes(file, ns);
  sleep_ns(ns);
  return 0;
}

static pid_t start_helper(char *how, int file, uint64_t ns) {
  char file_text[16], ns_text[24], *none[] = {NULL};
  char *arguments[] = {"helper", how, file_text, ns_text, NULL};
  pid_t pid;
  snprintf(file_text, sizeof(file_text), "%d", file);
  snprintf(ns_text, sizeof(ns_text), "%llu", (unsigned long long)ns);
  check(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, none), 23);
  return pid;
}

static void start_waker(struct waiter *waiter, char *how, int file) {
  start_helper(how, file, waiter->block_ns + waiter->burn_ns);
}

/* ---- The ways to wait, each for about block_ns ---- */

static void set_up_futex(struct waiter *waiter) {
  int file = memfd_create("word", 0);
  check(file >= 0 && !ftruncate(file, PAGE), 31);
  waiter->word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(waiter->word != MAP_FAILED, 31);
  start_waker(waiter, "word", file);
}

static void wait_futex(struct waiter *waiter) {
  while (!atomic_exchange(waiter->word, 0))
    syscall(SYS_futex, waiter->word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void set_up_nothing(struct waiter *waiter) { (void)waiter; }

static void wait_nanosleep(struct waiter *waiter) { sleep_ns(waiter->block_ns); }

static void set_up_epoll(struct waiter *waiter) {
  int event = eventfd(0, 0);
  waiter->file = epoll_create1(0);
  struct epoll_event wanted = {.events = EPOLLIN | EPOLLET};
  check(!epoll_ctl(waiter->file, EPOLL_CTL_ADD, event, &wanted), 32);
  start_waker(waiter, "bytes", event);
}

static void wait_epoll(struct waiter *waiter) {
  struct epoll_event found;
  check(epoll_wait(waiter->file, &found, 1, -1) == 1, 33);
}

static void set_up_net(struct waiter *waiter) {
  int ends[2];
  check(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 34);
  waiter->file = ends[0];
  start_waker(waiter, "bytes", ends[1]);
}

static void wait_net(struct waiter *waiter) {
  uint64_t word;
  check(recv(waiter->file, &word, sizeof(word), 0) == sizeof(word), 35);
}

static void set_up_pipe(struct waiter *waiter) {
  int ends[2];
  check(!pipe(ends), 36);
  waiter->file = ends[0];
  start_waker(waiter, "bytes", ends[1]);
}

static void set_up_event(struct waiter *waiter) {
  waiter->file = eventfd(0, 0);
  start_waker(waiter, "bytes", waiter->file);
}

static void wait_bytes(struct waiter *waiter) {
  uint64_t word;
  check(read(waiter->file, &word, sizeof(word)) == sizeof(word), 37);
}

static void wait_child(struct waiter *waiter) {
  int status;
  pid_t pid = start_helper("rest", -1, waiter->block_ns);
  check(waitpid(pid, &status, 0) == pid, 38);
}

static void open_data(struct waiter *waiter, int flags) {
  struct stat about;
  check(waiter->data, 39);
  waiter->file = open(waiter->data, O_RDWR | flags);
  check(waiter->file >= 0 && !fstat(waiter->file, &about), 39);
  waiter->size = (uint64_t)about.st_size;
  check(waiter->size >= WINDOW, 39);
}

static uint64_t random_place(uint64_t size, uint64_t unit) {
  return (uint64_t)random() % (size / unit) * unit;
}

static void set_up_disk(struct waiter *waiter) {
  open_data(waiter, O_DIRECT);
  waiter->memory =
      mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  check(waiter->memory != MAP_FAILED, 40);
}

static void wait_disk(struct waiter *waiter) {
  uint64_t end = clock_ns(CLOCK_MONOTONIC) + waiter->block_ns;
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    off_t place = (off_t)random_place(waiter->size, CHUNK);
    check(pread(waiter->file, waiter->memory, CHUNK, place) == CHUNK, 41);
  }
}

static void set_up_fsync(struct waiter *waiter) { open_data(waiter, 0); }

static void wait_fsync(struct waiter *waiter) {
  uint64_t end = clock_ns(CLOCK_MONOTONIC) + waiter->block_ns;
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    off_t place = (off_t)random_place(waiter->size, PAGE);
    check(pwrite(waiter->file, waiter, sizeof(*waiter), place) == sizeof(*waiter), 42);
    check(!fsync(waiter->file), 42);
  }
}

static void set_up_fault(struct waiter *waiter) {
  open_data(waiter, 0);
  waiter->memory = mmap(NULL, waiter->size, PROT_READ, MAP_SHARED, waiter->file, 0);
  check(waiter->memory != MAP_FAILED, 43);
  /* What is there now may be in larger pieces than the windows. Then each page is one wait: nothing
   * is read ahead. */
  check(!posix_fadvise(waiter->file, 0, 0, POSIX_FADV_DONTNEED), 43);
  check(!madvise(waiter->memory, waiter->size, MADV_RANDOM), 43);
}

/* Whether it could: others may hold on to a page, or write it. */
static bool make_cold(struct waiter *waiter, uint64_t place) {
  unsigned char is_there;
  check(!madvise(waiter->memory + place, WINDOW, MADV_DONTNEED), 44);
  check(!posix_fadvise(waiter->file, (off_t)place, WINDOW, POSIX_FADV_DONTNEED), 44);
  check(!mincore(waiter->memory + place, 1, &is_there), 45);
  return !(is_there & 1);
}

static void wait_fault(struct waiter *waiter) {
  uint64_t end = clock_ns(CLOCK_MONOTONIC) + waiter->block_ns;
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    uint64_t place = random_place(waiter->size, WINDOW);
    if (!make_cold(waiter, place))
      continue;
    for (uint64_t at = 0; at < WINDOW && clock_ns(CLOCK_MONOTONIC) < end; at += PAGE)
      (void)*(volatile char *)(waiter->memory + place + at);
  }
}

static const struct kind {
  const char *name;
  void (*set_up)(struct waiter *waiter);
  void (*wait)(struct waiter *waiter);
} kinds[] = {
    {"futex", set_up_futex, wait_futex},   {"nanosleep", set_up_nothing, wait_nanosleep},
    {"epoll", set_up_epoll, wait_epoll},   {"net", set_up_net, wait_net},
    {"pipe", set_up_pipe, wait_bytes},     {"event", set_up_event, wait_bytes},
    {"child", set_up_nothing, wait_child}, {"disk", set_up_disk, wait_disk},
    {"fsync", set_up_fsync, wait_fsync},   {"fault", set_up_fault, wait_fault},
};

static const struct kind *find_kind(const char *name) {
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (!strcmp(kinds[i].name, name))
      return &kinds[i];
  exit(2);
}

/* ---- Turns ---- */

static void tell(struct truth *truth, uint64_t base_cpu_ns) {
  char line[200];
  snprintf(line, sizeof(line),
           "{\"blocked_ns\":%lld,\"runqueue_ns\":%llu,\"cpu_ns\":%llu,\"waits\":%llu}",
           (long long)blocked_ns(truth), (unsigned long long)atomic_load(&truth->runqueue_ns),
           (unsigned long long)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - base_cpu_ns),
           (unsigned long long)atomic_load(&truth->waits));
  say(line);
}

/* Whether there is a word to be read, without a wait. */
static bool is_spoken_to(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) == 1;
}

static void take_turns(const struct kind *kind, struct waiter *waiter) {
  struct truth truth = {0};
  uint64_t base_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  for (bool is_stopped = false;;) {
    if (!is_stopped) {
      struct moment before = look();
      kind->wait(waiter);
      add_wait(&truth, before);
    }
    burn_ns(waiter->burn_ns);
    if (is_spoken_to()) {
      is_stopped |= !strcmp(listen_for_word(), "stop");
      tell(&truth, base_cpu_ns);
    }
  }
}

static struct waiter make_waiter(char **arguments) {
  return (struct waiter){.block_ns = (uint64_t)(atof(arguments[2]) * 1e6),
                         .burn_ns = (uint64_t)(atof(arguments[3]) * 1e6),
                         .data = arguments[4]};
}

static char **mixed_arguments;

static void *take_turns_for_ever(void *of) {
  const struct kind *kind = of;
  struct waiter waiter = make_waiter(mixed_arguments);
  if (kind)
    kind->set_up(&waiter);
  for (;;) {
    if (kind)
      kind->wait(&waiter);
    burn_ns(waiter.burn_ns);
  }
  return NULL;
}

static void mix(char **arguments) {
  const size_t count = sizeof(kinds) / sizeof(kinds[0]);
  mixed_arguments = arguments;
  for (size_t i = 0; i <= count; i++) {
    pthread_t thread;
    void *kind = i < count ? (void *)&kinds[i] : NULL;
    if (i < count && kinds[i].wait == wait_child) /* its children would be threads too */
      continue;
    check(!pthread_create(&thread, NULL, take_turns_for_ever, kind), 51);
  }
  say("ready");
  for (;;) {
    listen_for_word();
    say("done");
  }
}

static void sleep_for_ever(void) {
  say("ready");
  for (;;)
    sleep_ns(3600000000000);
}

int main(int count, char **arguments) {
  if (count == 4 && !strcmp(arguments[0], "helper"))
    return help(arguments);
  if (count == 2 && !strcmp(arguments[1], "sleeper"))
    sleep_for_ever();
  if (count < 4)
    return 2;
  srandom((unsigned)getpid());
  prctl(PR_SET_TIMERSLACK, 1);
  if (!strcmp(arguments[1], "mixed"))
    mix(arguments);
  struct waiter waiter = make_waiter(arguments);
  const struct kind *kind = find_kind(arguments[1]);
  kind->set_up(&waiter);
  say("ready");
  take_turns(kind, &waiter);
}
