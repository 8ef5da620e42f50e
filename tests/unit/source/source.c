/* Whose text stands for that of a process that has lost its own: it exits, or is a zombie. */
#include "core/source/source.h"

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

enum { GRANDPARENT = 75, PARENT, CHILD };
enum { EXE = DENET_TEXT_EXECUTABLE, ARGUMENTS = DENET_TEXT_ARGUMENTS };
enum { ALIVE, ENDED, HOLLOW };

static const struct {
  const char *what;
  int kind, state;
  bool is_kernel_thread, has_execd;
  uint64_t stamp, parent_stamp, grandparent_stamp; /* 0: not known */
  const char *name;                                /* of the child; the others' is "" */
  int outcome;                                     /* of reading the child's own, */
  const char *own;
  int parent_outcome; /* and the parent's */
  int comes_to;
  const char *taken;
} rows[] = {
    {"there", EXE, ALIVE, false, false, 3, 3, 3, "", 0, "child", 0, 0, "child"},
    {"exits", EXE, ALIVE, false, false, 3, 3, 3, "", -ENOENT, "", 0, 0, "parent"},
    {"gone", EXE, ALIVE, false, false, 3, 3, 3, "", DENET_GONE, "", 0, 0, "parent"},
    {"so is its parent", EXE, ALIVE, false, false, 3, 3, 3, "", DENET_GONE, "", DENET_GONE, 0,
     "grandparent"},
    {"its parent's may not be read", EXE, ALIVE, false, false, 3, 3, 3, "", DENET_GONE, "", -EACCES,
     -EACCES, ""},
    {"not for us", EXE, ALIVE, false, false, 3, 3, 3, "", -EACCES, "", 0, -EACCES, ""},
    {"held up", EXE, ALIVE, false, false, 3, 3, 3, "", DENET_LATER, "", 0, DENET_LATER, ""},
    {"held up to its end", EXE, ENDED, false, false, 3, 3, 3, "", DENET_LATER, "", 0, 0, "parent"},
    {"has exec'd, exits", EXE, ALIVE, false, true, 4, 3, 3, "", -ENOENT, "", 0, -ENOENT, ""},
    {"has exec'd, gone", EXE, ALIVE, false, true, 4, 3, 3, "", DENET_GONE, "", 0, DENET_GONE, ""},
    {"kernel thread", EXE, ALIVE, true, false, 3, 3, 3, "", -ENOENT, "", 0, -ENOENT, ""},
    {"its parent has exec'd", EXE, ENDED, false, false, 3, 4, 4, "", -ENOENT, "", 0, -ENOENT, ""},
    {"zombie when first seen", EXE, ENDED, false, false, 0, 4, 4, "", -ENOENT, "", 0, 0, "parent"},
    {"zombie when first seen, by another name", EXE, ENDED, false, false, 0, 4, 4, "worker",
     -ENOENT, "", 0, -ENOENT, ""},
    {"another program in between", EXE, ENDED, false, false, 3, 0, 4, "", -ENOENT, "", DENET_GONE,
     -ENOENT, ""},
    {"zombie when first seen, its elders", EXE, ENDED, false, false, 0, 3, 4, "", -ENOENT, "",
     DENET_GONE, -ENOENT, ""},
    {"zombie of an exec", EXE, ENDED, false, true, 0, 4, 4, "", -ENOENT, "", 0, -ENOENT, ""},
    {"without arguments", ARGUMENTS, ALIVE, false, false, 3, 3, 3, "", 0, "", 0, 0, ""},
    {"zombie", ARGUMENTS, ENDED, false, false, 3, 3, 3, "", 0, "", 0, 0, "parent"},
    {"other threads go on", ARGUMENTS, HOLLOW, false, false, 3, 3, 3, "", 0, "", 0, 0, "parent"},
    {"zombie of an exec", ARGUMENTS, ENDED, false, true, 4, 3, 3, "", 0, "", 0, 0, ""},
    {"told at its end", ARGUMENTS, ENDED, false, false, 3, 3, 3, "", 0, "child", 0, 0, "child"},
};

static int row;

static int describe(struct denet_source *source, struct denet_process *process,
                    enum denet_text_kind kind, struct denet_buffer *out) {
  (void)source;
  const char *texts[] = {"grandparent", "parent", rows[row].own};
  int outcomes[] = {0, rows[row].parent_outcome, rows[row].outcome};
  int who = process->pid - GRANDPARENT;
  ck_assert_int_eq(kind, rows[row].kind);
  denet_buffer_clear(out);
  return outcomes[who] ? outcomes[who] : denet_buffer_append_string(out, texts[who]);
}

static struct denet_process *add(struct denet_process_table *table, pid_t pid, uint64_t stamp) {
  struct denet_process *process;
  ck_assert_int_eq(denet_process_table_upsert(table, pid, &process), 0);
  process->parent_pid = pid - 1;
  process->born_ns = (uint64_t)pid;
  process->exec_stamp = stamp;
  process->never_execd = pid != GRANDPARENT;
  return process;
}

START_TEST(text_of_a_fork_that_has_lost_it_is_its_parents) {
  struct denet_process_table table = {0};
  struct denet_source source = {.read_text = describe, .table = &table};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = _i;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  add(&table, GRANDPARENT, rows[_i].grandparent_stamp);
  add(&table, PARENT, rows[_i].parent_stamp);
  struct denet_process *child = add(&table, CHILD, rows[_i].stamp);
  denet_process_table_end(&table, true);
  strcpy(child->name, rows[_i].name);
  child->never_execd = !rows[_i].has_execd;
  child->kernel_thread = rows[_i].is_kernel_thread;
  child->ended = rows[_i].state == ENDED;
  child->no_mm = rows[_i].state == HOLLOW;
  int outcome = denet_source_read_text(&source, child, (enum denet_text_kind)rows[_i].kind, &text);
  ck_assert_msg(outcome == rows[_i].comes_to, "%s: %d", rows[_i].what, outcome);
  ck_assert_msg(!strcmp(denet_buffer_text(&text).bytes, rows[_i].taken), "%s: \"%s\"",
                rows[_i].what, denet_buffer_text(&text).bytes);
  denet_process_table_done(&table);
}
END_TEST

/* A pid that came to be another's: that one is younger. */
START_TEST(a_younger_process_with_its_parents_pid_is_not_its_parent) {
  struct denet_process_table table = {0};
  struct denet_source source = {.read_text = describe, .table = &table};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  row = 2;
  ck_assert_int_eq(denet_process_table_begin(&table), 0);
  add(&table, PARENT, 3)->born_ns = CHILD + 1;
  struct denet_process *child = add(&table, CHILD, 3);
  denet_process_table_end(&table, true);
  ck_assert_int_eq(denet_source_read_text(&source, child, DENET_TEXT_EXECUTABLE, &text),
                   DENET_GONE);
  denet_process_table_done(&table);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, text_of_a_fork_that_has_lost_it_is_its_parents, rows);
  ADD_TEST(suite, a_younger_process_with_its_parents_pid_is_not_its_parent);
}
