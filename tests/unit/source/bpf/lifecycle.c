#include "core/source/bpf/lifecycle.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_LEDGER DENET_CLEANUP(denet_lifecycle_done) struct denet_lifecycle
#define OWN_BUFFER DENET_CLEANUP(denet_buffer_done) struct denet_buffer

#define PID 77
#define START_NS 5000

#define BYTES(literal) literal, sizeof(literal) - 1

/* Of the event's own size to the byte: a sanitizer sees what is read behind it. */
static int note(struct denet_lifecycle *lifecycle, const void *event, size_t size) {
  void *copy = malloc(size ? size : 1);
  ck_assert_ptr_nonnull(copy);
  memcpy(copy, event, size);
  int outcome = denet_lifecycle_note(lifecycle, copy, size);
  free(copy);
  return outcome;
}

static void note_fork(struct denet_lifecycle *lifecycle, pid_t pid, uint64_t start_ns,
                      pid_t parent_pid) {
  struct denet_bpf_fork fork = {.head = {DENET_BPF_FORK, (denet_u32)pid, start_ns},
                                .parent_pid = (denet_u32)parent_pid};
  ck_assert_int_eq(note(lifecycle, &fork, sizeof(fork)), 0);
}

/* A program whose three texts have these bytes, and slack bytes behind them. */
static int note_texts(struct denet_lifecycle *lifecycle, struct denet_text arguments,
                      struct denet_text executable, struct denet_text cgroup, size_t slack) {
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, PID, START_NS},
                                  .argument_bytes = (denet_u32)arguments.length,
                                  .executable_bytes = (denet_u32)executable.length,
                                  .cgroup_bytes = (denet_u32)cgroup.length};
  OWN_BUFFER event = {0};
  ck_assert_int_eq(denet_buffer_append(&event, &texts, sizeof(texts)), 0);
  ck_assert_int_eq(denet_buffer_append(&event, arguments.bytes, arguments.length), 0);
  ck_assert_int_eq(denet_buffer_append(&event, executable.bytes, executable.length), 0);
  ck_assert_int_eq(denet_buffer_append(&event, cgroup.bytes, cgroup.length), 0);
  for (size_t i = 0; i < slack; i++)
    ck_assert_int_eq(denet_buffer_append(&event, "x", 1), 0);
  return note(lifecycle, event.bytes, event.length);
}

static struct denet_lifecycle_entry *find(const struct denet_lifecycle *lifecycle) {
  struct denet_lifecycle_entry *life = denet_lifecycle_find(lifecycle, PID, START_NS);
  ck_assert_ptr_nonnull(life);
  return life;
}

START_TEST(fresh_ledger_knows_nothing) {
  OWN_LEDGER lifecycle = {0};
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, START_NS));
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 0);
}
END_TEST

START_TEST(birth_is_noted) {
  OWN_LEDGER lifecycle = {0};
  note_fork(&lifecycle, PID, START_NS, 3);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert_int_eq(life->pid, PID);
  ck_assert_uint_eq(life->start_ns, START_NS);
  ck_assert(life->was_forked && !life->has_exited && !life->is_over && !life->is_taken);
  ck_assert_int_eq(life->parent_pid, 3);
  ck_assert_ptr_null(life->texts);
}
END_TEST

START_TEST(program_is_noted) {
  OWN_LEDGER lifecycle = {0};
  struct denet_bpf_texts texts = {
      .head = {DENET_BPF_TEXTS, PID, START_NS}, .exec_id = 4, .uid = 1000, .name = "app"};
  ck_assert_int_eq(note(&lifecycle, &texts, sizeof(texts)), 0);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert(!life->was_forked && !life->has_exited && !life->is_over);
  ck_assert_ptr_nonnull(life->texts);
  ck_assert_uint_eq(life->texts->exec_id, 4);
  ck_assert_uint_eq(life->texts->uid, 1000);
  ck_assert_str_eq(life->texts->name, "app");
}
END_TEST

START_TEST(exit_is_noted) {
  OWN_LEDGER lifecycle = {0};
  struct denet_bpf_exit exit = {
      .head = {DENET_BPF_EXIT, PID, START_NS}, .exit_ns = 6000, .rss_pages = 12, .parent_pid = 3};
  ck_assert_int_eq(note(&lifecycle, &exit, sizeof(exit)), 0);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert(!life->was_forked && life->has_exited && !life->is_over);
  ck_assert_uint_eq(life->exit.exit_ns, 6000);
  ck_assert_uint_eq(life->exit.rss_pages, 12);
  ck_assert_uint_eq(life->exit.parent_pid, 3);
}
END_TEST

START_TEST(end_is_noted) {
  OWN_LEDGER lifecycle = {0};
  struct denet_bpf_free end = {.head = {DENET_BPF_FREE, PID, START_NS},
                               .usage = {.run_ns = 123},
                               .peak_rss_pages = 40,
                               .exit_code = -1,
                               .name = "app"};
  ck_assert_int_eq(note(&lifecycle, &end, sizeof(end)), 0);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert(!life->was_forked && !life->has_exited && life->is_over && !life->is_taken);
  ck_assert_uint_eq(life->end.usage.run_ns, 123);
  ck_assert_uint_eq(life->end.peak_rss_pages, 40);
  ck_assert_int_eq(life->end.exit_code, -1);
  ck_assert_str_eq(life->end.name, "app");
}
END_TEST

START_TEST(events_of_a_process_come_together_in_any_order) {
  OWN_LEDGER lifecycle = {0};
  struct denet_bpf_exit exit = {.head = {DENET_BPF_EXIT, PID, START_NS}, .exit_ns = 6000};
  struct denet_bpf_free end = {.head = {DENET_BPF_FREE, PID, START_NS}, .cpu = 2};
  ck_assert_int_eq(note(&lifecycle, &end, sizeof(end)), 0);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert_int_eq(note(&lifecycle, &exit, sizeof(exit)), 0);
  note_fork(&lifecycle, PID, START_NS, 3);
  ck_assert_ptr_eq(find(&lifecycle), life);
  ck_assert(life->was_forked && life->has_exited && life->is_over);
  ck_assert_uint_eq(life->end.cpu, 2);
  ck_assert_uint_eq(life->exit.exit_ns, 6000);
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 1);
}
END_TEST

START_TEST(greatest_pid_is_one) {
  OWN_LEDGER lifecycle = {0};
  note_fork(&lifecycle, INT32_MAX, UINT64_MAX, 1);
  ck_assert_ptr_nonnull(denet_lifecycle_find(&lifecycle, INT32_MAX, UINT64_MAX));
}
END_TEST

#define FORK_BYTES sizeof(struct denet_bpf_fork)
#define TEXTS_BYTES sizeof(struct denet_bpf_texts)
#define EXIT_BYTES sizeof(struct denet_bpf_exit)
#define FREE_BYTES sizeof(struct denet_bpf_free)
#define BEHIND 24 /* bytes behind the texts, where there are some */

/* What is no event: most of them miss by one. */
static const struct {
  denet_u32 kind, pid;
  size_t size;
  denet_u32 argument_bytes, executable_bytes, cgroup_bytes;
} malformed[] = {
    {DENET_BPF_FORK, PID, 0, 0, 0, 0},
    {DENET_BPF_FORK, PID, 15, 0, 0, 0},
    {DENET_BPF_FORK, PID, sizeof(struct denet_bpf_head), 0, 0, 0},
    {DENET_BPF_FORK, PID, FORK_BYTES - 1, 0, 0, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES - 1, 0, 0, 0},
    {DENET_BPF_EXIT, PID, EXIT_BYTES - 1, 0, 0, 0},
    {DENET_BPF_FREE, PID, FREE_BYTES - 1, 0, 0, 0},
    /* Kinds that there are not, or not among events. */
    {0, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_BRIEF, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_PROCESS, PID, sizeof(struct denet_bpf_process), 0, 0, 0},
    {DENET_BPF_THREAD, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_FREE + 1, PID, FREE_BYTES, 0, 0, 0},
    {UINT32_MAX, PID, FREE_BYTES, 0, 0, 0},
    /* Pids. */
    {DENET_BPF_FORK, 0, FORK_BYTES, 0, 0, 0},
    {DENET_BPF_FORK, (denet_u32)INT32_MAX + 1, FORK_BYTES, 0, 0, 0},
    {DENET_BPF_FREE, UINT32_MAX, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_TEXTS, 0, TEXTS_BYTES, 0, 0, 0},
    /* Texts that say they are longer than they are. */
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 1, 0, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 0, 1, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 0, 0, 1},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, BEHIND + 1, 0, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, 8, 8, 9},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, UINT32_MAX, 0, 0},
    /* Whose sum is small in 32 bits. */
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, UINT32_MAX, 1, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, 1, UINT32_MAX, 8},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, UINT32_MAX, UINT32_MAX, 2},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, UINT32_MAX, UINT32_MAX, UINT32_MAX},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, 1u << 31, 1u << 31, 8},
};

static int note_malformed(struct denet_lifecycle *lifecycle, int row) {
  char event[512] = {0};
  struct denet_bpf_texts texts = {.head = {malformed[row].kind, malformed[row].pid, START_NS},
                                  .argument_bytes = malformed[row].argument_bytes,
                                  .executable_bytes = malformed[row].executable_bytes,
                                  .cgroup_bytes = malformed[row].cgroup_bytes};
  ck_assert_uint_le(malformed[row].size, sizeof(event));
  memcpy(event, &texts, sizeof(texts));
  return note(lifecycle, event, malformed[row].size);
}

START_TEST(what_is_no_event_is_refused_and_leaves_nothing) {
  OWN_LEDGER lifecycle = {0};
  ck_assert_int_eq(note_malformed(&lifecycle, _i), -EINVAL);
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, (pid_t)malformed[_i].pid, START_NS));
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 0);
}
END_TEST

START_TEST(what_is_no_event_changes_nothing_of_a_life) {
  OWN_LEDGER lifecycle = {0};
  struct denet_text text = {BYTES("old")};
  ck_assert_int_eq(note_texts(&lifecycle, text, (struct denet_text){0}, (struct denet_text){0}, 0),
                   0);
  const struct denet_bpf_texts *before = find(&lifecycle)->texts;
  ck_assert_int_eq(note_malformed(&lifecycle, _i), -EINVAL);
  const struct denet_lifecycle_entry *life = find(&lifecycle);
  ck_assert_ptr_eq(life->texts, before);
  ck_assert(!life->was_forked && !life->has_exited && !life->is_over);
}
END_TEST

#define LONG_NAME                                                                                  \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                               \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                               \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                               \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static const struct {
  enum denet_text_kind kind;
  struct denet_text told;
  int outcome;
  struct denet_text text;
} texts[] = {
    {DENET_TEXT_ARGUMENTS, {BYTES("app\0-v\0")}, 0, {BYTES("app\0-v")}},
    {DENET_TEXT_ARGUMENTS, {BYTES("app\0\0\0")}, 0, {BYTES("app")}},
    {DENET_TEXT_ARGUMENTS, {BYTES("app\0\0b\0")}, 0, {BYTES("app\0\0b")}},
    {DENET_TEXT_ARGUMENTS, {BYTES("cut o")}, 0, {BYTES("cut o")}},
    {DENET_TEXT_ARGUMENTS, {BYTES("\0\0")}, 0, {BYTES("")}},
    {DENET_TEXT_ARGUMENTS, {BYTES("")}, 0, {BYTES("")}},
    {DENET_TEXT_EXECUTABLE, {BYTES("sh\0bin\0usr\0")}, 0, {BYTES("/usr/bin/sh")}},
    {DENET_TEXT_EXECUTABLE, {BYTES("init\0")}, 0, {BYTES("/init")}},
    {DENET_TEXT_EXECUTABLE, {BYTES("a\0b\0c\0")}, 0, {BYTES("/c/b/a")}},
    {DENET_TEXT_EXECUTABLE, {BYTES(" )\n\0\xff\0")}, 0, {BYTES("/\xff/ )\n")}},
    {DENET_TEXT_EXECUTABLE, {BYTES(LONG_NAME "\0opt\0")}, 0, {BYTES("/opt/" LONG_NAME)}},
    {DENET_TEXT_EXECUTABLE, {BYTES("")}, -ENOENT, {BYTES("")}},
    {DENET_TEXT_CGROUP,
     {BYTES("ssh.service\0system.slice\0")},
     0,
     {BYTES("/system.slice/ssh.service")}},
    {DENET_TEXT_CGROUP, {BYTES("init.scope\0")}, 0, {BYTES("/init.scope")}},
    {DENET_TEXT_CGROUP, {BYTES("\0")}, 0, {BYTES("/")}},
    {DENET_TEXT_CGROUP, {BYTES("")}, -ENOENT, {BYTES("")}},
};

START_TEST(text_is_what_was_told_of_its_kind) {
  OWN_LEDGER lifecycle = {0};
  OWN_BUFFER out = {0};
  struct denet_text told[] = {{BYTES("an\0argument\0")}, {BYTES("leaf\0top\0")}, {BYTES("unit\0")}};
  ck_assert_uint_lt(texts[_i].kind, DENET_COUNT_OF(told));
  told[texts[_i].kind] = texts[_i].told;
  ck_assert_int_eq(note_texts(&lifecycle, told[0], told[1], told[2], 5), 0);
  ck_assert_int_eq(denet_buffer_append_string(&out, "before:"), 0);
  ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), texts[_i].kind, &out),
                   texts[_i].outcome);
  ck_assert_uint_eq(out.length, strlen("before:") + texts[_i].text.length);
  ck_assert_mem_eq(out.bytes, "before:", strlen("before:"));
  ck_assert_mem_eq(out.bytes + strlen("before:"), texts[_i].text.bytes, texts[_i].text.length);
}
END_TEST

static const enum denet_text_kind kinds[] = {DENET_TEXT_ARGUMENTS, DENET_TEXT_EXECUTABLE,
                                             DENET_TEXT_CGROUP};

START_TEST(process_whose_program_was_not_told_has_no_texts) {
  OWN_LEDGER lifecycle = {0};
  OWN_BUFFER out = {0};
  note_fork(&lifecycle, PID, START_NS, 1);
  ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), kinds[_i], &out), -ENOENT);
  ck_assert_uint_eq(out.length, 0);
}
END_TEST

static const struct {
  struct denet_text first, second;
} programs[] = {
    {{BYTES("old\0")}, {BYTES("new\0")}},
    {{BYTES("old\0")}, {BYTES("new and longer\0")}},
    {{BYTES("old and longer\0")}, {BYTES("new\0")}},
    {{BYTES("old\0")}, {BYTES("")}},
    {{BYTES("")}, {BYTES("new\0")}},
};

START_TEST(newer_texts_take_the_place_of_older_ones) {
  OWN_LEDGER lifecycle = {0};
  OWN_BUFFER out = {0};
  struct denet_text none = {0}, second = programs[_i].second;
  ck_assert_int_eq(note_texts(&lifecycle, programs[_i].first, none, none, 0), 0);
  ck_assert_int_eq(note_texts(&lifecycle, second, none, none, 0), 0);
  ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), DENET_TEXT_ARGUMENTS, &out), 0);
  ck_assert_uint_eq(out.length, second.length ? second.length - 1 : 0);
  ck_assert_mem_eq(denet_buffer_text(&out).bytes, second.bytes, out.length);
}
END_TEST

/* Numbers without a pattern, the same in every run. */
static uint64_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33;
}

START_TEST(names_of_any_bytes_make_a_path) {
  uint64_t state = 1;
  for (int round = 0; round < 2000; round++) {
    OWN_LEDGER lifecycle = {0};
    OWN_BUFFER out = {0};
    char names[32];
    size_t length = 1 + next_random(&state) % sizeof(names);
    for (size_t i = 0; i < length; i++)
      names[i] = (char)(next_random(&state) % 3);
    struct denet_text none = {0}, told = {names, length};
    ck_assert_int_eq(note_texts(&lifecycle, none, told, none, 0), 0);
    ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), DENET_TEXT_EXECUTABLE, &out), 0);
    ck_assert_int_eq(out.bytes[0], '/');
    ck_assert_uint_eq(out.length, length); /* each NUL has become a slash */
  }
}
END_TEST

START_TEST(lives_with_one_pid_are_told_apart_by_their_starts) {
  OWN_LEDGER lifecycle = {0};
  struct denet_bpf_free end = {.head = {DENET_BPF_FREE, PID, 100}};
  note_fork(&lifecycle, PID, 100, 3);
  note_fork(&lifecycle, PID, 200, 4);
  ck_assert_int_eq(note(&lifecycle, &end, sizeof(end)), 0);
  const struct denet_lifecycle_entry *old = denet_lifecycle_find(&lifecycle, PID, 100);
  const struct denet_lifecycle_entry *new = denet_lifecycle_find(&lifecycle, PID, 200);
  ck_assert_ptr_nonnull(old);
  ck_assert_ptr_nonnull(new);
  ck_assert(old->is_over && !new->is_over);
  ck_assert_int_eq(old->parent_pid, 3);
  ck_assert_int_eq(new->parent_pid, 4);
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, 150));
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID + 1, 100));
}
END_TEST

START_TEST(dropped_life_is_forgotten) {
  OWN_LEDGER lifecycle = {0};
  struct denet_text text = {BYTES("app\0")}, none = {0};
  ck_assert_int_eq(note_texts(&lifecycle, text, none, none, 0), 0);
  note_fork(&lifecycle, PID, START_NS + 1, 3);
  denet_lifecycle_drop(&lifecycle, find(&lifecycle));
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, START_NS));
  ck_assert_ptr_nonnull(denet_lifecycle_find(&lifecycle, PID, START_NS + 1));
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 1);
  ck_assert_uint_eq(lifecycle.lives[0]->start_ns, START_NS + 1);
}
END_TEST

START_TEST(life_that_is_heard_of_again_after_it_was_dropped_is_a_fresh_one) {
  OWN_LEDGER lifecycle = {0};
  struct denet_text text = {BYTES("app\0")}, none = {0};
  ck_assert_int_eq(note_texts(&lifecycle, text, none, none, 0), 0);
  denet_lifecycle_drop(&lifecycle, find(&lifecycle));
  note_fork(&lifecycle, PID, START_NS, 3);
  ck_assert_ptr_null(find(&lifecycle)->texts);
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 1);
}
END_TEST

#define MANY 5000 /* pids; each has two lives */

/* Each pid once, without order. */
static pid_t scramble(int i) { return 1 + (pid_t)((int64_t)i * 3571 % MANY); }

static void note_many(struct denet_lifecycle *lifecycle) {
  for (int i = 0; i < MANY; i++)
    note_fork(lifecycle, scramble(i), i % 2 ? 10 : 20, 1);
  for (int i = 0; i < MANY; i++)
    note_fork(lifecycle, scramble(i), i % 2 ? 20 : 10, 1);
}

START_TEST(list_goes_by_pid_and_start) {
  OWN_LEDGER lifecycle = {0};
  note_many(&lifecycle);
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, 2 * MANY);
  for (size_t i = 0; i < lifecycle.count; i++) {
    ck_assert_int_eq(lifecycle.lives[i]->pid, (pid_t)(1 + i / 2));
    ck_assert_uint_eq(lifecycle.lives[i]->start_ns, i % 2 ? 20 : 10);
  }
}
END_TEST

START_TEST(many_lives_are_found_until_they_are_dropped) {
  OWN_LEDGER lifecycle = {0};
  note_many(&lifecycle);
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  for (size_t i = 0; i < lifecycle.count; i++)
    if (i % 3)
      denet_lifecycle_drop(&lifecycle, lifecycle.lives[i]);
  for (size_t i = 0; i < (size_t)2 * MANY; i++) {
    const struct denet_lifecycle_entry *life =
        denet_lifecycle_find(&lifecycle, (pid_t)(1 + i / 2), i % 2 ? 20 : 10);
    ck_assert_int_eq(life == NULL, i % 3 != 0);
  }
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  ck_assert_uint_eq(lifecycle.count, (2 * MANY + 2) / 3);
}
END_TEST

START_TEST(emptied_ledger_may_be_filled_again) {
  OWN_LEDGER lifecycle = {0};
  for (int round = 0; round < 3; round++) {
    note_many(&lifecycle);
    ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
    ck_assert_uint_eq(lifecycle.count, 2 * MANY);
    for (size_t i = 0; i < lifecycle.count; i++)
      denet_lifecycle_drop(&lifecycle, lifecycle.lives[i]);
    ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
    ck_assert_uint_eq(lifecycle.count, 0);
  }
}
END_TEST

START_TEST(done_may_be_called_twice) {
  struct denet_lifecycle lifecycle = {0};
  struct denet_text text = {BYTES("app\0")}, none = {0};
  denet_lifecycle_done(&lifecycle);
  ck_assert_int_eq(note_texts(&lifecycle, text, none, none, 0), 0);
  ck_assert_int_eq(denet_lifecycle_list(&lifecycle), 0);
  denet_lifecycle_done(&lifecycle);
  denet_lifecycle_done(&lifecycle);
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, START_NS));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, fresh_ledger_knows_nothing);
  ADD_TEST(suite, birth_is_noted);
  ADD_TEST(suite, program_is_noted);
  ADD_TEST(suite, exit_is_noted);
  ADD_TEST(suite, end_is_noted);
  ADD_TEST(suite, events_of_a_process_come_together_in_any_order);
  ADD_TEST(suite, greatest_pid_is_one);
  ADD_TABLE(suite, what_is_no_event_is_refused_and_leaves_nothing, malformed);
  ADD_TABLE(suite, what_is_no_event_changes_nothing_of_a_life, malformed);
  ADD_TABLE(suite, text_is_what_was_told_of_its_kind, texts);
  ADD_TABLE(suite, process_whose_program_was_not_told_has_no_texts, kinds);
  ADD_TABLE(suite, newer_texts_take_the_place_of_older_ones, programs);
  ADD_TEST(suite, names_of_any_bytes_make_a_path);
  ADD_TEST(suite, lives_with_one_pid_are_told_apart_by_their_starts);
  ADD_TEST(suite, dropped_life_is_forgotten);
  ADD_TEST(suite, life_that_is_heard_of_again_after_it_was_dropped_is_a_fresh_one);
  ADD_TEST(suite, list_goes_by_pid_and_start);
  ADD_TEST(suite, many_lives_are_found_until_they_are_dropped);
  ADD_TEST(suite, emptied_ledger_may_be_filled_again);
  ADD_TEST(suite, done_may_be_called_twice);
}
