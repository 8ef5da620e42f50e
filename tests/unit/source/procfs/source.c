/* The /proc source alone: which files it reads, and processes on which reads stall. Whole ticks are
 * in tests/unit/monitor. */
#include "core/source/source.h"

#include "core/util/clock.h"

#include "tests/unit/proc_scene.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STALLED 20 /* the process of which one file is a FIFO */
#define SET(...) ((const struct denet_metric_set){{__VA_ARGS__}})
#define BIT(metric) UINT64_C(1) << DENET_##metric

/* c uses nothing in any tick. As the pids are not of the own namespace, its files are read. */
static const struct fake fakes[] = {
    {1, 9, 10, 1, "a", "a", "/bin/a", "/", 500, 1, 'S', 0, false, false, false},
    {1, 9, 20, 1, "stalled", "b", "/bin/b", "/", 501, 1, 'S', 0, true, false, false},
    {1, 9, 30, 1, "c", "c", "/bin/c", "/", 502, 1, 'S', 0, true, true, false},
};

static struct proc_scene scene;
static struct denet_env env;
static struct denet_source *source;
static struct denet_process_table table;

/* All opens, and those of files whose paths begin with prefix: their number, and the last one. */
static char prefix[24];
static unsigned opens, opened, last_opened;

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...) {
  unsigned now = __atomic_add_fetch(&opens, 1, __ATOMIC_RELAXED);
  size_t length = strlen(prefix);
  if (length && !strncmp(path, prefix, length)) {
    __atomic_add_fetch(&opened, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&last_opened, now, __ATOMIC_RELAXED);
  }
  return __real_openat(folder, path, flags, 0);
}

static uint64_t read_boot_ns(void *context) { return denet_clock_boot_ns(); }

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

/* Measures a process as one that counts somewhere. */
static void measure(struct denet_process *process, const struct denet_metric_set *wanted) {
  struct denet_usage *usage = denet_process_use(process);
  struct denet_values delta;
  ck_assert_ptr_nonnull(usage);
  source->measure(source, process, wanted, !denet_metric_set_is_within(wanted, &usage->wanted));
  denet_metric_set_add_all(&usage->wanted, wanted);
  denet_usage_advance(usage, DENET_BASELINE_FIRST_SEEN, &delta);
}

static void scan(void) {
  struct denet_error error = {""};
  ck_assert_msg(!source->scan(source, &table, &error), "%s", error.text);
}

static void run_pass(void) {
  scan();
  for (size_t i = 0; i < table.count; i++)
    measure(table.processes[i], &SET(BIT(DISK_READ) | BIT(OFF_CPU) | BIT(NET_RX)));
}

/* --- Reads that stall --- */

static void find_path(unsigned tick, const char *name, proc_path out) {
  snprintf(out, sizeof(proc_path), "%s/tick%u/%d/%s", scene.top, tick, STALLED, name);
}

static void make_fifo(unsigned tick, const char *name) {
  proc_path path;
  find_path(tick, name, path);
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void end_stall(unsigned tick, const char *name) {
  proc_path path;
  find_path(tick, name, path);
  DENET_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK);
  ck_assert_int_ge(fd, 0);
  usleep(1000);
}

static void begin(void) {
  proc_begin(&scene, fakes, DENET_COUNT_OF(fakes), 3);
  open_source(scene.proc);
}

static void end_scene(void) {
  close_source();
  proc_end(&scene);
}

static struct denet_process *find(pid_t pid) {
  struct denet_process *process = denet_process_table_find(&table, pid);
  ck_assert_ptr_nonnull(process);
  return process;
}

static uint64_t bytes_read(pid_t pid) { return find(pid)->usage->now.value[DENET_DISK_READ]; }

static uint64_t expected_bytes(size_t i, unsigned tick) {
  unsigned parts = fakes[i].has_second ? 2 : 1;
  return UINT64_C(400) * parts * proc_amount(&fakes[i], tick);
}

/* Reads of a file in tick 2 stall. A process that is seen first in tick 2 is new. */
static const struct {
  const char *file;
  unsigned first_tick;
  bool is_hidden; /* the scan does not find it */
} stalls[] = {{"stat", 1, false},
              {"io", 1, false},
              {"ns/net", 1, false},
              {"task/25/stat", 2, false},
              {"stat", 2, true}};

START_TEST(a_stalled_read_delays_no_other_process) {
  begin();
  make_fifo(2, stalls[_i].file);
  proc_enter(&scene, stalls[_i].first_tick);
  run_pass();
  proc_enter(&scene, 2);
  for (int i = 0; i < 3; i++)
    run_pass();
  ck_assert_uint_eq(table.count, stalls[_i].is_hidden ? 2 : 3);
  ck_assert_uint_eq(bytes_read(10), expected_bytes(0, 2));
  ck_assert_uint_eq(bytes_read(30), expected_bytes(2, 2));
  if (!stalls[_i].is_hidden)
    ck_assert(find(STALLED)->notes.procfs.is_unread && find(STALLED)->has_run);
  end_stall(2, stalls[_i].file);
  proc_enter(&scene, 3);
  for (int i = 0; i < 1000 && (table.count < 3 || find(STALLED)->has_run); i++) {
    run_pass();
    usleep(1000);
  }
  ck_assert_uint_eq(bytes_read(STALLED), expected_bytes(1, 3));
  ck_assert(denet_values_has(&find(STALLED)->usage->now, DENET_OFF_CPU));
  end_scene();
}
END_TEST

/* --- Which files are read, and when --- */

static unsigned find_last_open(const char *path) {
  strcpy(prefix, path);
  opened = last_opened = 0;
  run_pass();
  return last_opened;
}

/* What a thread does between the two reads is counted by the next pass. */
START_TEST(a_thread_that_ran_has_its_times_read_before_its_io) {
  begin();
  proc_enter(&scene, 1);
  run_pass();
  proc_enter(&scene, 2);
  unsigned before = opens, io = find_last_open("30/task/35/io");
  ck_assert_uint_eq(opened, 1);
  io -= before;
  proc_enter(&scene, 3);
  before = opens;
  unsigned times = find_last_open("30/task/35/schedstat") - before;
  ck_assert_uint_eq(opened, 1);
  ck_assert_uint_lt(times, io);
  find_last_open("30/task/35/io");
  ck_assert_uint_eq(opened, 0);
  end_scene();
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
  usleep(100000);
  return pid;
}

static void stop(pid_t pid) {
  kill(pid, SIGKILL);
  ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* Returns how many files of the process were opened in a pass. */
static unsigned count_opens(pid_t pid, uint64_t wanted) {
  snprintf(prefix, sizeof(prefix), "%d/", (int)pid);
  opened = 0;
  scan();
  struct denet_process *process = find(pid);
  if (wanted)
    measure(process, &SET(wanted));
  return opened;
}

/* Files that are read of a new process, and of one that has not run. */
static const struct {
  uint64_t wanted;
  unsigned of_new, of_idle;
} quiet[] = {
    {0, 1, 0}, /* it matches no rule */
    {BIT(DISK_READ), 2, 0},
    {BIT(RSS), 2, 1}, /* the kernel can reclaim memory of a process that sleeps */
};

START_TEST(only_wanted_files_are_read_and_of_a_process_that_has_not_run_only_memory) {
  pid_t pid = start_sleeper();
  open_source("/proc");
  ck_assert_uint_eq(count_opens(pid, quiet[_i].wanted), quiet[_i].of_new);
  /* A sanitizer's own thread may make it run in between. */
  unsigned count = UINT_MAX;
  for (int i = 0; i < 50 && count != quiet[_i].of_idle; i++)
    count = count_opens(pid, quiet[_i].wanted);
  ck_assert_uint_eq(count, quiet[_i].of_idle);
  close_source();
  stop(pid);
}
END_TEST

/* When a process ends, its child gets another parent without running. */
START_TEST(a_process_that_sleeps_gets_its_new_parent) {
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
  usleep(100000);
  open_source("/proc");
  ck_assert_int_eq(read(word[0], &child, sizeof(child)), sizeof(child));
  count_opens(child, 0);
  ck_assert_int_eq(find(child)->parent_pid, parent);
  stop(parent);
  for (int i = 0; i < 3; i++)
    count_opens(child, 0);
  ck_assert_int_ne(find(child)->parent_pid, parent);
  ck_assert_uint_eq(count_opens(child, 0), 0);
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

/* The process is alive in the scan. */
START_TEST(texts_of_a_fork_that_ends_after_the_scan_are_of_its_parent) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer own = {0}, text = {0};
  pid_t pid = start_sleeper();
  open_source("/proc");
  scan();
  struct denet_process *child = find(pid);
  kill(pid, SIGKILL);
  ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
  if (endings[_i].is_reaped)
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
  struct denet_process *self = find(getpid());
  ck_assert_int_eq(source->read_text(source, self, endings[_i].kind, &own), 0);
  ck_assert_int_eq(denet_source_read_text(source, child, endings[_i].kind, &text), 0);
  ck_assert_uint_gt(own.length, 0);
  ck_assert_uint_eq(own.length, text.length);
  ck_assert_mem_eq(own.bytes, text.bytes, own.length);
  close_source();
  waitpid(pid, NULL, 0);
}
END_TEST

/* A fork is in its exec, or has done it, after the scan that saw the program of its parent. */
static const struct {
  const char *change;
  bool has_left;
} execs[] = {
    {"process 40 cmdline=\"fork\\0\"", false},
    {"process 40 exe=/bin/new cmdline=\"\" startcode=0", true},
    {"process 40 exe=/bin/new cmdline=\"\" startcode=0 flags=0", true},
    {"process 40 exe=/bin/new cmdline=\"new\\0\" flags=0", true},
    {"process 40 state=Z", true},
};

START_TEST(a_fork_that_execs_after_the_scan_has_no_text_of_either_program) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct proc_writer writer = {0};
  proc_begin(&scene, NULL, 0, 0);
  proc_line(&writer, "process 40 ppid=1 comm=fork exe=/bin/fork flags=%d", PF_FORKNOEXEC);
  proc_writer_write(&writer, scene.proc);
  open_source(scene.proc);
  scan();
  proc_line(&writer, "%s", execs[_i].change);
  proc_writer_write(&writer, scene.proc);
  for (unsigned kind = DENET_TEXT_ARGUMENTS; kind <= DENET_TEXT_EXECUTABLE; kind++) {
    int outcome = source->read_text(source, find(40), kind, &text);
    ck_assert_msg((outcome != 0) == execs[_i].has_left, "%u: %d", kind, outcome);
  }
  end_scene();
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, a_stalled_read_delays_no_other_process, stalls);
  ADD_TEST(suite, a_thread_that_ran_has_its_times_read_before_its_io);
  ADD_TABLE(suite, only_wanted_files_are_read_and_of_a_process_that_has_not_run_only_memory, quiet);
  ADD_TABLE(suite, texts_of_a_fork_that_ends_after_the_scan_are_of_its_parent, endings);
  ADD_TABLE(suite, a_fork_that_execs_after_the_scan_has_no_text_of_either_program, execs);
  ADD_TEST(suite, a_process_that_sleeps_gets_its_new_parent);
}
