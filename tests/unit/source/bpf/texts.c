/* Which text of a process is taken: what the kernel told of its exec, or what /proc has. */
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

/* The kernel's event is of this exec, and comes then. */
enum { NEVER, BEFORE, MEANWHILE };

/* When it exec'd its program. */
enum { UNSEEN, SEEN, LONG_AGO }; /* there was no exec since its birth; in this pass; before */
static const uint64_t execs_ns[] = {0, NOW_NS, NOW_NS - 5 * SECOND};

/* A look at a process's arguments. */
static const struct {
  const char *what;
  uint64_t born_ns;
  int execd;
  const char *proc; /* what they are in /proc */
  int outcome;      /* of reading that */
  int told;         /* when the kernel told of the exec, with this text */
  uint64_t told_exec;
  const char *text;
  bool exits;   /* while /proc is read */
  int comes_to; /* DENET_GONE: it is as if the process were gone */
  const char *taken;
} looks[] = {
    {"told before", YOUNG_NS, UNSEEN, "other", 0, BEFORE, EXEC, "job 7", false, 0, "job 7"},
    {"told before, held up in /proc", YOUNG_NS, UNSEEN, "", DENET_LATER, BEFORE, EXEC, "job 7",
     false, 0, "job 7"},
    {"in the middle of its exec, told meanwhile", YOUNG_NS, UNSEEN, "", 0, MEANWHILE, EXEC, "job 7",
     false, 0, "job 7"},
    {"held up, told meanwhile", YOUNG_NS, UNSEEN, "", DENET_LATER, MEANWHILE, EXEC, "job 7", false,
     0, "job 7"},
    {"no memory, told meanwhile", YOUNG_NS, UNSEEN, "", -ENOMEM, MEANWHILE, EXEC, "job 7", false, 0,
     "job 7"},
    {"told meanwhile", YOUNG_NS, UNSEEN, "job 7", 0, MEANWHILE, EXEC, "job 7", false, 0, "job 7"},
    {"in the middle of its exec, not told yet", YOUNG_NS, UNSEEN, "", 0, NEVER, 0, "", false,
     DENET_GONE, NULL},
    {"not told yet", YOUNG_NS, UNSEEN, "job 7", 0, NEVER, 0, "", false, DENET_GONE, NULL},
    {"was there before", OLD_NS, UNSEEN, "job 7", 0, NEVER, 0, "", false, 0, "job 7"},
    {"was there before, has cleared its title", OLD_NS, UNSEEN, "", 0, NEVER, 0, "", false, 0, ""},
    {"was there before, in the middle of its exec", OLD_NS, SEEN, "", 0, NEVER, 0, "", false,
     DENET_GONE, NULL},
    {"was there before, execs, told meanwhile", OLD_NS, SEEN, "", 0, MEANWHILE, EXEC, "job 7",
     false, 0, "job 7"},
    {"was never told of its exec", OLD_NS, LONG_AGO, "job 7", 0, NEVER, 0, "", false, 0, "job 7"},
    {"an older exec was told, not this one", OLD_NS, LONG_AGO, "job 7", 0, BEFORE, EXEC - 1,
     "shell", false, 0, "job 7"},
    {"an older exec was told, this one not yet", OLD_NS, SEEN, "", 0, BEFORE, EXEC - 1, "shell",
     false, DENET_GONE, NULL},
    {"execs the next program", OLD_NS, UNSEEN, "next", 0, MEANWHILE, EXEC + 1, "next", false,
     DENET_GONE, NULL},
    {"exits", OLD_NS, UNSEEN, "", 0, NEVER, 0, "", true, DENET_GONE, NULL},
    {"exits, told meanwhile", YOUNG_NS, UNSEEN, "", 0, MEANWHILE, EXEC, "job 7", true, 0, "job 7"},
    {"vanishes, told meanwhile", YOUNG_NS, UNSEEN, "", DENET_GONE, MEANWHILE, EXEC, "job 7", true,
     0, "job 7"},
    {"the kernel could not read them", YOUNG_NS, UNSEEN, "job 7", 0, BEFORE, EXEC, "", false, 0,
     "job 7"},
    {"the kernel could not read them, nor can we", YOUNG_NS, UNSEEN, "", DENET_GONE, BEFORE, EXEC,
     "", true, 0, ""},
    {"the kernel could not read them, held up", YOUNG_NS, UNSEEN, "", DENET_LATER, BEFORE, EXEC, "",
     false, DENET_LATER, NULL},
    {"the kernel could not read them, no descriptor", YOUNG_NS, UNSEEN, "", -EMFILE, BEFORE, EXEC,
     "", false, -EMFILE, NULL},
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
  ck_assert_int_eq(denet_lifecycle_note(&bpf.lifecycle, event.bytes, event.length), 0);
}

static void exit_now(void) {
  struct denet_bpf_exit exit = {.head = {DENET_BPF_EXIT, PID, looks[row].born_ns}};
  ck_assert_int_eq(denet_lifecycle_note(&bpf.lifecycle, &exit, sizeof(exit)), 0);
}

/* In its place (the linker's --wrap): what there is to take down is the row's. */
void __wrap_denet_bpf_source_drain(struct denet_bpf_source *source);
void __wrap_denet_bpf_source_drain(struct denet_bpf_source *source) {
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
  struct denet_source procfs = {.read_text = read_proc};
  struct denet_process process = {.pid = PID,
                                  .parent_pid = PARENT,
                                  .born_ns = looks[_i].born_ns,
                                  .exec_stamp = EXEC,
                                  .execd = true,
                                  .notes.bpf.execd_ns = execs_ns[looks[_i].execd]};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  bpf = (struct denet_bpf_source){.procfs = &procfs, .opened_ns = OPENED_NS, .begun_ns = NOW_NS};
  if (looks[_i].told == BEFORE)
    tell();
  int outcome = denet_bpf_source_read_text(&bpf.source, &process, DENET_TEXT_ARGUMENTS, &text);
  ck_assert_msg(outcome == looks[_i].comes_to, "%s: %d", looks[_i].what, outcome);
  if (looks[_i].taken)
    ck_assert_msg(strcmp(denet_buffer_text(&text).bytes, looks[_i].taken) == 0, "%s: \"%s\"",
                  looks[_i].what, denet_buffer_text(&text).bytes);
  denet_lifecycle_done(&bpf.lifecycle);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, arguments_are_those_of_the_program_that_was_seen, looks);
}
