/* The /proc source alone: what it reads and what it leaves alone, and processes that hold up
 * whoever looks at them, in whose place stand FIFOs. Whole ticks are in monitor/scenario.c. */
#include "core/source/source.h"

#include "tests/unit/proc_scene.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HELD 20 /* the one whose file is a FIFO */
static const struct denet_metric_set wanted_by_all = {
    {UINT64_C(1) << DENET_DISK_READ | UINT64_C(1) << DENET_OFF_CPU | UINT64_C(1) << DENET_NET_RX}};

/* In ticks 2 and 3 it stands still, but pids are not our own there, so that all are read. */
static const struct fake fakes[] = {
    {1, 9, 10, 1, "a", "a", "/bin/a", "/", 500, 1, 'S', 0, false, false, false},
    {1, 9, 20, 1, "held", "b", "/bin/b", "/", 501, 1, 'S', 0, true, false, false},
    {1, 9, 30, 1, "c", "c", "/bin/c", "/", 502, 1, 'S', 0, true, true, false},
};

static struct proc_scene scene;
static struct denet_env env;
static struct denet_source *source;
static struct denet_process_table table;

/* How often a file whose path begins like this was opened, and when one was last. */
static char counted[24];
static unsigned opened, opens, last_opened;

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...) {
  unsigned now = __atomic_add_fetch(&opens, 1, __ATOMIC_RELAXED);
  size_t length = strlen(counted);
  if (length && !strncmp(path, counted, length)) {
    __atomic_add_fetch(&opened, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&last_opened, now, __ATOMIC_RELAXED);
  }
  return __real_openat(folder, path, flags, 0);
}

static uint64_t read_boot_ns(void *context) {
  (void)context;
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void open_source(const char *path) {
  env = (struct denet_env){
      .proc_path = path, .tick_ns = 10000000, .page_bytes = 4096, .boot_ns = read_boot_ns};
  struct denet_error error = {""};
  table = (struct denet_process_table){0};
  ck_assert_msg(!denet_procfs_open(&env, &error, &source), "%s", error.text);
}

static void close_source(void) {
  denet_process_table_done(&table);
  denet_source_free(source);
}

/* Samples a process as one that counts somewhere. */
static void sample(struct denet_process *process, const struct denet_metric_set *wanted) {
  struct denet_usage *usage = denet_process_use(process);
  struct denet_values gained;
  ck_assert_ptr_nonnull(usage);
  source->measure(source, process, wanted, !denet_metric_set_is_within(wanted, &usage->wanted));
  denet_metric_set_add_all(&usage->wanted, wanted);
  denet_usage_advance(usage, DENET_BASELINE_FIRST_SEEN, &gained);
}

/* A pass, and the sampling of all that it shows. */
static void pass(void) {
  struct denet_error error = {""};
  ck_assert_msg(!source->scan(source, &table, &error), "%s", error.text);
  for (size_t i = 0; i < table.count; i++)
    sample(table.processes[i], &wanted_by_all);
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

/* --- Who holds it up --- */

static char *find_path(unsigned tick, const char *name, proc_path out) {
  snprintf(out, sizeof(proc_path), "%s/tick%u/%d/%s", scene.top, tick, HELD, name);
  return out;
}

static void make_fifo(unsigned tick, const char *name) {
  proc_path path;
  ck_assert_int_eq(unlink(find_path(tick, name, path)), 0);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void let_go(unsigned tick, const char *name) {
  proc_path path;
  DENET_CLOSE int fd = open(find_path(tick, name, path), O_WRONLY | O_NONBLOCK);
  ck_assert_int_ge(fd, 0);
  sleep_ms(1);
}

static void begin(void) {
  proc_begin(&scene, fakes, DENET_COUNT_OF(fakes), 3);
  open_source(scene.proc);
}

static void end(void) {
  close_source();
  proc_end(&scene);
}

static uint64_t bytes_read(pid_t pid) {
  const struct denet_process *process = denet_process_table_find(&table, pid);
  ck_assert_ptr_nonnull(process);
  return process->usage->now.value[DENET_DISK_READ];
}

static uint64_t bytes_told(size_t i, unsigned tick) {
  unsigned parts = fakes[i].has_second ? 2 : 1;
  return UINT64_C(400) * parts * proc_amount(&fakes[i], tick);
}

/* Which of its files holds up whoever looks at it. */
static const char *const held_files[] = {"stat", "io", "ns/net", "task/25/stat"};

START_TEST(one_that_is_known_stays_as_it_was_while_it_holds_us_up) {
  const char *name = held_files[_i];
  begin();
  make_fifo(2, name);
  if (_i == 3) /* it is read of a thread once, when that is new */
    proc_enter(&scene, 2);
  else
    proc_enter(&scene, 1);
  pass();
  proc_enter(&scene, 2);
  for (int i = 0; i < 3; i++)
    pass();
  ck_assert_uint_eq(table.count, 3);
  ck_assert_uint_eq(bytes_read(10), bytes_told(0, 2));
  ck_assert_uint_eq(bytes_read(30), bytes_told(2, 2));
  ck_assert(denet_process_table_find(&table, HELD)->notes.procfs.is_unread);
  ck_assert(denet_process_table_find(&table, HELD)->has_run);
  let_go(2, name);
  proc_enter(&scene, 3);
  for (int i = 0; i < 1000 && denet_process_table_find(&table, HELD)->has_run; i++) {
    pass();
    sleep_ms(1);
  }
  ck_assert_uint_eq(bytes_read(HELD), bytes_told(1, 3));
  ck_assert(denet_values_has(&denet_process_table_find(&table, HELD)->usage->now, DENET_OFF_CPU));
  end();
}
END_TEST

START_TEST(one_that_is_new_is_not_seen_before_it_lets_go) {
  begin();
  make_fifo(1, "stat");
  proc_enter(&scene, 1);
  for (int i = 0; i < 3; i++)
    pass();
  ck_assert_uint_eq(table.count, 2);
  ck_assert_uint_eq(bytes_read(30), bytes_told(2, 1));
  let_go(1, "stat");
  proc_enter(&scene, 3);
  for (int i = 0; i < 1000 && table.count < 3; i++) {
    pass();
    sleep_ms(1);
  }
  ck_assert_uint_eq(bytes_read(HELD), bytes_told(1, 3));
  end();
}
END_TEST

/* --- What is read, and when --- */

static unsigned find_last_open(const char *path) {
  strcpy(counted, path);
  opened = last_opened = 0;
  pass();
  return last_opened;
}

/* What a thread does between the two is then still ahead at the next pass. */
START_TEST(a_thread_that_ran_has_its_times_read_before_its_io) {
  begin();
  proc_enter(&scene, 1);
  pass();
  proc_enter(&scene, 2);
  unsigned before = opens, io = find_last_open("30/task/35/io");
  ck_assert_uint_eq(opened, 1);
  io -= before;
  proc_enter(&scene, 3);
  before = opens;
  unsigned times = find_last_open("30/task/35/schedstat") - before;
  ck_assert_uint_eq(opened, 1);
  ck_assert_uint_lt(times, io);
  /* It does not run any more. */
  find_last_open("30/task/35/io");
  ck_assert_uint_eq(opened, 0);
  end();
}
END_TEST

static void sleep_for_ever(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;)
    pause();
}

static pid_t start_sleeper(void) {
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (!pid)
    sleep_for_ever();
  sleep_ms(100);
  return pid;
}

static void stop(pid_t pid) {
  kill(pid, SIGKILL);
  ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static unsigned count_opens(uint64_t wanted) {
  struct denet_error error = {""};
  opened = 0;
  ck_assert_int_eq(source->scan(source, &table, &error), 0);
  pid_t pid = (pid_t)strtol(counted, NULL, 10);
  struct denet_process *process = denet_process_table_find(&table, pid);
  ck_assert_ptr_nonnull(process);
  if (wanted)
    sample(process, &(struct denet_metric_set){{wanted}});
  return opened;
}

static const struct {
  uint64_t wanted;
  unsigned opened;
} quiet[] = {
    {0, 0}, /* no rule wants it */
    {UINT64_C(1) << DENET_DISK_READ, 0},
    {UINT64_C(1) << DENET_RSS, 1}, /* memory can be taken away from one that sleeps */
};

START_TEST(of_one_that_has_not_run_nothing_is_read_but_its_memory) {
  pid_t pid = start_sleeper();
  open_source("/proc");
  snprintf(counted, sizeof(counted), "%d/", (int)pid);
  ck_assert_uint_ge(count_opens(quiet[_i].wanted), 1);
  for (int i = 0; i < 3; i++)
    ck_assert_uint_eq(count_opens(quiet[_i].wanted), quiet[_i].opened);
  close_source();
  stop(pid);
}
END_TEST

START_TEST(of_a_new_one_nothing_is_read_that_nobody_wants) {
  pid_t first = start_sleeper();
  open_source("/proc");
  snprintf(counted, sizeof(counted), "%d/", (int)first);
  count_opens(UINT64_C(1) << DENET_RSS);
  pid_t second = start_sleeper();
  snprintf(counted, sizeof(counted), "%d/", (int)second);
  ck_assert_uint_eq(count_opens(0), 1); /* its stat */
  close_source();
  stop(second);
  stop(first);
}
END_TEST

/* Its end hands its child over to another parent, of which the child, asleep, knows nothing. */
START_TEST(one_that_sleeps_is_known_to_have_another_parent) {
  int word[2];
  pid_t child = 0;
  ck_assert_int_eq(pipe(word), 0);
  pid_t parent = fork();
  if (!parent) {
    child = fork();
    if (!child) {
      alarm(60);
      pause();
    }
    (void)!write(word[1], &child, sizeof(child));
    sleep_for_ever();
  }
  sleep_ms(100);
  open_source("/proc");
  ck_assert_int_eq(read(word[0], &child, sizeof(child)), sizeof(child));
  snprintf(counted, sizeof(counted), "%d/", (int)child);
  count_opens(0);
  ck_assert_int_eq(denet_process_table_find(&table, child)->parent_pid, parent);
  stop(parent);
  for (int i = 0; i < 3; i++)
    count_opens(0);
  ck_assert_int_ne(denet_process_table_find(&table, child)->parent_pid, parent);
  ck_assert_uint_eq(count_opens(0), 0);
  close_source();
  kill(child, SIGKILL);
  close(word[0]);
  close(word[1]);
}
END_TEST

static const struct {
  enum denet_text_kind kind;
  bool is_reaped;
} endings[] = {{DENET_TEXT_ARGUMENTS, false},
               {DENET_TEXT_EXECUTABLE, false},
               {DENET_TEXT_ARGUMENTS, true},
               {DENET_TEXT_EXECUTABLE, true}};

/* It was alive when it was seen. */
START_TEST(texts_of_a_fork_that_ends_before_they_are_read_are_its_parents) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer own = {0}, text = {0};
  struct denet_error error = {""};
  pid_t pid = start_sleeper();
  open_source("/proc");
  ck_assert_int_eq(source->scan(source, &table, &error), 0);
  struct denet_process *child = denet_process_table_find(&table, pid);
  kill(pid, SIGKILL);
  ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
  if (endings[_i].is_reaped)
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
  struct denet_process *self = denet_process_table_find(&table, getpid());
  ck_assert_int_eq(source->read_text(source, self, endings[_i].kind, &own), 0);
  ck_assert_int_eq(denet_source_read_text(source, child, endings[_i].kind, &text), 0);
  ck_assert_uint_gt(own.length, 0);
  ck_assert_uint_eq(own.length, text.length);
  ck_assert_mem_eq(own.bytes, text.bytes, own.length);
  close_source();
  waitpid(pid, NULL, 0);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, one_that_is_known_stays_as_it_was_while_it_holds_us_up, held_files);
  ADD_TEST(suite, one_that_is_new_is_not_seen_before_it_lets_go);
  ADD_TEST(suite, a_thread_that_ran_has_its_times_read_before_its_io);
  ADD_TABLE(suite, of_one_that_has_not_run_nothing_is_read_but_its_memory, quiet);
  ADD_TEST(suite, of_a_new_one_nothing_is_read_that_nobody_wants);
  ADD_TABLE(suite, texts_of_a_fork_that_ends_before_they_are_read_are_its_parents, endings);
  ADD_TEST(suite, one_that_sleeps_is_known_to_have_another_parent);
}
