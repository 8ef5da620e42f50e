/* Processes that start and end between two passes: only events report them. */
#include "core/source/bpf/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/stat.h>

#define PID 4242
#define PARENT 4241
#define SECOND UINT64_C(1000000000)
#define START_NS (1000 * SECOND)
#define PID_NAMESPACE_INODE 0xEFFFFFFC /* of the host */
#define EVENTS_MOST 8

struct event {
  size_t size;
  uint64_t bytes[64];
};

/* Stands in for the kernel: this file has the functions of loader.c, which is not linked. */
static struct {
  uint64_t now_ns;
  struct denet_bpf_process listed; /* if it has a pid */
  struct denet_bpf_thread thread;  /* likewise, behind it */
  struct denet_bpf_exit exit;      /* comes while the next pass is read, if it has a pid */
  struct event events[EVENTS_MOST];
  size_t count;
  unsigned requests; /* so many requests for the final usage were made */
  unsigned refusals; /* so many of the next ones have no answer */
} kernel;

static void send(const void *event, size_t size) {
  ck_assert(kernel.count < EVENTS_MOST && size <= sizeof(kernel.events->bytes));
  memcpy(kernel.events[kernel.count].bytes, event, size);
  kernel.events[kernel.count++].size = size;
}

int denet_loader_open(struct denet_error *error, struct denet_loader **out_loader) {
  (void)error;
  *out_loader = NULL;
  return 0;
}

void denet_loader_free(struct denet_loader *loader) { (void)loader; }

int denet_loader_list(struct denet_loader *loader, uint64_t full_since_ns,
                      struct denet_buffer *records) {
  (void)loader, (void)full_since_ns;
  denet_buffer_clear(records);
  if (kernel.exit.head.pid)
    send(&kernel.exit, sizeof(kernel.exit));
  kernel.exit.head.pid = 0;
  if (kernel.listed.identity.compact.head.pid)
    ck_assert_int_eq(denet_buffer_append(records, &kernel.listed, sizeof(kernel.listed)), 0);
  if (kernel.thread.head.pid)
    ck_assert_int_eq(denet_buffer_append(records, &kernel.thread, sizeof(kernel.thread)), 0);
  return denet_buffer_reserve(records, 1);
}

int denet_loader_drain(struct denet_loader *loader,
                       int (*take)(void *context, const void *event, size_t size), void *context) {
  (void)loader;
  for (size_t i = 0; i < kernel.count; i++)
    ck_assert_int_eq(take(context, kernel.events[i].bytes, kernel.events[i].size), 0);
  kernel.count = 0;
  return 0;
}

void denet_loader_request_exit(struct denet_loader *loader, pid_t pid, uint64_t start_ns) {
  (void)loader;
  struct denet_bpf_process end = {
      .identity.compact = {.head = {DENET_BPF_FREE, (denet_u32)pid, start_ns}, .name = "job"}};
  kernel.requests++;
  if (kernel.refusals)
    kernel.refusals--;
  else
    send(&end, sizeof(end));
}

void denet_loader_set_full(struct denet_loader *loader, pid_t pid, bool is_full) {
  (void)loader, (void)pid, (void)is_full;
}

uint64_t denet_loader_lost(const struct denet_loader *loader) {
  (void)loader;
  return 0;
}

int denet_loader_event_fd(const struct denet_loader *loader) {
  (void)loader;
  return -1;
}

/* Replaces stat(2) (the linker's --wrap): the tests may run in a pid namespace of their own. */
int __wrap_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out) {
  ck_assert_str_eq(path, "/proc/self/ns/pid");
  *out = (struct stat){.st_ino = PID_NAMESPACE_INODE};
  return 0;
}

static uint64_t boot_ns(void *context) {
  (void)context;
  return kernel.now_ns;
}

static bool want_none(void *context, struct denet_process *process) {
  (void)context, (void)process;
  return false;
}

static const struct denet_env env = {
    .proc_path = "/proc", .tick_ns = SECOND / 100, .page_bytes = 4096, .boot_ns = boot_ns};

static struct denet_source *open_source(void) {
  struct denet_source *source;
  struct denet_error error = {0};
  memset(&kernel, 0, sizeof(kernel));
  kernel.now_ns = START_NS;
  ck_assert_msg(denet_bpf_open(&env, &error, &source) == 0, "%s", error.text);
  return source;
}

/* Makes a pass and returns how many processes are gone in it. */
static size_t pass_at(struct denet_source *source, struct denet_process_table *table,
                      uint64_t now_ns) {
  struct denet_error error = {0};
  kernel.now_ns = now_ns;
  ck_assert_msg(source->scan(source, table, &error) == 0, "%s", error.text);
  return table->gone_count;
}

/* Sends the fork and the exec of a process that starts now, and returns an exit for it. */
static struct denet_bpf_exit start_process(void) {
  struct denet_bpf_head head = {DENET_BPF_FORK, PID, kernel.now_ns};
  struct denet_bpf_fork fork = {.head = head, .parent_pid = PARENT};
  struct denet_bpf_texts texts = {.head = head, .name = "job"};
  texts.head.kind = DENET_BPF_TEXTS;
  send(&fork, sizeof(fork));
  send(&texts, sizeof(texts));
  head.kind = DENET_BPF_EXIT;
  return (struct denet_bpf_exit){.head = head, .exit_ns = kernel.now_ns};
}

/* How a process starts and ends between two passes. */
static const struct {
  const char *how;
  uint64_t apart_ns;       /* the passes */
  bool exits_while_listed; /* it exits when the next pass has started, and is not listed */
  unsigned refusals;
} lives[] = {
    {"the passes are near each other", 10 * SECOND, false, 0},
    {"the passes are far from each other", 40 * SECOND, false, 0},
    {"it exits while the pass is read", 40 * SECOND, true, 0},
    {"its final usage comes later", 40 * SECOND, false, 1},
};

START_TEST(process_between_two_passes_is_listed_however_far_apart_they_are) {
  DENET_CLEANUP(denet_process_table_done) struct denet_process_table table = {0};
  struct denet_source *source = open_source();
  uint64_t apart_ns = lives[_i].apart_ns;
  pass_at(source, &table, START_NS);
  kernel.now_ns += apart_ns / 2;
  struct denet_bpf_exit exit = start_process();
  if (!lives[_i].exits_while_listed)
    send(&exit, sizeof(exit));
  source->drain_events(source, want_none, NULL);
  if (lives[_i].exits_while_listed) {
    kernel.exit = exit;
    kernel.exit.exit_ns = START_NS + apart_ns + 1;
  }
  kernel.refusals = lives[_i].refusals;
  size_t gone = pass_at(source, &table, START_NS + apart_ns);
  if (!gone)
    gone = pass_at(source, &table, START_NS + 2 * apart_ns);
  ck_assert_msg(gone == 1, "%s: it is not listed", lives[_i].how);
  ck_assert_int_eq(table.gone[0]->parent_pid, PARENT);
  ck_assert_uint_eq(source->lost, 0);
  denet_source_free(source);
}
END_TEST

START_TEST(process_without_final_usage_counts_as_lost) {
  DENET_CLEANUP(denet_process_table_done) struct denet_process_table table = {0};
  struct denet_source *source = open_source();
  pass_at(source, &table, START_NS);
  struct denet_bpf_exit exit = start_process();
  send(&exit, sizeof(exit));
  kernel.refusals = UINT32_MAX;
  for (uint64_t i = 1; i < 10; i++)
    ck_assert_uint_eq(pass_at(source, &table, START_NS + i * 10 * SECOND), 0);
  ck_assert_uint_eq(source->lost, 1);
  denet_source_free(source);
}
END_TEST

/* Without a request the kernel keeps the task. */
START_TEST(final_usage_of_a_zombie_that_was_given_up_is_requested) {
  DENET_CLEANUP(denet_process_table_done) struct denet_process_table table = {0};
  struct denet_source *source = open_source();
  kernel.listed.identity = (struct denet_bpf_identity){
      .compact = {.head = {DENET_BPF_PROCESS, PID, START_NS - SECOND}, .name = "job"},
      .state = DENET_BPF_ZOMBIE,
      .threads = 1};
  ck_assert_uint_eq(pass_at(source, &table, START_NS), 0);
  kernel.listed.identity.compact.head.pid = 0;
  kernel.refusals = 1;
  ck_assert_uint_eq(pass_at(source, &table, START_NS + SECOND), 1);
  ck_assert_uint_eq(kernel.requests, 1);
  ck_assert_uint_eq(pass_at(source, &table, START_NS + 2 * SECOND), 0);
  ck_assert_uint_eq(kernel.requests, 2);
  for (uint64_t i = 3; i < 60; i++)
    ck_assert_uint_eq(pass_at(source, &table, START_NS + i * SECOND), 0);
  ck_assert_uint_eq(kernel.requests, 2); /* the second one had an answer */
  ck_assert_uint_eq(source->lost, 0);
  denet_source_free(source);
}
END_TEST

/* Passes of a process with one thread beside the main one: what it had when it was listed. */
static const struct {
  denet_u32 threads[3];
  denet_u64 run_ns[3], taken_ns[3];
} sums[] = {
    {{2, 2, 2}, {10, 20, 30}, {15, 25, 35}},
    /* The thread had exited when the process was listed: its usage is in the sum twice. */
    {{2, 1, 2}, {10, 20, 30}, {15, 15, 35}},
    {{1, 2, 1}, {10, 20, 30}, {15, 25, 25}},
};

START_TEST(sum_that_has_a_thread_twice_is_taken_only_if_there_are_no_values) {
  DENET_CLEANUP(denet_process_table_done) struct denet_process_table table = {0};
  struct denet_source *source = open_source();
  struct denet_metric_set none = {0};
  kernel.listed.identity.compact.head =
      (struct denet_bpf_head){DENET_BPF_PROCESS, PID, START_NS - SECOND};
  kernel.thread = (struct denet_bpf_thread){.head = {DENET_BPF_THREAD, PID, 0}, .usage.run_ns = 5};
  for (uint64_t i = 0; i < 3; i++) {
    kernel.listed.identity.threads = sums[_i].threads[i];
    kernel.listed.usage.run_ns = sums[_i].run_ns[i];
    pass_at(source, &table, START_NS + i * SECOND);
    struct denet_process *process = denet_process_table_find(&table, PID);
    ck_assert(process && denet_process_use(process));
    source->measure(source, process, &none, i == 0);
    ck_assert_uint_eq(denet_values_cpu_ns(&process->usage->now), sums[_i].taken_ns[i]);
  }
  denet_source_free(source);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, process_between_two_passes_is_listed_however_far_apart_they_are, lives);
  ADD_TABLE(suite, sum_that_has_a_thread_twice_is_taken_only_if_there_are_no_values, sums);
  ADD_TEST(suite, process_without_final_usage_counts_as_lost);
  ADD_TEST(suite, final_usage_of_a_zombie_that_was_given_up_is_requested);
}
