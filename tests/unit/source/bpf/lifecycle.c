#include "core/source/bpf/lifecycle.h"

#include "core/util/cleanup.h"

#include "tests/unit/text.h"

#include <errno.h>
#include <stdlib.h>

#define OWN_LIFECYCLE DENET_CLEANUP(denet_lifecycle_done) struct denet_lifecycle
#define OWN_BUFFER DENET_CLEANUP(denet_buffer_done) struct denet_buffer

#define PID 77
#define START_NS 5000

/* Notes a copy of exactly this size: a sanitizer reports a read behind it. */
static int note(struct denet_lifecycle *lifecycle, const void *event, size_t size) {
  DENET_FREE void *copy = malloc(size ? size : 1);
  ck_assert_ptr_nonnull(copy);
  return denet_lifecycle_note(lifecycle, memcpy(copy, event, size), size);
}

static void note_fork(struct denet_lifecycle *lifecycle, pid_t pid, uint64_t start_ns,
                      pid_t parent_pid) {
  struct denet_bpf_fork fork = {.head = {DENET_BPF_FORK, (denet_u32)pid, start_ns},
                                .parent_pid = (denet_u32)parent_pid};
  ck_assert_int_eq(note(lifecycle, &fork, sizeof(fork)), 0);
}

/* Notes a program with these texts, by kind, and some bytes behind them. */
static void note_texts(struct denet_lifecycle *lifecycle, const struct denet_text parts[3]) {
  struct denet_bpf_texts texts = {.head = {DENET_BPF_TEXTS, PID, START_NS},
                                  .argument_bytes = (denet_u32)parts[0].length,
                                  .executable_bytes = (denet_u32)parts[1].length,
                                  .cgroup_bytes = (denet_u32)parts[2].length};
  OWN_BUFFER event = {0};
  ck_assert_int_eq(denet_buffer_append(&event, &texts, sizeof(texts)), 0);
  for (size_t i = 0; i < 3; i++)
    ck_assert_int_eq(denet_buffer_append(&event, parts[i].bytes, parts[i].length), 0);
  ck_assert_int_eq(denet_buffer_append(&event, "xxxxx", 5), 0);
  ck_assert_int_eq(note(lifecycle, event.bytes, event.length), 0);
}

static void note_arguments(struct denet_lifecycle *lifecycle, struct denet_text arguments) {
  note_texts(lifecycle, (struct denet_text[3]){arguments});
}

static struct denet_lifecycle_entry *find(const struct denet_lifecycle *lifecycle) {
  struct denet_lifecycle_entry *entry = denet_lifecycle_find(lifecycle, PID, START_NS);
  ck_assert_ptr_nonnull(entry);
  return entry;
}

/* One event of each kind. */
static const struct denet_bpf_fork forked = {.head = {DENET_BPF_FORK, PID, START_NS},
                                             .parent_pid = 3};
static const struct denet_bpf_texts execd = {
    .head = {DENET_BPF_TEXTS, PID, START_NS}, .exec_id = 4, .uid = 1000, .name = "app"};
static const struct denet_bpf_exit exited = {
    .head = {DENET_BPF_EXIT, PID, START_NS}, .exit_ns = 6000, .rss_pages = 12, .parent_pid = 3};
static const struct denet_bpf_process freed = {
    .identity.compact = {.head = {DENET_BPF_FREE, PID, START_NS}, .name = "app"},
    .usage = {.run_ns = 123},
    .rss_pages = 40,
    .exit_code = -1};
static const struct {
  const void *bytes;
  size_t size;
} events[] = {{&forked, sizeof(forked)},
              {&execd, sizeof(execd)},
              {&exited, sizeof(exited)},
              {&freed, sizeof(freed)}};

#define ORDERS 24 /* 4! */

static void expect_events(const struct denet_lifecycle_entry *entry, const bool noted[4]) {
  ck_assert_int_eq(entry->was_forked, noted[0]);
  ck_assert_int_eq(entry->parent_pid, noted[0] ? 3 : 0);
  ck_assert_int_eq(entry->texts != NULL, noted[1]);
  ck_assert(!noted[1] || !memcmp(entry->texts, &execd, sizeof(execd)));
  ck_assert_int_eq(entry->has_exited, noted[2]);
  ck_assert(!noted[2] || !memcmp(&entry->exit, &exited, sizeof(exited)));
  ck_assert_int_eq(entry->was_freed, noted[3]);
  ck_assert(!noted[3] || !memcmp(&entry->final, &freed, sizeof(freed)));
  ck_assert(!entry->is_applied && !entry->is_checked && !entry->was_given_up);
}

START_TEST(events_of_a_process_are_noted_in_any_order) {
  OWN_LIFECYCLE lifecycle = {0};
  bool noted[DENET_COUNT_OF(events)] = {false};
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, START_NS));
  for (int left = DENET_COUNT_OF(events), order = _i; left; order /= left--) {
    int skipped = order % left, next = 0;
    while (noted[next] || skipped--)
      next++;
    ck_assert_int_eq(note(&lifecycle, events[next].bytes, events[next].size), 0);
    noted[next] = true;
    expect_events(find(&lifecycle), noted);
  }
  ck_assert_uint_eq(lifecycle.count, 1);
}
END_TEST

START_TEST(age_of_the_main_thread_is_kept_if_several_threads_exit_at_once) {
  OWN_LIFECYCLE lifecycle = {0};
  for (int i = 0; i < 2; i++) {
    struct denet_bpf_exit exit = exited;
    exit.main_age_ns = i == _i ? 70 : 0;
    ck_assert_int_eq(note(&lifecycle, &exit, sizeof(exit)), 0);
  }
  ck_assert_uint_eq(find(&lifecycle)->exit.main_age_ns, 70);
}
END_TEST

#define FORK_BYTES sizeof(struct denet_bpf_fork)
#define TEXTS_BYTES sizeof(struct denet_bpf_texts)
#define EXIT_BYTES sizeof(struct denet_bpf_exit)
#define FREE_BYTES sizeof(struct denet_bpf_process)
#define BEHIND 24 /* bytes behind the texts, where there are some */

/* Bytes that are no event; most of them miss by one. */
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
    /* Unknown kinds, and kinds of iterator records. */
    {0, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_COMPACT, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_PROCESS, PID, sizeof(struct denet_bpf_process), 0, 0, 0},
    {DENET_BPF_THREAD, PID, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_FREE + 1, PID, FREE_BYTES, 0, 0, 0},
    {UINT32_MAX, PID, FREE_BYTES, 0, 0, 0},
    /* Pids. */
    {DENET_BPF_FORK, 0, FORK_BYTES, 0, 0, 0},
    {DENET_BPF_FORK, (denet_u32)INT32_MAX + 1, FORK_BYTES, 0, 0, 0},
    {DENET_BPF_FREE, UINT32_MAX, FREE_BYTES, 0, 0, 0},
    {DENET_BPF_TEXTS, 0, TEXTS_BYTES, 0, 0, 0},
    /* Texts longer than the event. */
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 1, 0, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 0, 1, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES, 0, 0, 1},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, BEHIND + 1, 0, 0},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, 8, 8, 9},
    {DENET_BPF_TEXTS, PID, TEXTS_BYTES + BEHIND, UINT32_MAX, 0, 0},
    /* Texts whose sum overflows 32 bits. */
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

START_TEST(malformed_event_is_refused_and_changes_nothing) {
  OWN_LIFECYCLE lifecycle = {0};
  ck_assert_int_eq(note_malformed(&lifecycle, _i), -EINVAL);
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, (pid_t)malformed[_i].pid, START_NS));
  ck_assert_uint_eq(lifecycle.count, 0);
  note_arguments(&lifecycle, (struct denet_text)BYTES("old"));
  const struct denet_bpf_texts *before = find(&lifecycle)->texts;
  ck_assert_int_eq(note_malformed(&lifecycle, _i), -EINVAL);
  const struct denet_lifecycle_entry *entry = find(&lifecycle);
  ck_assert_ptr_eq(entry->texts, before);
  ck_assert(!entry->was_forked && !entry->has_exited && !entry->was_freed);
}
END_TEST

static const struct {
  enum denet_text_kind kind;
  struct denet_text part;
  int outcome;
  struct denet_text text;
} texts[] = {
    {DENET_TEXT_ARGUMENTS, BYTES("app\0-v\0"), 0, BYTES("app\0-v")},
    {DENET_TEXT_ARGUMENTS, BYTES("app\0\0\0"), 0, BYTES("app")},
    {DENET_TEXT_ARGUMENTS, BYTES("app\0\0b\0"), 0, BYTES("app\0\0b")},
    {DENET_TEXT_ARGUMENTS, BYTES("cut o"), 0, BYTES("cut o")},
    {DENET_TEXT_ARGUMENTS, BYTES("\0\0"), 0, BYTES("")},
    {DENET_TEXT_ARGUMENTS, BYTES(""), 0, BYTES("")},
    {DENET_TEXT_EXECUTABLE, BYTES("sh\0bin\0usr\0"), 0, BYTES("/usr/bin/sh")},
    {DENET_TEXT_EXECUTABLE, BYTES("init\0"), 0, BYTES("/init")},
    {DENET_TEXT_EXECUTABLE, BYTES("a\0b\0c\0"), 0, BYTES("/c/b/a")},
    {DENET_TEXT_EXECUTABLE, BYTES(" )\n\0\xff\0"), 0, BYTES("/\xff/ )\n")},
    {DENET_TEXT_EXECUTABLE, BYTES("\0\0"), 0, BYTES("//")},
    {DENET_TEXT_EXECUTABLE, BYTES("\0a\0\0"), 0, BYTES("//a/")},
    {DENET_TEXT_EXECUTABLE, BYTES("cut"), 0, BYTES("/cu")}, /* each byte but one, and a slash */
    {DENET_TEXT_EXECUTABLE, BYTES(""), -ENOENT, BYTES("")},
    {DENET_TEXT_CGROUP, BYTES("ssh.service\0system.slice\0"), 0,
     BYTES("/system.slice/ssh.service")},
    {DENET_TEXT_CGROUP, BYTES("init.scope\0"), 0, BYTES("/init.scope")},
    {DENET_TEXT_CGROUP, BYTES("\0"), 0, BYTES("/")},
    {DENET_TEXT_CGROUP, BYTES(""), -ENOENT, BYTES("")},
};

/* Its text may be longer or shorter than the one that it replaces. */
START_TEST(text_is_that_of_the_last_event) {
  OWN_LIFECYCLE lifecycle = {0};
  OWN_BUFFER out = {0};
  struct denet_text parts[] = {BYTES("an\0argument\0"), BYTES("leaf\0top\0"), BYTES("unit\0")};
  note_texts(&lifecycle, parts);
  parts[texts[_i].kind] = texts[_i].part;
  note_texts(&lifecycle, parts);
  ck_assert_int_eq(denet_buffer_append_string(&out, "before:"), 0);
  ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), texts[_i].kind, &out),
                   texts[_i].outcome);
  ck_assert_uint_eq(out.length, strlen("before:") + texts[_i].text.length);
  ck_assert_mem_eq(out.bytes, "before:", strlen("before:"));
  ck_assert_mem_eq(out.bytes + strlen("before:"), texts[_i].text.bytes, texts[_i].text.length);
}
END_TEST

START_TEST(removed_entry_is_gone_and_a_later_event_makes_a_new_one_without_texts) {
  OWN_LIFECYCLE lifecycle = {0};
  OWN_BUFFER out = {0};
  note_arguments(&lifecycle, (struct denet_text)BYTES("app\0"));
  note_fork(&lifecycle, PID, START_NS + 1, 3);
  ck_assert_ptr_eq(lifecycle.entries[0], find(&lifecycle));
  denet_lifecycle_remove(&lifecycle, 0);
  ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, PID, START_NS));
  ck_assert_uint_eq(lifecycle.count, 1);
  ck_assert_uint_eq(lifecycle.entries[0]->start_ns, START_NS + 1);
  note_fork(&lifecycle, PID, START_NS, 3);
  ck_assert_ptr_null(find(&lifecycle)->texts);
  for (int kind = DENET_TEXT_ARGUMENTS; kind <= DENET_TEXT_CGROUP; kind++)
    ck_assert_int_eq(denet_lifecycle_entry_text(find(&lifecycle), kind, &out), -ENOENT);
  ck_assert_uint_eq(out.length, 0);
  ck_assert_uint_eq(lifecycle.count, 2);
}
END_TEST

#define MANY 5000 /* pids with two entries each */

/* Each pid is noted once with each start, and another parent, unsorted. */
static void note_many(struct denet_lifecycle *lifecycle) {
  for (int64_t i = 0; i < 2 * MANY; i++) {
    int start_ns = i % 2 == i / MANY ? 10 : 20;
    note_fork(lifecycle, 1 + (pid_t)(i * 3571 % MANY), (uint64_t)start_ns, start_ns + 1);
  }
}

START_TEST(many_entries_are_by_pid_and_start_until_they_are_removed) {
  OWN_LIFECYCLE lifecycle = {0};
  for (int round = 0; round < 2; round++) {
    note_many(&lifecycle);
    ck_assert_uint_eq(lifecycle.count, 2 * MANY);
    for (size_t i = lifecycle.count; i-- > 0;) {
      ck_assert_int_eq(lifecycle.entries[i]->pid, (pid_t)(1 + i / 2));
      ck_assert_uint_eq(lifecycle.entries[i]->start_ns, i % 2 ? 20 : 10);
      ck_assert_int_eq(lifecycle.entries[i]->parent_pid, i % 2 ? 21 : 11);
      if (i % 3)
        denet_lifecycle_remove(&lifecycle, i);
    }
    for (size_t i = 0; i < (size_t)2 * MANY; i++) {
      const struct denet_lifecycle_entry *entry =
          denet_lifecycle_find(&lifecycle, (pid_t)(1 + i / 2), i % 2 ? 20 : 10);
      ck_assert_int_eq(entry == NULL, i % 3 != 0);
    }
    ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, 1, 15));
    ck_assert_uint_eq(lifecycle.count, (2 * MANY + 2) / 3);
    denet_lifecycle_done(&lifecycle);
    denet_lifecycle_done(&lifecycle); /* it may be called twice */
    ck_assert_ptr_null(denet_lifecycle_find(&lifecycle, 1, 10));
  }
}
END_TEST

void add_cases(Suite *suite) {
  add_loop_case(suite, "orders", events_of_a_process_are_noted_in_any_order, ORDERS);
  add_loop_case(suite, "ages", age_of_the_main_thread_is_kept_if_several_threads_exit_at_once, 2);
  ADD_TABLE(suite, malformed_event_is_refused_and_changes_nothing, malformed);
  ADD_TABLE(suite, text_is_that_of_the_last_event, texts);
  ADD_TEST(suite, removed_entry_is_gone_and_a_later_event_makes_a_new_one_without_texts);
  ADD_TEST(suite, many_entries_are_by_pid_and_start_until_they_are_removed);
}
