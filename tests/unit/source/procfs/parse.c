/* Whether any bytes are safe to parse is for tests/fuzz/fuzz_proc_text.c and fuzz_cmdline.c. */
#include "core/source/procfs/parse.h"

#include "tests/unit/text.h"

#include <errno.h>
#include <stdlib.h>

/* Fields 4 to 22 and 4 to 52 of a stat line, each with its own number as its value. */
#define TO_22 " 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22"
#define WORKER " 2 0 0 0 -1 69238880 10 11 12 13 14 15 16 17 18 19 20 21 22" /* PF_WQ_WORKER */
#define TO_52                                                                                      \
  TO_22 " 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 " \
        "52"

static const struct {
  struct denet_text text;
  pid_t pid;
  const char *name;
  char state;
  unsigned fields;
  unsigned index; /* of a field to look at, 0: none */
  uint64_t value;
} stat_lines[] = {
    {BYTES("1 (init) S" TO_52 "\n"), 1, "init", 'S', 53, 52, 52},
    {BYTES("1 (init) S" TO_52 " 53 54"), 1, "init", 'S', 53, 22, 22},
    {BYTES("1 (init) S" TO_22), 1, "init", 'S', 23, 4, 4},
    {BYTES("2147483647 (x) R" TO_22 "\n"), 2147483647, "x", 'R', 23, 0, 0},
    /* Names. */
    {BYTES("7 (foo )bar) S" TO_52 "\n"), 7, "foo )bar", 'S', 53, 20, 20},
    {BYTES("7 (a) R 1 (b) S" TO_52 "\n"), 7, "a) R 1 (b", 'S', 53, 4, 4},
    {BYTES("7 (a\nb) S" TO_52 "\n"), 7, "a\nb", 'S', 53, 4, 4},
    {BYTES("7 (((((((((((((((() S" TO_52), 7, "(((((((((((((((", 'S', 53, 4, 4},
    {BYTES("7 () S" TO_52 "\n"), 7, "", 'S', 53, 4, 4},
    {BYTES("7 (\xff\xfe\x01) Z" TO_52 "\n"), 7, "\xff\xfe\x01", 'Z', 53, 4, 4},
    {BYTES("7 (123456789012345) S" TO_52), 7, "123456789012345", 'S', 53, 4, 4},
    {BYTES("7 (1234567890123456) S" TO_52), 7, "123456789012345", 'S', 53, 4, 4},
    /* Workers of the kernel, and processes that are named like one. */
    {BYTES("7 (kworker/0:1-events_power_efficient) I" WORKER), 7, "kworker/0:1", 'I', 23, 22, 22},
    {BYTES("7 (kworker/u16:3+flush-8:0) I" WORKER), 7, "kworker/u16:3", 'I', 23, 22, 22},
    {BYTES("7 (kworker/0:1H-kblockd) I" WORKER), 7, "kworker/0:1H", 'I', 23, 22, 22},
    {BYTES("7 (kworker/2:0) I" WORKER), 7, "kworker/2:0", 'I', 23, 22, 22},
    {BYTES("7 (kworker/u128:100-x) I" WORKER), 7, "kworker/u128:10", 'I', 23, 22, 22},
    {BYTES("7 (kworker/R-xfs-log/sda1) I" WORKER), 7, "kworker/R-xfs-l", 'I', 23, 22, 22},
    {BYTES("7 (dm-thin) I" WORKER), 7, "dm-thin", 'I', 23, 22, 22},
    {BYTES("7 (kworker/0:1-events) S" TO_52), 7, "kworker/0:1-eve", 'S', 53, 22, 22},
    /* Numbers. */
    {BYTES("7 (a) S 1 7 7 0 -1 5 6 7 8 9 10 11 -3 0 0 0 0 0 99"), 7, "a", 'S', 23, 16,
     UINT64_MAX - 2},
    {BYTES("7 (a) S" TO_22 " 18446744073709551615 24"), 7, "a", 'S', 25, 23, UINT64_MAX},
    {BYTES("7 (a) S" TO_22 " 18446744073709551616 24"), 7, "a", 'S', 23, 0, 0},
    {BYTES("7 (a) S" TO_22 " x 24"), 7, "a", 'S', 23, 0, 0},
    {BYTES("7 (a) S" TO_22 " - 24"), 7, "a", 'S', 23, 0, 0},
};

static const struct denet_text no_stat_lines[] = {
    {NULL, 0},
    BYTES(""),
    BYTES("7"),
    BYTES("7 a S" TO_52),
    BYTES("7 (a S" TO_52),
    BYTES("7 a) S" TO_52),
    BYTES("7 )a( S" TO_52),
    BYTES("(a) S" TO_52),
    BYTES("0 (a) S" TO_52),
    BYTES("-7 (a) S" TO_52),
    BYTES("2147483648 (a) S" TO_52),
    BYTES("7 (a)"),
    BYTES("7 (a) S"),
    BYTES("7 (a)S" TO_52),
    BYTES("7 (a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"),
    BYTES("7 (a) S 4 5 99999999999999999999999 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22")};

START_TEST(stat_line_is_its_fields) {
  struct denet_stat stat = {.pid = -1};
  ck_assert_int_eq(denet_parse_stat(stat_lines[_i].text, &stat), 0);
  ck_assert_int_eq(stat.pid, stat_lines[_i].pid);
  ck_assert_str_eq(stat.name, stat_lines[_i].name);
  ck_assert_int_eq(stat.state, stat_lines[_i].state);
  ck_assert_uint_eq(stat.fields, stat_lines[_i].fields);
  if (stat_lines[_i].index)
    ck_assert_uint_eq(stat.field[stat_lines[_i].index], stat_lines[_i].value);
}
END_TEST

START_TEST(another_text_is_refused) {
  struct denet_stat stat = {.pid = -1};
  ck_assert_int_eq(denet_parse_stat(no_stat_lines[_i], &stat), -EINVAL);
  ck_assert_int_eq(stat.pid, -1);
}
END_TEST

#define IO                                                                                         \
  "rchar: 323934931\nwchar: 323929600\nsyscr: 632687\nsyscw: 632675\nread_bytes: 0\n"              \
  "write_bytes: 323932160\ncancelled_write_bytes: 7\n"

#define HEADERS                                                                                    \
  "Inter-|   Receive                                                |  Transmit\n"                 \
  " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "  \
  "fifo colls carrier compressed\n"
#define LO "    lo: 1000  10    0    0    0     0          0         0 1000  10 0 0 0 0 0 0\n"
#define ETH0 "  eth0: 2000  20    1    2    3     4          5         6 700   8 0 0 0 0 0 0\n"
#define DOCKER0 "docker0:50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0\n"

enum { FIELD, KEY, NET_DEV };
#define ABSENT 4711

static const struct {
  struct denet_text text;
  int kind;
  const char *key;
  uint64_t value;
} numbers[] = {
    /* By index in a line. */
    {BYTES("24173 5423 276 1 0 7291 0\n"), FIELD, "1", 24173},
    {BYTES("24173 5423 276 1 0 7291 0\n"), FIELD, "7", 0},
    {BYTES("24173 5423 276 1 0 7291 0\n"), FIELD, "8", ABSENT},
    {BYTES("24173 5423"), FIELD, "0", ABSENT},
    {BYTES("  \t 1\t 2"), FIELD, "2", 2},
    {BYTES("-1"), FIELD, "1", UINT64_MAX},
    {BYTES("- 1"), FIELD, "1", ABSENT},
    {BYTES("+1"), FIELD, "1", ABSENT},
    {BYTES("1 18446744073709551615"), FIELD, "2", UINT64_MAX},
    {BYTES("1 18446744073709551616 3"), FIELD, "2", ABSENT},
    {BYTES("1 18446744073709551616 3"), FIELD, "3", ABSENT},
    {BYTES("1 x 3"), FIELD, "3", ABSENT},
    {BYTES("12\0003"), FIELD, "1", 12},
    {BYTES(""), FIELD, "1", ABSENT},
    {{NULL, 0}, FIELD, "1", ABSENT},
    /* By a key, a whole word at the start of a line. */
    {BYTES(IO), KEY, "rchar", 323934931},
    {BYTES(IO), KEY, "read_bytes", 0},
    {BYTES(IO), KEY, "write_bytes", 323932160},
    {BYTES(IO), KEY, "cancelled_write_bytes", 7},
    {BYTES(IO), KEY, "bytes", ABSENT},
    {BYTES(IO), KEY, "read_byte", ABSENT},
    {BYTES("cancelled_write_bytes: 7\nwrite_bytes: 9\n"), KEY, "write_bytes", 9},
    {BYTES("write_bytes2: 7\n"), KEY, "write_bytes", ABSENT},
    {BYTES("Name:\tUid:\t5\nUid:\t1000\t1001\t1002\t1003\n"), KEY, "Uid", 1000},
    {BYTES("a: 1\r\nwchar: 2\r\nb: 3\r\n"), KEY, "wchar", 2},
    {BYTES("rchar: 1\nwchar: 2"), KEY, "wchar", 2},
    {BYTES("rchar:1\n"), KEY, "rchar", 1},
    {BYTES("rchar 1\n"), KEY, "rchar", ABSENT},
    {BYTES("rchar:\nwchar: 3\n"), KEY, "rchar", ABSENT},
    {BYTES("rchar: many\n"), KEY, "rchar", ABSENT},
    {BYTES("rchar:"), KEY, "rchar", ABSENT},
    {BYTES("rchar"), KEY, "rchar", ABSENT},
    {BYTES(" rchar: 1\n"), KEY, "rchar", ABSENT},
    {BYTES("rchar: 18446744073709551615\n"), KEY, "rchar", UINT64_MAX},
    {BYTES("rchar: 18446744073709551616\n"), KEY, "rchar", ABSENT},
    {BYTES("\n\n\nrchar: 4\n"), KEY, "rchar", 4},
    {BYTES("\0rchar: 4\nrchar: 5\n"), KEY, "rchar", 5},
    {BYTES(""), KEY, "rchar", ABSENT},
    {{NULL, 0}, KEY, "rchar", ABSENT},
    /* By index, summed over all interfaces except lo. */
    {BYTES(HEADERS LO ETH0), NET_DEV, "1", 2000},
    {BYTES(HEADERS LO ETH0), NET_DEV, "9", 700},
    {BYTES(HEADERS LO ETH0 DOCKER0), NET_DEV, "1", 2050},
    {BYTES(HEADERS ETH0 DOCKER0 LO), NET_DEV, "9", 760},
    {BYTES(HEADERS LO), NET_DEV, "1", 0},
    {BYTES(HEADERS "  eth0:123 0 0 0 0 0 0 0 456"), NET_DEV, "9", 456},
    {BYTES(HEADERS "  lo1: 5 0 0 0 0 0 0 0 6\n"), NET_DEV, "1", 5},
    {BYTES(HEADERS "  xlo: 5 0 0 0 0 0 0 0 6\n"), NET_DEV, "1", 5},
    {BYTES(HEADERS "  eth0: 5 6\n" DOCKER0), NET_DEV, "9", 60},
    {BYTES(HEADERS "  eth0: 5 6\n"), NET_DEV, "9", ABSENT},
    {BYTES(HEADERS), NET_DEV, "1", ABSENT},
    {BYTES(""), NET_DEV, "1", ABSENT},
    {{NULL, 0}, NET_DEV, "1", ABSENT},
};

START_TEST(a_number_is_found_by_its_index_or_key) {
  unsigned index = (unsigned)strtoul(numbers[_i].key, NULL, 10);
  struct denet_text text = numbers[_i].text;
  uint64_t value = ABSENT;
  bool is_found = numbers[_i].kind == FIELD ? denet_parse_field(text, index, &value)
                  : numbers[_i].kind == KEY ? denet_parse_keys(text, &numbers[_i].key, 1, &value)
                                            : denet_parse_net_dev(text, index, &value);
  ck_assert_uint_eq(value, numbers[_i].value);
  ck_assert_int_eq(is_found, value != ABSENT);
}
END_TEST

START_TEST(several_keys_are_found_at_once) {
  static const char *const wanted[] = {"write_bytes", "nothing", "rchar"};
  struct denet_text text = BYTES(IO);
  uint64_t values[3] = {1, 2, 3};
  ck_assert_uint_eq(denet_parse_keys(text, wanted, 3, values), 5);
  ck_assert_uint_eq(values[0], 323932160);
  ck_assert_uint_eq(values[1], 2);
  ck_assert_uint_eq(values[2], 323934931);
}
END_TEST

static const struct {
  struct denet_text text;
  const char *path; /* NULL: absent */
} cgroups[] = {
    {BYTES("0::/system.slice/sshd.service\n"), "/system.slice/sshd.service"},
    {BYTES("0::/system.slice/sshd.service"), "/system.slice/sshd.service"},
    {BYTES("0::/\n"), "/"},
    {BYTES("0::/a b:c/d::e\n"), "/a b:c/d::e"},
    {BYTES("12:cpu,cpuacct:/x\n1:name=systemd:/user.slice/a.scope\n"), "/user.slice/a.scope"},
    {BYTES("10:memory:/m\n1:name=systemd:/init.scope\n0::/init.scope\n"), "/init.scope"},
    {BYTES("1:name=systemd:/one\n0::/two\n"), "/two"},
    {BYTES("0::/\n1:name=systemd:/one\n"), "/one"},
    {BYTES("1:name=systemd:/\n0::/\n"), "/"},
    {BYTES("12:cpu,cpuacct:/x\n11:memory:/y\n"), NULL},
    {BYTES("10::/not-unified\n"), NULL},
    {BYTES("5:cpu:/name=systemd:/x\n"), NULL},
    {BYTES("nonsense\n"), NULL},
    {BYTES("\n\n"), NULL},
    {BYTES(""), NULL},
    {{NULL, 0}, NULL},
};

START_TEST(cgroup_path_is_of_the_unified_hierarchy_unless_that_is_the_root) {
  expect_text(denet_parse_cgroup(cgroups[_i].text), cgroups[_i].path);
}
END_TEST

static const struct {
  struct denet_text text;
  unsigned count;
  const char *arguments[4];
} command_lines[] = {
    {BYTES("sleep\00010\0"), 2, {"sleep", "10"}},
    {BYTES("sleep\00010"), 2, {"sleep", "10"}},
    {BYTES("nginx: worker process\0\0\0\0\0\0\0\0"), 1, {"nginx: worker process"}},
    {BYTES("sh\0-c\0\0x\0"), 4, {"sh", "-c", "", "x"}},
    {BYTES("\0x\0"), 2, {"", "x"}},
    {BYTES("a\nb\0\xff\0"), 2, {"a\nb", "\xff"}},
    {BYTES("\0\0\0"), 0, {NULL}},
    {BYTES(""), 0, {NULL}},
    {{NULL, 0}, 0, {NULL}},
};

START_TEST(command_line_is_its_arguments) {
  struct denet_text rest = denet_parse_arguments(command_lines[_i].text), argument;
  unsigned count = 0;
  while (denet_parse_next_argument(&rest, &argument)) {
    ck_assert_uint_lt(count, command_lines[_i].count);
    expect_text(argument, command_lines[_i].arguments[count++]);
  }
  ck_assert_uint_eq(count, command_lines[_i].count);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, stat_line_is_its_fields, stat_lines);
  ADD_TABLE(suite, another_text_is_refused, no_stat_lines);
  ADD_TABLE(suite, a_number_is_found_by_its_index_or_key, numbers);
  ADD_TEST(suite, several_keys_are_found_at_once);
  ADD_TABLE(suite, cgroup_path_is_of_the_unified_hierarchy_unless_that_is_the_root, cgroups);
  ADD_TABLE(suite, command_line_is_its_arguments, command_lines);
}
