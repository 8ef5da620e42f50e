/* Which text of a process is taken: what the kernel told of its exec, or what /proc has. */
#include "core/source_bpf.h"

#include "core/cleanup.h"
#include "tests/unit.h"

#include <string.h>

enum { PID = 77, PARENT = 76, EXEC = 3 };

#define SECOND UINT64_C(1000000000)
#define OPENED_NS (100 * SECOND)
#define NOW_NS (200 * SECOND)
#define YOUNG_NS (NOW_NS - SECOND / 100)
#define OLD_NS (OPENED_NS - SECOND)

/* The kernel's event is of this exec, and comes then. */
enum { NEVER, BEFORE, MEANWHILE };

/* A look at a process's arguments. */
static const struct {
  const char *what;
  uint64_t born_ns;
  const char *proc; /* what they are in /proc */
  int outcome;      /* of reading that */
  int told;         /* when the kernel told of the exec, with this text */
  uint64_t told_exec;
  const char *text;
  bool exits;        /* while /proc is read */
  const char *taken; /* NULL: it is as if the process were gone */
} looks[] = {
    {"told before", YOUNG_NS, "other", 0, BEFORE, EXEC, "job 7", false, "job 7"},
    {"told before, held up in /proc", YOUNG_NS, "", DENET_LATER, BEFORE, EXEC, "job 7", false,
     "job 7"},
    {"in the middle of its exec, told meanwhile", YOUNG_NS, "", 0, MEANWHILE, EXEC, "job 7", false,
     "job 7"},
    {"held up, told meanwhile", YOUNG_NS, "", DENET_LATER, MEANWHILE, EXEC, "job 7", false,
     "job 7"},
    {"told meanwhile", YOUNG_NS, "job 7", 0, MEANWHILE, EXEC, "job 7", false, "job 7"},
    {"in the middle of its exec, not told yet", YOUNG_NS, "", 0, NEVER, 0, "", false, NULL},
    {"not told yet", YOUNG_NS, "job 7", 0, NEVER, 0, "", false, NULL},
    {"was there before", OLD_NS, "job 7", 0, NEVER, 0, "", false, "job 7"},
    {"was there before, has cleared its title", OLD_NS, "", 0, NEVER, 0, "", false, ""},
    {"execs the next program", OLD_NS, "next", 0, MEANWHILE, EXEC + 1, "next", false, NULL},
    {"exits", OLD_NS, "", 0, NEVER, 0, "", true, NULL},
    {"exits, told meanwhile", YOUNG_NS, "", 0, MEANWHILE, EXEC, "job 7", true, "job 7"},
    {"vanishes, told meanwhile", YOUNG_NS, "", DENET_GONE, MEANWHILE, EXEC, "job 7", true, "job 7"},
    {"the kernel could not read them", YOUNG_NS, "job 7", 0, BEFORE, EXEC, "", false, "job 7"},
    {"the kernel could not read them, nor can we", YOUNG_NS, "", DENET_GONE, BEFORE, EXEC, "", true,
     ""},
};

static struct denet_bpf_source bpf;
static int row;

static void tell(void) {
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, PID, looks[row].born_ns},
                                  .exec_id = looks[row].told_exec,
                                  .argument_bytes = (denet_u32)strlen(looks[row].text)};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer event = {0};
  ck_assert_int_eq(denet_buffer_append(&event, &texts, sizeof(texts)), 0);
  ck_assert_int_eq(denet_buffer_append(&event, looks[row].text, texts.argument_bytes), 0);
  ck_assert_int_eq(denet_ledger_note(&bpf.ledger, event.bytes, event.length, NOW_NS), 0);
}

static void exit_now(void) {
  struct denet_bpf_exit exit = {.head = {DENET_BPF_EXIT, PID, looks[row].born_ns}};
  ck_assert_int_eq(denet_ledger_note(&bpf.ledger, &exit, sizeof(exit), NOW_NS), 0);
}

/* These stand in for source_bpf.c, which is not linked. */
struct denet_life *denet_bpf_source_life(const struct denet_bpf_source *source,
                                         const struct denet_process *process) {
  return denet_ledger_find(&source->ledger, process->pid, process->born_ns);
}

void denet_bpf_source_drain(struct denet_bpf_source *source) {
  ck_assert_ptr_eq(source, &bpf);
  if (looks[row].told == MEANWHILE)
    tell();
  if (looks[row].exits)
    exit_now();
}

static int read_proc(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  (void)source, (void)process;
  ck_assert_int_eq(kind, DENET_TEXT_ARGUMENTS);
  denet_buffer_clear(out);
  ck_assert_int_eq(denet_buffer_append_string(out, looks[row].proc), 0);
  return looks[row].outcome;
}

START_TEST(arguments_are_those_of_the_program_that_was_seen) {
  struct denet_roster roster = {0};
  struct denet_source procfs = {.describe = read_proc};
  struct denet_process process = {.pid = PID,
                                  .parent_pid = PARENT,
                                  .born_ns = looks[_i].born_ns,
                                  .exec_stamp = EXEC,
                                  .execd = true};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  bpf = (struct denet_bpf_source){
      .procfs = &procfs, .roster = &roster, .opened_ns = OPENED_NS, .begun_ns = NOW_NS};
  if (looks[_i].told == BEFORE)
    tell();
  int outcome = denet_bpf_source_describe(&bpf.source, &process, DENET_TEXT_ARGUMENTS, &text);
  ck_assert_msg(outcome == (looks[_i].taken ? 0 : DENET_GONE), "%s: %d", looks[_i].what, outcome);
  if (looks[_i].taken)
    ck_assert_msg(strcmp(denet_buffer_text(&text).bytes, looks[_i].taken) == 0, "%s: \"%s\"",
                  looks[_i].what, denet_buffer_text(&text).bytes);
  denet_ledger_done(&bpf.ledger);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, arguments_are_those_of_the_program_that_was_seen, looks);
}
