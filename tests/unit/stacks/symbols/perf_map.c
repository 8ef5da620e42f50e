#include "core/stacks/symbols/perf_map.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
  const char *text;
  uint64_t address;
  const char *name;
} rows[] = {
    {"1000 10 a\n", 0x1000, "a"},
    {"1000 10 a\n", 0x100f, "a"},
    {"1000 10 a\n", 0x1010, NULL},
    {"1000 10 a\n", 0xfff, NULL},
    {"1000 10 a", 0x1000, "a"},
    {"0x1000 0x10 a\n", 0x1000, "a"},
    {"AbC0 F a\n", 0xabc1, "a"},
    {"1000 10 LazyCompile:~serve shop.js:7\n", 0x1000, "LazyCompile:~serve shop.js:7"},
    {"1000 10 a\tb\x01\x7f\xc3\xa9\n", 0x1000, "a?b??\xc3\xa9"},
    {"1000 10 " HUNDRED HUNDRED "x\n", 0x1000, HUNDRED HUNDRED},
    {"2000 10 b\n1000 10 a\n", 0x1000, "a"},
    {"2000 10 b\n1000 10 a\n", 0x2000, "b"},
    /* Later ones win, where they are. */
    {"1000 10 old\n1000 10 new\n", 0x1008, "new"},
    {"1000 100 old\n1040 10 new\n", 0x1048, "new"},
    {"1000 100 old\n1040 10 new\n", 0x1050, "old"},
    {"1000 100 old\n1040 10 new\n", 0x103f, "old"},
    {"1040 10 old\n1000 100 new\n", 0x1048, "new"},
    {"50 150 old\n0 64 new\n3c 10 newest\n", 0x90, "old"},
    {"50 150 old\n0 64 new\n3c 10 newest\n", 0x48, "newest"},
    {"50 150 old\n0 64 new\n3c 10 newest\n", 0x58, "new"},
    /* None. */
    {"", 0, NULL},
    {"\n\n", 0, NULL},
    {"1000 10\n", 0x1000, NULL},
    {"1000 10 \n", 0x1000, NULL},
    {"1000 0 a\n", 0x1000, NULL},
    {"x000 10 a\n", 0x1000, NULL},
    {"-1000 10 a\n", 0x1000, NULL},
    {"10000000000000000 10 a\n", 0, NULL},
    {"ffffffffffffffff 10 a\n", UINT64_MAX, NULL},
    {"broken\n1000 10 a\n", 0x1000, "a"},
};

START_TEST(address_has_the_last_name_that_was_given) {
  DENET_CLEANUP(denet_perf_map_done) struct denet_perf_map map = {0};
  ck_assert_int_eq(denet_perf_map_parse(denet_text_of(rows[_i].text), &map), 0);
  ck_assert_pstr_eq(denet_perf_map_find(&map, rows[_i].address), rows[_i].name);
}
END_TEST

/* The owner of a map could have each search take a millisecond. */
START_TEST(search_of_an_address_is_bounded) {
  DENET_CLEANUP(denet_perf_map_done) struct denet_perf_map map = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  char line[64];
  ck_assert_int_eq(denet_buffer_append_string(&text, "0 ffffffff all\n"), 0);
  for (unsigned i = 1; i <= 2 * DENET_PERF_BEFORE_MOST; i++) {
    snprintf(line, sizeof(line), "%x 1 one\n", 2 * i);
    ck_assert_int_eq(denet_buffer_append_string(&text, line), 0);
  }
  ck_assert_int_eq(denet_perf_map_parse(denet_buffer_text(&text), &map), 0);
  ck_assert_str_eq(denet_perf_map_find(&map, 2 * DENET_PERF_BEFORE_MOST - 1), "all");
  ck_assert_ptr_null(denet_perf_map_find(&map, 2 * DENET_PERF_BEFORE_MOST + 1));
  ck_assert_str_eq(denet_perf_map_find(&map, 4 * DENET_PERF_BEFORE_MOST), "one");
}
END_TEST

/* A directory like /proc/PID, with the map of process 5 of an inner namespace. */
struct process {
  char dir[64];
  int fd;
};

/* Runs a command in the directory. Returns whether it succeeded. */
static bool run(const struct process *process, const char *command) {
  char line[512];
  snprintf(line, sizeof(line), "cd %s && m=root/tmp/perf-5.map && %s", process->dir, command);
  return system(line) == 0;
}

static struct process new_process(unsigned uid) {
  struct process process = {.dir = "/tmp/denet-perf-map-XXXXXX"};
  char command[256];
  ck_assert_ptr_nonnull(mkdtemp(process.dir));
  snprintf(command, sizeof(command),
           "mkdir -p root/tmp && printf 'Name:\\tjava\\nUid:\\t%u\\t7\\t7\\t7\\n"
           "NSpid:\\t77\\t5\\nVmSize:\\t8 kB\\n' >status",
           uid);
  ck_assert(run(&process, command));
  process.fd = open(process.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return process;
}

static void remove_process(struct process *process) {
  close(process->fd);
  ck_assert(run(process, "rm -rf $PWD"));
}

START_TEST(file_is_read_again_when_it_has_changed) {
  DENET_CLEANUP(denet_perf_map_done) struct denet_perf_map map = {0};
  struct process process = new_process(geteuid());
  ck_assert_int_eq(denet_perf_map_read(&map, process.fd), -ENOENT);
  ck_assert(run(&process, "echo 1000 10 a >$m"));
  ck_assert_int_eq(denet_perf_map_read(&map, process.fd), 0);
  ck_assert_str_eq(denet_perf_map_find(&map, 0x1000), "a");
  map.count = 0;
  ck_assert_int_eq(denet_perf_map_read(&map, process.fd), 0);
  ck_assert_uint_eq(map.count, 0);
  ck_assert(run(&process, "echo 2000 10 b >>$m"));
  ck_assert_int_eq(denet_perf_map_read(&map, process.fd), 0);
  ck_assert_str_eq(denet_perf_map_find(&map, 0x2000), "b");
  remove_process(&process);
}
END_TEST

/* The process has this user more than the test. A user's own mount namespace can have files there
 * that only root may read. */
static const struct {
  const char *command;
  unsigned user;
  int outcome;
} files[] = {
    {"echo 1000 10 a >$m", 0, 0},
    {"mkfifo $m", 0, -EACCES},
    {"ln -s /etc/passwd $m", 0, -ELOOP},
    {"truncate -s 16777217 $m", 0, -EACCES},
    {"echo 1000 10 a >$m && chown $(($(id -u) + 1)) $m", 1, 0},
    {"echo 1000 10 a >$m && chown $(($(id -u) + 2)) $m", 1, -EACCES},
    {"echo 1000 10 a >$m", 1, -EACCES},
};

START_TEST(only_a_regular_file_of_the_user_and_of_bearable_size_is_read) {
  DENET_CLEANUP(denet_perf_map_done) struct denet_perf_map map = {0};
  struct process process = new_process(geteuid() + files[_i].user);
  if (run(&process, files[_i].command) || geteuid() == 0) /* to chown needs root */
    ck_assert_int_eq(denet_perf_map_read(&map, process.fd), files[_i].outcome);
  remove_process(&process);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, address_has_the_last_name_that_was_given, rows);
  ADD_TEST(suite, search_of_an_address_is_bounded);
  ADD_TEST(suite, file_is_read_again_when_it_has_changed);
  ADD_TABLE(suite, only_a_regular_file_of_the_user_and_of_bearable_size_is_read, files);
}
