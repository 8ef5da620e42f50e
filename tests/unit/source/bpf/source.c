/* Passes: what the records of threads add to their processes, processes that start and end between
 * two passes, which only events report, and whether the text of a process comes from the event of
 * its exec or from /proc. */
#include "core/source/bpf/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
  struct denet_buffer records; /* of all tasks */
  int list_failure;            /* of the list, which has half of the records then; or 0 */
  struct denet_bpf_exit exit;  /* comes while the next pass is read, if it has a pid */
  struct event events[EVENTS_MOST];
  size_t count;
  unsigned requests; /* so many requests for the final usage were made */
  unsigned refusals; /* so many of the next ones have no answer */
  bool is_old;       /* it takes no requests */
  int (*take)(void *context, void *event, size_t size);
  void *context;
} kernel;

static void send(const void *event, size_t size) {
  ck_assert(kernel.count < EVENTS_MOST && size <= sizeof(kernel.events->bytes));
  memcpy(kernel.events[kernel.count].bytes, event, size);
  kernel.events[kernel.count++].size = size;
}

int denet_loader_open(int (*take)(void *context, void *event, size_t size), void *context,
                      struct denet_error *error, struct denet_loader **out_loader) {
  kernel.take = take;
  kernel.context = context;
  *out_loader = NULL;
  return 0;
}

void denet_loader_free(struct denet_loader *loader) {}

int denet_loader_list(struct denet_loader *loader, uint64_t full_since_ns,
                      struct denet_buffer *records) {
  denet_buffer_clear(records);
  if (kernel.exit.head.pid)
    send(&kernel.exit, sizeof(kernel.exit));
  kernel.exit.head.pid = 0;
  size_t length = kernel.records.length / (kernel.list_failure ? 2 : 1);
  ck_assert_int_eq(denet_buffer_append(records, kernel.records.bytes, length), 0);
  return kernel.list_failure;
}

void denet_loader_drain(struct denet_loader *loader) {
  for (size_t i = 0; i < kernel.count; i++)
    ck_assert_int_eq(kernel.take(kernel.context, kernel.events[i].bytes, kernel.events[i].size), 0);
  kernel.count = 0;
}

bool denet_loader_request_exit(struct denet_loader *loader, pid_t pid, uint64_t start_ns) {
  struct denet_bpf_process end = {
      .identity.compact = {.head = {DENET_BPF_FREE, (denet_u32)pid, start_ns}, .name = "job"}};
  kernel.requests++;
  if (kernel.refusals)
    kernel.refusals--;
  else
    send(&end, sizeof(end));
  return !kernel.is_old;
}

void denet_loader_set_full(struct denet_loader *loader, pid_t pid, bool is_full) {}

uint64_t denet_loader_lost(const struct denet_loader *loader) { return 0; }

int denet_loader_event_fd(const struct denet_loader *loader) { return -1; }

/* Replaces stat(2) (the linker's --wrap): the tests may run in a pid namespace of their own. */
int __wrap_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out) {
  ck_assert_str_eq(path, "/proc/self/ns/pid");
  *out = (struct stat){.st_ino = PID_NAMESPACE_INODE};
  return 0;
}

static uint64_t boot_ns(void *context) { return kernel.now_ns; }

static bool want_none(void *context, struct denet_process *process) { return false; }

static const struct denet_env env = {
    .proc_path = "/proc", .tick_ns = SECOND / 100, .page_bytes = 4096, .boot_ns = boot_ns};

static struct denet_source *source;
static struct denet_process_table table;

static void begin(void) {
  struct denet_error error = {0};
  kernel.now_ns = START_NS;
  ck_assert_msg(denet_bpf_open(&env, &error, &source) == 0, "%s", error.text);
}

static void end_scene(void) {
  denet_source_free(source);
  denet_process_table_done(&table);
  denet_buffer_done(&kernel.records);
}

static void list(const void *record, size_t size) {
  ck_assert_int_eq(denet_buffer_append(&kernel.records, record, size), 0);
}

static struct denet_bpf_process make_process(denet_u32 pid) {
  return (struct denet_bpf_process){
      .identity = {.compact = {.head = {DENET_BPF_PROCESS, pid, START_NS - SECOND}, .name = "job"},
                   .threads = 3}};
}

/* Makes a pass and returns how many processes are gone in it. */
static size_t pass_at(uint64_t now_ns) {
  struct denet_error error = {0};
  kernel.now_ns = now_ns;
  ck_assert_msg(source->scan(source, &table, &error) == 0, "%s", error.text);
  return table.gone_count;
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
  uint64_t apart_ns = lives[_i].apart_ns;
  pass_at(START_NS);
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
  size_t gone = pass_at(START_NS + apart_ns);
  if (!gone)
    gone = pass_at(START_NS + 2 * apart_ns);
  ck_assert_msg(gone == 1, "%s: it is not listed", lives[_i].how);
  ck_assert_int_eq(table.gone[0]->parent_pid, PARENT);
  ck_assert_uint_eq(source->lost, 0);
}
END_TEST

START_TEST(process_without_final_usage_counts_as_lost) {
  pass_at(START_NS);
  struct denet_bpf_exit exit = start_process();
  send(&exit, sizeof(exit));
  kernel.refusals = UINT32_MAX;
  for (uint64_t i = 1; i < 10; i++)
    ck_assert_uint_eq(pass_at(START_NS + i * 10 * SECOND), 0);
  ck_assert_uint_eq(source->lost, 1);
}
END_TEST

static const bool listings[][2] = {{true, true}, {true, false}, {false, true}}; /* pid 1, itself */

START_TEST(pass_that_leaves_out_a_process_that_is_there_is_noticed) {
  const denet_u32 pids[] = {1, (denet_u32)getpid()};
  for (size_t i = 0; i < 2; i++) {
    struct denet_bpf_process process = make_process(pids[i]);
    if (listings[_i][i])
      list(&process, sizeof(process));
  }
  pass_at(START_NS);
  bool is_noticed = source->seen_unavailable & DENET_UNAVAILABLE_TASKS;
  ck_assert_int_eq(is_noticed, !(listings[_i][0] && listings[_i][1]));
}
END_TEST

/* Without a request the kernel keeps the task. */
START_TEST(final_usage_of_a_zombie_that_was_given_up_is_requested) {
  struct denet_bpf_process zombie = make_process(PID);
  zombie.identity.state = DENET_BPF_ZOMBIE;
  zombie.identity.threads = 1;
  list(&zombie, sizeof(zombie));
  ck_assert_uint_eq(pass_at(START_NS), 0);
  denet_buffer_clear(&kernel.records);
  kernel.refusals = 1;
  ck_assert_uint_eq(pass_at(START_NS + SECOND), 1);
  ck_assert_uint_eq(kernel.requests, 1);
  ck_assert_uint_eq(pass_at(START_NS + 2 * SECOND), 0);
  ck_assert_uint_eq(kernel.requests, 2);
  for (uint64_t i = 3; i < 60; i++)
    ck_assert_uint_eq(pass_at(START_NS + i * SECOND), 0);
  ck_assert_uint_eq(kernel.requests, 2); /* the second one had an answer */
  ck_assert_uint_eq(source->lost, 0);
}
END_TEST

/* --- Threads --- */

#define COUNTERS (sizeof(struct denet_bpf_usage) / sizeof(denet_u64))

/* Returns a usage with another number in each counter. */
static struct denet_bpf_usage make_usage(denet_u64 n) {
  denet_u64 counters[COUNTERS] = {0};
  struct denet_bpf_usage usage;
  for (size_t i = 0; i < COUNTERS; i++)
    counters[i] = (i + 7) * n;
  memcpy(&usage, counters, sizeof(usage));
  return usage;
}

static void list_thread(denet_u32 pid, const struct denet_bpf_thread *values) {
  struct denet_bpf_thread thread = *values;
  thread.head = (struct denet_bpf_head){DENET_BPF_THREAD, pid, 0};
  list(&thread, sizeof(thread));
}

static const struct denet_bpf_process *find_record(pid_t pid) {
  const struct denet_process *process = denet_process_table_find(&table, pid);
  return process ? denet_bpf_source_record((struct denet_bpf_source *)source, process) : NULL;
}

/* Records in the order of the iterator. Capital letters are processes, small ones their threads. */
static const struct {
  const char *records;
  denet_u64 n[3]; /* sum of the usages; 0: not listed */
} orders[] = {
    {"A", {1, 0, 0}},
    {"ABC", {1, 1, 1}},
    {"Aa", {3, 0, 0}},
    {"aA", {3, 0, 0}},
    {"aaAaa", {9, 0, 0}},
    {"AaBbCc", {3, 3, 3}},
    {"abcABC", {3, 3, 3}},
    {"ABCcba", {3, 3, 3}},
    {"AbBacCbb", {3, 7, 3}},
    /* Threads of processes without a full record, or without a record. */
    {"aBb", {0, 3, 0}},
    {"AcaBb", {3, 3, 0}},
    {"AzaBz", {3, 1, 0}},
};

/* Each of two passes lists the tasks anew, and a third one has compact records only. */
START_TEST(usage_of_threads_is_added_to_their_processes_in_any_order) {
  const struct denet_bpf_thread thread = {.usage = make_usage(2)};
  for (const char *letter = orders[_i].records; *letter; letter++) {
    struct denet_bpf_process process = make_process((denet_u32)(*letter & 31) * 10);
    process.usage = make_usage(1);
    if (*letter >= 'a')
      list_thread(process.identity.compact.head.pid, &thread);
    else
      list(&process, sizeof(process));
  }
  for (uint64_t pass = 0; pass < 3; pass++) {
    if (pass == 2)
      denet_buffer_clear(&kernel.records);
    for (denet_u32 pid = 10; pass == 2 && pid <= 30; pid += 10) {
      struct denet_bpf_compact compact = make_process(pid).identity.compact;
      compact.head.kind = DENET_BPF_COMPACT;
      list(&compact, sizeof(compact));
    }
    pass_at(START_NS + pass * SECOND);
    for (int i = 0; i < 3; i++) {
      const struct denet_bpf_process *record = find_record((i + 1) * 10);
      struct denet_bpf_usage expected = make_usage(orders[_i].n[i]);
      ck_assert_int_eq(record != NULL, pass < 2 && orders[_i].n[i] != 0);
      ck_assert(!record || !memcmp(&record->usage, &expected, sizeof(expected)));
    }
  }
}
END_TEST

START_TEST(records_are_those_of_the_pass_whether_a_list_fails_or_not) {
  struct denet_bpf_process one = make_process(10), other = make_process(20);
  struct denet_error error = {0};
  one.usage = make_usage(1);
  list(&one, sizeof(one));
  list(&other, sizeof(other));
  pass_at(START_NS);
  denet_buffer_clear(&kernel.records);
  list(&one, sizeof(one));
  other.identity.compact.head.kind = DENET_BPF_COMPACT;
  list(&other.identity.compact, sizeof(other.identity.compact));
  pass_at(START_NS + SECOND);
  kernel.list_failure = -EMFILE;
  denet_bpf_source_list_in_full((struct denet_bpf_source *)source,
                                denet_process_table_find(&table, 20));
  ck_assert_ptr_nonnull(find_record(10));
  ck_assert_mem_eq(&find_record(10)->usage, &one.usage, sizeof(one.usage));
  ck_assert_int_eq(source->scan(source, &table, &error), -EMFILE);
  ck_assert_ptr_null(find_record(10));
  kernel.list_failure = 0;
}
END_TEST

/* Memory and state: of the main thread, of two others, and of the process. */
struct part {
  denet_u64 rss_pages, vm_pages;
  denet_u32 state;
};
#define ON_CPU DENET_BPF_ON_CPU
#define NO_MM DENET_BPF_NO_MM
#define REAPED DENET_BPF_HAS_REAPED

static const struct part parts[][4] = {
    {{5, 50, 0}, {0, 0, 0}, {0, 0, 0}, {5, 50, 0}},
    {{5, 50, 0}, {4, 40, 0}, {4, 40, 0}, {5, 50, 0}},
    {{0, 50, 0}, {0, 0, 0}, {0, 0, 0}, {0, 50, 0}},
    {{0, 0, 0}, {7, 70, 0}, {7, 70, 0}, {7, 70, 0}},
    {{0, 0, NO_MM}, {7, 70, ON_CPU}, {0, 0, 0}, {7, 70, NO_MM | ON_CPU}},
    {{0, 0, NO_MM}, {0, 0, 0}, {7, 70, 0}, {7, 70, NO_MM}},
    {{0, 0, NO_MM | REAPED}, {0, 0, 0}, {0, 0, 0}, {0, 0, NO_MM | REAPED}},
    {{5, 50, ON_CPU}, {0, 0, 0}, {0, 0, 0}, {5, 50, ON_CPU}},
    {{5, 50, 0}, {0, 0, 0}, {0, 0, ON_CPU}, {5, 50, ON_CPU}},
    {{5, 50, ON_CPU}, {0, 0, ON_CPU}, {0, 0, 0}, {5, 50, ON_CPU}},
};

START_TEST(memory_is_that_of_the_main_thread_or_of_another_one_and_any_thread_may_be_on_a_cpu) {
  struct denet_bpf_process process = make_process(PID);
  process.rss_pages = parts[_i][0].rss_pages;
  process.vm_pages = parts[_i][0].vm_pages;
  process.identity.state = parts[_i][0].state;
  list(&process, sizeof(process));
  for (size_t i = 1; i < 3; i++)
    list_thread(PID, &(struct denet_bpf_thread){.rss_pages = parts[_i][i].rss_pages,
                                                .vm_pages = parts[_i][i].vm_pages,
                                                .state = parts[_i][i].state});
  pass_at(START_NS);
  const struct denet_bpf_process *record = find_record(PID);
  ck_assert_uint_eq(record->rss_pages, parts[_i][3].rss_pages);
  ck_assert_uint_eq(record->vm_pages, parts[_i][3].vm_pages);
  ck_assert_uint_eq(record->identity.state, parts[_i][3].state);
}
END_TEST

/* Passes of a process with one thread beside the main one: what it had when it was listed. */
static const struct {
  denet_u32 threads[3];
  denet_u64 run_ns[3], taken_ns[3];
} sums[] = {
    {{2, 2, 3}, {10, 20, 30}, {15, 25, 35}},
    /* The thread had exited when the process was listed: its usage is in the sum twice. */
    {{2, 1, 2}, {10, 20, 30}, {15, 15, 35}},
    {{1, 2, 1}, {10, 20, 30}, {15, 25, 25}},
};

START_TEST(sum_that_has_a_thread_twice_is_taken_only_if_there_are_no_values) {
  const struct denet_bpf_thread thread = {.usage.run_ns = 5};
  for (uint64_t i = 0; i < 3; i++) {
    struct denet_bpf_process listed = make_process(PID);
    listed.identity.threads = sums[_i].threads[i];
    listed.usage.run_ns = sums[_i].run_ns[i];
    denet_buffer_clear(&kernel.records);
    list(&listed, sizeof(listed));
    list_thread(PID, &thread);
    pass_at(START_NS + i * SECOND);
    struct denet_process *process = denet_process_table_find(&table, PID);
    ck_assert(process && denet_process_use(process));
    source->measure(source, process, &(struct denet_metric_set){0}, i == 0);
    ck_assert_uint_eq(denet_values_cpu_ns(&process->usage->now), sums[_i].taken_ns[i]);
  }
}
END_TEST

/* --- Texts --- */

#define EXEC 3
#define OPENED (START_NS - 100 * SECOND)
#define YOUNG (START_NS - SECOND / 100)
#define OLD (OPENED - SECOND)

/* When the event of an exec comes: during the read of /proc. */
enum { NEVER, BEFORE, DURING };

/* When the process exec'd: not since its birth, in this pass, in an earlier one. */
enum { UNSEEN, SEEN, LONG };
enum { GONE = DENET_GONE, LATER = DENET_LATER };
static const uint64_t execs_ns[] = {0, START_NS, START_NS - 5 * SECOND};

/* One read of a process's arguments. */
static const struct {
  const char *what;
  uint64_t born_ns;
  int execd;
  const char *proc; /* the arguments in /proc */
  int outcome;      /* of reading those */
  int event;        /* when the event comes, with this text */
  uint64_t event_exec;
  const char *text;
  bool exits;        /* while /proc is read */
  int expected;      /* outcome; GONE: as if the process were gone */
  const char *taken; /* NULL: none */
} reads[] = {
    {"event before", YOUNG, UNSEEN, "other", 0, BEFORE, EXEC, "a 7", 0, 0, "a 7"},
    {"event before, /proc stalls", YOUNG, UNSEEN, "", LATER, BEFORE, EXEC, "a 7", 0, 0, "a 7"},
    {"in its exec, event during it", YOUNG, UNSEEN, "", 0, DURING, EXEC, "a 7", 0, 0, "a 7"},
    {"/proc stalls, event during it", YOUNG, UNSEEN, "", LATER, DURING, EXEC, "a 7", 0, 0, "a 7"},
    {"no memory, event during it", YOUNG, UNSEEN, "", -ENOMEM, DURING, EXEC, "a 7", 0, 0, "a 7"},
    {"event during it", YOUNG, UNSEEN, "a 7", 0, DURING, EXEC, "a 7", 0, 0, "a 7"},
    {"in its exec, no event yet", YOUNG, UNSEEN, "", 0, NEVER, 0, "", 0, GONE, NULL},
    {"no event yet", YOUNG, UNSEEN, "a 7", 0, NEVER, 0, "", 0, GONE, NULL},
    {"old", OLD, UNSEEN, "a 7", 0, NEVER, 0, "", 0, 0, "a 7"},
    {"old, has cleared its title", OLD, UNSEEN, "", 0, NEVER, 0, "", 0, 0, ""},
    {"old, in its exec", OLD, SEEN, "", 0, NEVER, 0, "", 0, GONE, NULL},
    {"old, execs, event during it", OLD, SEEN, "", 0, DURING, EXEC, "a 7", 0, 0, "a 7"},
    {"the event of its exec was lost", OLD, LONG, "a 7", 0, NEVER, 0, "", 0, 0, "a 7"},
    {"event of an old exec, none of this one", OLD, LONG, "a 7", 0, BEFORE, EXEC - 1, "shell", 0, 0,
     "a 7"},
    {"event of an old exec, none of this one yet", OLD, SEEN, "", 0, BEFORE, EXEC - 1, "shell", 0,
     GONE, NULL},
    {"execs the next program", OLD, UNSEEN, "next", 0, DURING, EXEC + 1, "next", 0, GONE, NULL},
    {"exits", OLD, UNSEEN, "", 0, NEVER, 0, "", 1, GONE, NULL},
    {"exits, event during it", YOUNG, UNSEEN, "", 0, DURING, EXEC, "a 7", 1, 0, "a 7"},
    {"vanishes, event during it", YOUNG, UNSEEN, "", GONE, DURING, EXEC, "a 7", 1, 0, "a 7"},
    {"empty event", YOUNG, UNSEEN, "a 7", 0, BEFORE, EXEC, "", 0, 0, "a 7"},
    {"empty event, gone from /proc", YOUNG, UNSEEN, "", GONE, BEFORE, EXEC, "", 1, 0, ""},
    {"empty event, /proc stalls", YOUNG, UNSEEN, "", LATER, BEFORE, EXEC, "", 0, LATER, NULL},
    {"empty event, no descriptor", YOUNG, UNSEEN, "", -EMFILE, BEFORE, EXEC, "", 0, -EMFILE, NULL},
};

static int row;

static void send_texts(denet_u32 pid) {
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, pid, reads[row].born_ns},
                                  .exec_id = reads[row].event_exec,
                                  .argument_bytes = (denet_u32)strlen(reads[row].text)};
  char event[128];
  memcpy(event, &texts, sizeof(texts));
  strcpy(event + sizeof(texts), reads[row].text);
  send(event, sizeof(texts) + texts.argument_bytes);
}

/* Replaces that of /proc. Meanwhile events come, as the row says. */
static int read_proc(struct denet_source *procfs, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_bpf_exit exit = {.head = {DENET_BPF_EXIT, PID, reads[row].born_ns}};
  ck_assert_int_eq(kind, DENET_TEXT_ARGUMENTS);
  if (reads[row].event == DURING)
    send_texts(PID);
  if (reads[row].exits)
    send(&exit, sizeof(exit));
  denet_buffer_clear(out);
  ck_assert_int_eq(denet_buffer_append_string(out, reads[row].proc), 0);
  return reads[row].outcome;
}

START_TEST(arguments_are_those_of_the_program_in_the_pass) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  struct denet_process process = {.pid = PID,
                                  .parent_pid = PARENT,
                                  .born_ns = reads[_i].born_ns,
                                  .exec_stamp = EXEC,
                                  .execd = true,
                                  .notes.bpf.execd_ns = execs_ns[reads[_i].execd]};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  bpf->procfs->source.read_text = read_proc;
  bpf->opened_ns = OPENED;
  bpf->begun_ns = START_NS;
  if (reads[_i].event == BEFORE)
    send_texts(PID);
  denet_loader_drain(NULL);
  int outcome = source->read_text(source, &process, DENET_TEXT_ARGUMENTS, &text);
  ck_assert_msg(outcome == reads[_i].expected, "%s: %d", reads[_i].what, outcome);
  if (reads[_i].taken)
    ck_assert_msg(strcmp(denet_buffer_text(&text).bytes, reads[_i].taken) == 0, "%s: \"%s\"",
                  reads[_i].what, denet_buffer_text(&text).bytes);
}
END_TEST

/* A program and its fork end without an event of their texts. In which of the passes does the final
 * usage of each come? Pass 1 may list the program; the fork is made after that. */
static const struct {
  const char *what;
  bool is_listed;
  int program_pass, fork_pass;
  bool is_old;
} ends[] = {
    {"both in one pass", false, 2, 2, false},
    {"the fork first", false, 3, 2, false},
    {"the program first", false, 2, 3, false},
    {"both in one pass, program listed", true, 2, 2, false},
    {"the program first, and listed", true, 2, 3, false},
    {"the program first, of an old kernel", false, 2, 3, true},
    {"the program first, and listed, of an old kernel", true, 2, 3, true},
};

static void send_fork(denet_u32 pid, denet_u64 start_ns, denet_u32 parent_pid) {
  struct denet_bpf_fork fork = {{DENET_BPF_FORK, pid, start_ns}, parent_pid, 0};
  send(&fork, sizeof(fork));
}

static void send_exit(const struct denet_bpf_process *process, uint64_t exit_ns) {
  struct denet_bpf_exit exit = {.head = process->identity.compact.head, .exit_ns = exit_ns};
  exit.head.kind = DENET_BPF_EXIT;
  send(&exit, sizeof(exit));
}

static void send_final(struct denet_bpf_process process) {
  process.identity.compact.head.kind = DENET_BPF_FREE;
  send(&process, sizeof(process));
}

START_TEST(texts_of_a_fork_that_ends_with_its_parent_are_those_of_the_parent) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  struct denet_bpf_process program = make_process(PARENT), fork = make_process(PID);
  program.identity.compact.head.start_ns = reads[0].born_ns;
  program.identity.compact.exec_id = fork.identity.compact.exec_id = EXEC;
  fork.identity.compact.head.start_ns = START_NS;
  fork.identity.flags = PF_FORKNOEXEC;
  row = 0;
  ((struct denet_bpf_source *)source)->opened_ns = OPENED;
  pass_at(START_NS - SECOND);
  send_fork(PARENT, reads[0].born_ns, 1);
  send_texts(PARENT);
  if (ends[_i].is_listed)
    list(&program, sizeof(program));
  pass_at(START_NS);
  denet_buffer_clear(&kernel.records);
  for (size_t i = 0; i < table.count; i++)
    table.processes[i]->changed = false; /* it has been matched */
  kernel.refusals = UINT32_MAX;
  kernel.is_old = ends[_i].is_old;
  send_fork(PID, START_NS, PARENT);
  send_exit(&fork, START_NS);
  send_exit(&program, START_NS + 1);
  struct denet_process *gone = NULL;
  for (int pass = 2; pass <= 3 && !gone; pass++) {
    if (pass == ends[_i].program_pass)
      send_final(program);
    if (pass == ends[_i].fork_pass)
      send_final(fork);
    pass_at(START_NS + (uint64_t)pass * SECOND);
    gone = denet_process_table_find_gone(&table, PID, START_NS);
  }
  ck_assert_ptr_nonnull(gone);
  /* The fork joins the trees of its parent, so it waits for it. */
  bool has_parent = denet_process_table_find_parent(&table, gone) != NULL;
  ck_assert_int_eq(has_parent, ends[_i].is_old || ends[_i].program_pass >= ends[_i].fork_pass);
  int outcome = denet_source_read_text(source, gone, DENET_TEXT_ARGUMENTS, &text);
  ck_assert_msg(outcome == 0, "%s: %d", ends[_i].what, outcome);
  ck_assert_str_eq(denet_buffer_text(&text).bytes, reads[0].text);
}
END_TEST

/* Records behind each other; the last row is none, as it is unknown or cut. */
static const struct {
  struct {
    denet_u32 kind;
    size_t size;
  } records[4];
  size_t count; /* of those that are whole */
} lists[] = {
    {{{0, 0}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_process)},
      {DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)},
      {DENET_BPF_THREAD, sizeof(struct denet_bpf_thread)}},
     3},
    {{{DENET_BPF_COMPACT, 1}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_head) - 1}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact) - 1}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_identity)}}, 0},
    {{{DENET_BPF_PROCESS, sizeof(struct denet_bpf_process) - 1}}, 0},
    {{{DENET_BPF_THREAD, sizeof(struct denet_bpf_head)}}, 0},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)},
      {DENET_BPF_THREAD, sizeof(struct denet_bpf_thread) - 1}},
     1},
    {{{DENET_BPF_COMPACT, sizeof(struct denet_bpf_compact)}, {0, 256}}, 1},
    {{{DENET_BPF_FORK, 256}}, 0},
    {{{DENET_BPF_TEXTS, 256}}, 0},
    {{{DENET_BPF_EXIT, 256}}, 0},
    {{{DENET_BPF_FREE, 256}}, 0},
    {{{DENET_BPF_FREE + 1, 256}}, 0},
    {{{UINT32_MAX, 256}}, 0},
};

START_TEST(records_follow_each_other_up_to_a_malformed_one) {
  size_t length = 0, offset = 0, end = 0;
  char bytes[1024] = {0};
  for (denet_u32 i = 0; i < 4; i++) {
    struct denet_bpf_head head = {lists[_i].records[i].kind, i, 0};
    memcpy(bytes + length, &head, sizeof(head));
    length += lists[_i].records[i].size;
  }
  /* Of exactly this size: a sanitizer reports a read behind it. */
  struct denet_buffer records = {length ? malloc(length) : NULL, length, 0};
  if (length)
    memcpy(records.bytes, bytes, length);
  for (size_t i = 0; i < lists[_i].count; i++) {
    const struct denet_bpf_head *head = denet_bpf_source_next_task(&records, &offset);
    ck_assert(head && head->kind == lists[_i].records[i].kind && head->pid == i);
    end += lists[_i].records[i].size;
  }
  ck_assert_ptr_null(denet_bpf_source_next_task(&records, &offset));
  ck_assert_uint_eq(offset, end);
  denet_buffer_done(&records);
}
END_TEST

START_TEST(uid_of_a_process_that_is_gone_is_not_that_of_an_older_record) {
  struct denet_process process = {.pid = INT32_MAX, .born_ns = START_NS, .notes.bpf.uid = 7};
  uid_t uid = 1;
  ck_assert_int_eq(source->read_uid(source, &process, &uid), DENET_GONE);
  ck_assert_uint_eq(uid, 1);
}
END_TEST

START_TEST(living_child_of_a_parent_that_has_exited_is_listed_together_with_it) {
  struct denet_bpf_process parent = make_process(PARENT), child = make_process(PID);
  parent.identity.compact.head.start_ns = START_NS;
  child.identity.compact.head.start_ns = START_NS + 1;
  kernel.is_old = true;
  kernel.refusals = UINT32_MAX;
  pass_at(START_NS);
  send_fork(PARENT, START_NS, 1);
  send_fork(PID, START_NS + 1, PARENT);
  send_exit(&parent, START_NS + 2);
  list(&child, sizeof(child));
  pass_at(START_NS + SECOND);
  ck_assert_ptr_null(denet_process_table_find(&table, PID));
  send_final(parent);
  pass_at(START_NS + 2 * SECOND);
  const struct denet_process *listed = denet_process_table_find(&table, PID);
  ck_assert_ptr_nonnull(listed);
  ck_assert_ptr_nonnull(denet_process_table_find_parent(&table, listed));
}
END_TEST

static void add(Suite *suite, const TTest *test, int rows) {
  tcase_add_checked_fixture(add_loop_case(suite, test->name, test, rows), begin, end_scene);
}

void add_cases(Suite *suite) {
  ADD_TABLE(suite, records_follow_each_other_up_to_a_malformed_one, lists);
  add(suite, process_between_two_passes_is_listed_however_far_apart_they_are,
      DENET_COUNT_OF(lives));
  add(suite, arguments_are_those_of_the_program_in_the_pass, DENET_COUNT_OF(reads));
  add(suite, texts_of_a_fork_that_ends_with_its_parent_are_those_of_the_parent,
      DENET_COUNT_OF(ends));
  add(suite, uid_of_a_process_that_is_gone_is_not_that_of_an_older_record, 1);
  add(suite, living_child_of_a_parent_that_has_exited_is_listed_together_with_it, 1);
  add(suite, process_without_final_usage_counts_as_lost, 1);
  add(suite, pass_that_leaves_out_a_process_that_is_there_is_noticed, DENET_COUNT_OF(listings));
  add(suite, final_usage_of_a_zombie_that_was_given_up_is_requested, 1);
  add(suite, usage_of_threads_is_added_to_their_processes_in_any_order, DENET_COUNT_OF(orders));
  add(suite, records_are_those_of_the_pass_whether_a_list_fails_or_not, 1);
  add(suite, memory_is_that_of_the_main_thread_or_of_another_one_and_any_thread_may_be_on_a_cpu,
      DENET_COUNT_OF(parts));
  add(suite, sum_that_has_a_thread_twice_is_taken_only_if_there_are_no_values,
      DENET_COUNT_OF(sums));
}
