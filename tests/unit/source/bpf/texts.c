/* Where the text of a process comes from: from the event of its exec, or from /proc. */
#include "core/source/bpf/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

enum { PID = 77, PARENT = 76, EXEC = 3 };

#define SECOND UINT64_C(1000000000)
#define OPENED_NS (100 * SECOND)
#define NOW_NS (200 * SECOND)
#define YOUNG_NS (NOW_NS - SECOND / 100)
#define OLD_NS (OPENED_NS - SECOND)

/* When the event of an exec comes. */
enum { NEVER, BEFORE, MEANWHILE };

/* When the process exec'd: not since its birth, in this pass, in an earlier one. */
enum { UNSEEN, SEEN, LONG_AGO };
static const uint64_t execs_ns[] = {0, NOW_NS, NOW_NS - 5 * SECOND};

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
  int expected;      /* outcome; DENET_GONE: as if the process were gone */
  const char *taken; /* NULL: none */
} reads[] = {
    {"event before", YOUNG_NS, UNSEEN, "other", 0, BEFORE, EXEC, "job 7", false, 0, "job 7"},
    {"event before, /proc stalls", YOUNG_NS, UNSEEN, "", DENET_LATER, BEFORE, EXEC, "job 7", false,
     0, "job 7"},
    {"in its exec, event meanwhile", YOUNG_NS, UNSEEN, "", 0, MEANWHILE, EXEC, "job 7", false, 0,
     "job 7"},
    {"/proc stalls, event meanwhile", YOUNG_NS, UNSEEN, "", DENET_LATER, MEANWHILE, EXEC, "job 7",
     false, 0, "job 7"},
    {"no memory, event meanwhile", YOUNG_NS, UNSEEN, "", -ENOMEM, MEANWHILE, EXEC, "job 7", false,
     0, "job 7"},
    {"event meanwhile", YOUNG_NS, UNSEEN, "job 7", 0, MEANWHILE, EXEC, "job 7", false, 0, "job 7"},
    {"in its exec, no event yet", YOUNG_NS, UNSEEN, "", 0, NEVER, 0, "", false, DENET_GONE, NULL},
    {"no event yet", YOUNG_NS, UNSEEN, "job 7", 0, NEVER, 0, "", false, DENET_GONE, NULL},
    {"was there before", OLD_NS, UNSEEN, "job 7", 0, NEVER, 0, "", false, 0, "job 7"},
    {"was there before, has cleared its title", OLD_NS, UNSEEN, "", 0, NEVER, 0, "", false, 0, ""},
    {"was there before, in its exec", OLD_NS, SEEN, "", 0, NEVER, 0, "", false, DENET_GONE, NULL},
    {"was there before, execs, event meanwhile", OLD_NS, SEEN, "", 0, MEANWHILE, EXEC, "job 7",
     false, 0, "job 7"},
    {"the event of its exec was lost", OLD_NS, LONG_AGO, "job 7", 0, NEVER, 0, "", false, 0,
     "job 7"},
    {"event of an older exec, none of this one", OLD_NS, LONG_AGO, "job 7", 0, BEFORE, EXEC - 1,
     "shell", false, 0, "job 7"},
    {"event of an older exec, none of this one yet", OLD_NS, SEEN, "", 0, BEFORE, EXEC - 1, "shell",
     false, DENET_GONE, NULL},
    {"execs the next program", OLD_NS, UNSEEN, "next", 0, MEANWHILE, EXEC + 1, "next", false,
     DENET_GONE, NULL},
    {"exits", OLD_NS, UNSEEN, "", 0, NEVER, 0, "", true, DENET_GONE, NULL},
    {"exits, event meanwhile", YOUNG_NS, UNSEEN, "", 0, MEANWHILE, EXEC, "job 7", true, 0, "job 7"},
    {"vanishes, event meanwhile", YOUNG_NS, UNSEEN, "", DENET_GONE, MEANWHILE, EXEC, "job 7", true,
     0, "job 7"},
    {"empty in the event", YOUNG_NS, UNSEEN, "job 7", 0, BEFORE, EXEC, "", false, 0, "job 7"},
    {"empty in the event, gone from /proc", YOUNG_NS, UNSEEN, "", DENET_GONE, BEFORE, EXEC, "",
     true, 0, ""},
    {"empty in the event, /proc stalls", YOUNG_NS, UNSEEN, "", DENET_LATER, BEFORE, EXEC, "", false,
     DENET_LATER, NULL},
    {"empty in the event, no descriptor", YOUNG_NS, UNSEEN, "", -EMFILE, BEFORE, EXEC, "", false,
     -EMFILE, NULL},
};

static struct denet_bpf_source bpf;
static int row;

static void send_texts(void) {
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, PID, reads[row].born_ns},
                                  .exec_id = reads[row].event_exec,
                                  .argument_bytes = (denet_u32)strlen(reads[row].text)};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer event = {0};
  ck_assert_int_eq(denet_buffer_append(&event, &texts, sizeof(texts)), 0);
  ck_assert_int_eq(denet_buffer_append(&event, reads[row].text, texts.argument_bytes), 0);
  ck_assert_int_eq(denet_lifecycle_note(&bpf.lifecycle, event.bytes, event.length), 0);
}

static void exit_now(void) {
  struct denet_bpf_exit exit = {.head = {DENET_BPF_EXIT, PID, reads[row].born_ns}};
  ck_assert_int_eq(denet_lifecycle_note(&bpf.lifecycle, &exit, sizeof(exit)), 0);
}

/* Replaces the drain (the linker's --wrap): the row has the events. */
void __wrap_denet_loader_drain(struct denet_loader *loader);
void __wrap_denet_loader_drain(struct denet_loader *loader) {
  ck_assert_ptr_null(loader);
  if (reads[row].event == MEANWHILE)
    send_texts();
  if (reads[row].exits)
    exit_now();
}

static int read_proc(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  (void)source, (void)process;
  ck_assert_int_eq(kind, DENET_TEXT_ARGUMENTS);
  denet_buffer_clear(out);
  ck_assert_int_eq(denet_buffer_append_string(out, reads[row].proc), 0);
  return reads[row].outcome;
}

START_TEST(arguments_are_those_of_the_program_in_the_pass) {
  struct denet_procfs procfs = {.source.read_text = read_proc};
  struct denet_process process = {.pid = PID,
                                  .parent_pid = PARENT,
                                  .born_ns = reads[_i].born_ns,
                                  .exec_stamp = EXEC,
                                  .execd = true,
                                  .notes.bpf.execd_ns = execs_ns[reads[_i].execd]};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  bpf = (struct denet_bpf_source){.procfs = &procfs, .opened_ns = OPENED_NS, .begun_ns = NOW_NS};
  if (reads[_i].event == BEFORE)
    send_texts();
  int outcome = denet_bpf_source_read_text(&bpf.source, &process, DENET_TEXT_ARGUMENTS, &text);
  ck_assert_msg(outcome == reads[_i].expected, "%s: %d", reads[_i].what, outcome);
  if (reads[_i].taken)
    ck_assert_msg(strcmp(denet_buffer_text(&text).bytes, reads[_i].taken) == 0, "%s: \"%s\"",
                  reads[_i].what, denet_buffer_text(&text).bytes);
  denet_lifecycle_done(&bpf.lifecycle);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, arguments_are_those_of_the_program_in_the_pass, reads);
}
