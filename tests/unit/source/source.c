/* Which text stands for that of a process that has lost it, as it exits or is a zombie. */
#include "core/source/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

enum { GRANDPARENT = 75, PARENT, CHILD };
enum { EXE = DENET_TEXT_EXECUTABLE, ARGS = DENET_TEXT_ARGUMENTS };
enum { ALIVE = 0, ENDED = 1, NO_MM = 2, KERNEL = 4, EXECD = 8, REUSED = 16 };
enum { GONE = DENET_GONE, LATER = DENET_LATER };

/* stamps: exec stamps of the child, its parent and its grandparent; 0: not known. The names of the
 * others are "". */
static const struct {
  const char *what;
  int kind, state;
  const char *stamps, *name;
  int outcome; /* of reading the child's text */
  const char *own;
  int parent_outcome, expected;
  const char *text;
} rows[] = {
    {"alive", EXE, ALIVE, "333", "", 0, "child", 0, 0, "child"},
    {"exits", EXE, ALIVE, "333", "", -ENOENT, "", 0, 0, "parent"},
    {"gone", EXE, ALIVE, "333", "", GONE, "", 0, 0, "parent"},
    {"gone, and its parent", EXE, ALIVE, "333", "", GONE, "", GONE, 0, "grandparent"},
    {"parent not permitted", EXE, ALIVE, "333", "", GONE, "", -EACCES, -EACCES, ""},
    {"not permitted", EXE, ALIVE, "333", "", -EACCES, "", 0, -EACCES, ""},
    {"stalled", EXE, ALIVE, "333", "", LATER, "", 0, LATER, ""},
    {"stalled until its end", EXE, ENDED, "333", "", LATER, "", 0, 0, "parent"},
    {"has exec'd, exits", EXE, EXECD, "433", "", -ENOENT, "", 0, -ENOENT, ""},
    {"has exec'd, gone", EXE, EXECD, "433", "", GONE, "", 0, GONE, ""},
    {"its parent's pid was reused", EXE, REUSED, "333", "", GONE, "", 0, GONE, ""},
    {"kernel thread", EXE, KERNEL, "333", "", -ENOENT, "", 0, -ENOENT, ""},
    {"parent has exec'd", EXE, ENDED, "344", "", -ENOENT, "", 0, -ENOENT, ""},
    {"zombie when first seen", EXE, ENDED, "044", "", -ENOENT, "", 0, 0, "parent"},
    {"zombie when first seen, by another name", EXE, ENDED, "044", "worker", -ENOENT, "", 0,
     -ENOENT, ""},
    {"another program in between", EXE, ENDED, "304", "", -ENOENT, "", GONE, -ENOENT, ""},
    {"zombie when first seen, ancestors", EXE, ENDED, "034", "", -ENOENT, "", GONE, -ENOENT, ""},
    {"zombie of an exec", EXE, ENDED | EXECD, "044", "", -ENOENT, "", 0, -ENOENT, ""},
    {"without arguments", ARGS, ALIVE, "333", "", 0, "", 0, 0, ""},
    {"zombie", ARGS, ENDED, "333", "", 0, "", 0, 0, "parent"},
    {"other threads run", ARGS, NO_MM, "333", "", 0, "", 0, 0, "parent"},
    {"exits after an exec", ARGS, NO_MM | EXECD, "433", "", 0, "", 0, GONE, ""},
    {"zombie of an exec", ARGS, ENDED | EXECD, "433", "", 0, "", 0, -ENOENT, ""},
    {"read in its end", ARGS, ENDED, "333", "", 0, "child", 0, 0, "child"},
};

static int row;

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  const char *texts[] = {"grandparent", "parent", rows[row].own};
  int outcomes[] = {0, rows[row].parent_outcome, rows[row].outcome};
  int i = process->pid - GRANDPARENT;
  ck_assert_int_eq(kind, rows[row].kind);
  denet_buffer_clear(out);
  return outcomes[i] ? outcomes[i] : denet_buffer_append_string(out, texts[i]);
}

static struct denet_process *add(struct denet_process_table *table, pid_t pid, char stamp) {
  struct denet_process *process;
  ck_assert_int_eq(denet_process_table_upsert(table, pid, &process), 0);
  process->parent_pid = pid - 1;
  process->born_ns = (uint64_t)pid;
  process->exec_stamp = (uint64_t)(stamp - '0');
  process->never_execd = pid != GRANDPARENT;
  return process;
}

START_TEST(text_of_a_fork_that_has_lost_it_is_of_its_parent) {
  struct denet_process_table table = {0};
  struct denet_source source = {.read_text = read_text, .table = &table};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  add(&table, GRANDPARENT, rows[_i].stamps[2]);
  struct denet_process *parent = add(&table, PARENT, rows[_i].stamps[1]);
  struct denet_process *child = add(&table, CHILD, rows[_i].stamps[0]);
  denet_process_table_end(&table, true);
  parent->born_ns += rows[_i].state & REUSED; /* then it is younger than the child */
  strcpy(child->name, rows[_i].name);
  child->never_execd = !(rows[_i].state & EXECD);
  child->kernel_thread = rows[_i].state & KERNEL;
  child->ended = rows[_i].state & ENDED;
  child->no_mm = rows[_i].state & NO_MM;
  int outcome = denet_source_read_text(&source, child, (enum denet_text_kind)rows[_i].kind, &text);
  ck_assert_msg(outcome == rows[_i].expected, "%s: %d", rows[_i].what, outcome);
  ck_assert_msg(!strcmp(denet_buffer_text(&text).bytes, rows[_i].text), "%s: \"%s\"", rows[_i].what,
                denet_buffer_text(&text).bytes);
  denet_process_table_done(&table);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, text_of_a_fork_that_has_lost_it_is_of_its_parent, rows);
}
