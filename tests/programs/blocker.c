/* blocker KIND [BLOCK_MS BURN_MS [DATA]]: one thread that in turn is blocked in one way and uses
 * the CPU, and measures both. DATA is a file of some MiB on a real disk, for disk, fsync and fault.
 * "tell": the answer is {"blocked_ns":,"runqueue_ns":,"cpu_ns":,"waits":} of its waits so far.
 * "stop": the same answer; from then on the thread only uses the CPU, so that the answer stays
 * true. If another process must wake the thread, its command line begins with "helper".
 *
 * KIND "sleeper" sleeps for ever and reads no commands. KIND "mixed" has a thread of each kind
 * except child, one that only uses the CPU, and the main thread, which answers "done". */
#include "waits.h"

#include <linux/futex.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CHUNK (1 << 20)  /* read at once from the disk */
#define WINDOW (1 << 20) /* of a mapping, made cold and touched again */
#define PAGE 4096

struct waiter {
  const struct kind *kind; /* NULL: it only uses the CPU */
  bool answers;
  uint64_t block_ns, burn_ns;
  const char *data;
  int file;
  uint64_t size;
  _Atomic uint32_t *word;
  char *memory;
};

/* ---- The helper: a process that wakes the thread at the start of each turn ---- */

static void wake_by_word(int file, uint64_t period_ns) {
  _Atomic uint32_t *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(word != MAP_FAILED);
  for (;;) {
    sleep_ns(period_ns);
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
}

static void wake_by_bytes(int file, uint64_t period_ns) {
  for (uint64_t one = 1;;) {
    sleep_ns(period_ns);
    check(write(file, &one, sizeof(one)) == sizeof(one));
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
  check(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, none));
  return pid;
}

static void start_waker(struct waiter *waiter, char *how, int file) {
  start_helper(how, file, waiter->block_ns + waiter->burn_ns);
}

/* ---- Ways to be blocked, each for about block_ns ---- */

static void set_up_futex(struct waiter *waiter) {
  int file = memfd_create("word", 0);
  check(file >= 0 && !ftruncate(file, PAGE));
  waiter->word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(waiter->word != MAP_FAILED);
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
  check(!epoll_ctl(waiter->file, EPOLL_CTL_ADD, event, &wanted));
  start_waker(waiter, "bytes", event);
}

static void wait_epoll(struct waiter *waiter) {
  struct epoll_event found;
  check(epoll_wait(waiter->file, &found, 1, -1) == 1);
}

static void set_up_net(struct waiter *waiter) {
  int ends[2];
  check(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  waiter->file = ends[0];
  start_waker(waiter, "bytes", ends[1]);
}

static void wait_net(struct waiter *waiter) {
  uint64_t word;
  check(recv(waiter->file, &word, sizeof(word), 0) == sizeof(word));
}

static void set_up_pipe(struct waiter *waiter) {
  int ends[2];
  check(!pipe(ends));
  waiter->file = ends[0];
  start_waker(waiter, "bytes", ends[1]);
}

static void set_up_event(struct waiter *waiter) {
  waiter->file = eventfd(0, 0);
  start_waker(waiter, "bytes", waiter->file);
}

static void wait_bytes(struct waiter *waiter) {
  uint64_t word;
  check(read(waiter->file, &word, sizeof(word)) == sizeof(word));
}

static void wait_child(struct waiter *waiter) {
  int status;
  pid_t pid = start_helper("rest", -1, waiter->block_ns);
  check(waitpid(pid, &status, 0) == pid);
}

static void open_data(struct waiter *waiter, int flags) {
  struct stat about;
  check(waiter->data);
  waiter->file = open(waiter->data, O_RDWR | flags);
  check(waiter->file >= 0 && !fstat(waiter->file, &about));
  waiter->size = (uint64_t)about.st_size;
  check(waiter->size >= WINDOW);
}

static uint64_t random_place(uint64_t size, uint64_t unit) {
  return (uint64_t)random() % (size / unit) * unit;
}

static void set_up_disk(struct waiter *waiter) {
  open_data(waiter, O_DIRECT);
  waiter->memory =
      mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  check(waiter->memory != MAP_FAILED);
}

static void wait_disk(struct waiter *waiter) {
  uint64_t end = clock_ns(CLOCK_MONOTONIC) + waiter->block_ns;
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    off_t place = (off_t)random_place(waiter->size, CHUNK);
    check(pread(waiter->file, waiter->memory, CHUNK, place) == CHUNK);
  }
}

static void set_up_fsync(struct waiter *waiter) { open_data(waiter, 0); }

static void wait_fsync(struct waiter *waiter) {
  uint64_t end = clock_ns(CLOCK_MONOTONIC) + waiter->block_ns;
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    off_t place = (off_t)random_place(waiter->size, PAGE);
    check(pwrite(waiter->file, waiter, sizeof(*waiter), place) == sizeof(*waiter));
    check(!fsync(waiter->file));
  }
}

static void set_up_fault(struct waiter *waiter) {
  open_data(waiter, 0);
  waiter->memory = mmap(NULL, waiter->size, PROT_READ, MAP_SHARED, waiter->file, 0);
  check(waiter->memory != MAP_FAILED);
  /* The page cache may hold larger folios than the windows. MADV_RANDOM: without read-ahead each
   * page is one wait. */
  check(!posix_fadvise(waiter->file, 0, 0, POSIX_FADV_DONTNEED));
  check(!madvise(waiter->memory, waiter->size, MADV_RANDOM));
}

/* Returns whether the window left the page cache: others may use a page of it. */
static bool make_cold(struct waiter *waiter, uint64_t place) {
  unsigned char is_there;
  check(!madvise(waiter->memory + place, WINDOW, MADV_DONTNEED));
  check(!posix_fadvise(waiter->file, (off_t)place, WINDOW, POSIX_FADV_DONTNEED));
  check(!mincore(waiter->memory + place, 1, &is_there));
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

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- Turns ---- */

static void answer(struct waits *waits, uint64_t base_cpu_ns) {
  say("{\"blocked_ns\":%lld,\"runqueue_ns\":%llu,\"cpu_ns\":%llu,\"waits\":%llu}",
      blocked_ns(waits), (unsigned long long)atomic_load(&waits->runqueue_ns),
      (unsigned long long)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - base_cpu_ns),
      (unsigned long long)atomic_load(&waits->count));
}

static void *take_turns(void *of) {
  struct waiter *waiter = of;
  struct waits waits = {0};
  uint64_t base_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  if (waiter->kind)
    waiter->kind->set_up(waiter);
  if (waiter->answers)
    say("ready");
  for (bool is_stopped = !waiter->kind;;) {
    if (!is_stopped) {
      struct moment before = read_moment();
      waiter->kind->wait(waiter);
      add_wait(&waits, before);
    }
    burn_ns(CLOCK_THREAD_CPUTIME_ID, waiter->burn_ns);
    if (waiter->answers && has_input(0)) {
      is_stopped |= !strcmp(next_command(), "stop");
      answer(&waits, base_cpu_ns);
    }
  }
  return NULL;
}

int main(int count, char **arguments) {
  static struct waiter waiters[KINDS + 1]; /* the last one has no kind */
  if (count == 4 && !strcmp(arguments[0], "helper"))
    return help(arguments);
  if (count == 2 && !strcmp(arguments[1], "sleeper")) {
    say("ready");
    for (;;)
      sleep_ns(3600000000000);
  }
  if (count < 4)
    return 2;
  srandom((unsigned)getpid());
  prctl(PR_SET_TIMERSLACK, 1);
  bool is_mixed = !strcmp(arguments[1], "mixed");
  for (size_t i = 0; i <= KINDS; i++) {
    waiters[i] = (struct waiter){.kind = i < KINDS ? &kinds[i] : NULL,
                                 .answers = !is_mixed,
                                 .block_ns = ns_of_ms(arguments[2]),
                                 .burn_ns = ns_of_ms(arguments[3]),
                                 .data = arguments[4]};
    if (is_mixed &&
        (i == KINDS || kinds[i].wait != wait_child)) /* a child would be a member, too */
      start_thread(take_turns, &waiters[i]);
    else if (!is_mixed && i < KINDS && !strcmp(kinds[i].name, arguments[1]))
      take_turns(&waiters[i]);
  }
  if (!is_mixed)
    return 2;
  say("ready");
  answer_all();
}
