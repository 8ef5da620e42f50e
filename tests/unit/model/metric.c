#include "core/model/metric.h"

#include "core/util/buffer.h"
#include "core/util/cleanup.h"
#include "plugin/collectd/types.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* That of collectd, unless the build names another. */
#ifndef DENET_TYPES_DB
#define DENET_TYPES_DB "/usr/share/collectd/types.db"
#endif

#define TYPES_LIMIT (1 << 20)

static bool is_same(const char *a, const char *b) { return a && b && !strcmp(a, b); }

static const char *kind_name(enum denet_kind kind) {
  return kind == DENET_COUNTER ? "DERIVE " : "GAUGE ";
}

/* Checks that types.db(5) has a type with data sources of these kinds: its line has the name and
 * "rx:DERIVE:0:U, tx:DERIVE:0:U" or the like. */
static void expect_type(const char *name, const char *kinds) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  DENET_CLOSE int fd = open(DENET_TYPES_DB, O_RDONLY | O_CLOEXEC);
  char found[64] = "", kind[16];
  ck_assert_msg(!denet_buffer_read(&text, fd, TYPES_LIMIT), DENET_TYPES_DB ": %m");
  for (char *line, *rest = text.bytes; (line = strsep(&rest, "\n"));) {
    size_t length = strcspn(line, " \t");
    if (strlen(name) != length || strncmp(line, name, length) != 0)
      continue;
    for (char *source, *sources = line + length; (source = strsep(&sources, ","));) {
      ck_assert_int_eq(sscanf(source, " %*[^:]:%15[^:]", kind), 1);
      snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", kind);
    }
  }
  ck_assert_msg(!strcmp(found, kinds), "%s is %s in " DENET_TYPES_DB, name, found);
}

START_TEST(type_is_in_types_db) {
  const enum denet_metric *metrics = denet_lists[_i].metrics;
  char kinds[64] = "";
  ck_assert_uint_gt(denet_lists[_i].divisor, 0);
  for (unsigned k = 0; k < denet_lists[_i].count; k++) {
    strcat(kinds, kind_name(denet_metric_info[metrics[k]].kind));
    /* One word of Report asks for all of a list. */
    ck_assert_int_eq(denet_metric_info[metrics[k]].report, denet_metric_info[metrics[0]].report);
  }
  expect_type(denet_lists[_i].type, kinds);
  for (int i = 0; i < _i; i++)
    ck_assert(!is_same(denet_lists[i].type, denet_lists[_i].type) ||
              !is_same(denet_lists[i].type_instance, denet_lists[_i].type_instance));
}
END_TEST

START_TEST(derived_value_has_one_place_in_collectd_and_its_type_is_in_types_db) {
  const char *name = denet_derived_lists[_i].type;
  expect_type(name, kind_name(denet_derived_info[denet_derived_lists[_i].derived].kind));
  ck_assert_uint_eq(DENET_COUNT_OF(denet_derived_lists), DENET_DERIVEDS);
  for (int i = 0; i < _i; i++)
    ck_assert_int_ne(denet_derived_lists[i].derived, denet_derived_lists[_i].derived);
  for (size_t i = 0; i < DENET_COUNT_OF(denet_lists); i++)
    ck_assert(!is_same(denet_lists[i].type, name) ||
              !is_same(denet_lists[i].type_instance, denet_derived_lists[_i].type_instance));
}
END_TEST

START_TEST(metric_that_a_report_asks_for_has_one_place_in_collectd) {
  unsigned places = 0;
  for (size_t i = 0; i < DENET_COUNT_OF(denet_lists); i++)
    for (unsigned k = 0; k < denet_lists[i].count; k++)
      places += denet_lists[i].metrics[k] == (unsigned)_i;
  ck_assert_uint_eq(places, denet_metric_info[_i].report != DENET_REPORT_NOTHING);
}
END_TEST

START_TEST(row_is_whole) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  unsigned of_file = 0;
  ck_assert_int_eq(info->json.key != NULL, info->json.scope != DENET_NOWHERE);
  ck_assert_int_eq(info->json.key != NULL, info->json.divisor > 0);
  ck_assert_int_eq(info->procfs.key != NULL, info->procfs.file != DENET_FILE_NONE);
  ck_assert(!info->bpf.bytes || info->bpf.bytes == 4 || info->bpf.bytes == 8);
  ck_assert(info->bpf.unit != DENET_TICKS);
  for (unsigned m = 0; m <= (unsigned)_i; m++) {
    ck_assert(m == (unsigned)_i || !is_same(info->json.key, denet_metric_info[m].json.key));
    of_file += info->procfs.key && denet_metric_info[m].procfs.file == info->procfs.file;
  }
  ck_assert_uint_le(of_file, 8); /* struct denet_procfs_plan */
}
END_TEST

#define BIT(metric) (UINT64_C(1) << (metric))

static const struct {
  unsigned report;
  bool records;
  uint64_t with, without;
} wanted[] = {
    {DENET_REPORT_NOTHING, false, 0, UINT64_MAX},
    {DENET_REPORT_MEMORY, false, BIT(DENET_RSS) | BIT(DENET_VM), BIT(DENET_CPU_USER)},
    {DENET_REPORT_CPU, false, BIT(DENET_CPU_USER) | BIT(DENET_CPU_SYSTEM), BIT(DENET_RSS)},
    {DENET_REPORT_IO, false, BIT(DENET_DISK_READ) | BIT(DENET_WRITE_CALLS), BIT(DENET_NET_RX)},
    {DENET_REPORT_OFF_CPU, false, BIT(DENET_RUN_DELAY), BIT(DENET_SWITCHES_VOLUNTARY)},
    {DENET_REPORT_ALL, false, BIT(DENET_READ_CALLS) | BIT(DENET_UPTIME),
     BIT(DENET_NET_RX) | BIT(DENET_NET_TX) | BIT(DENET_CPU_CORE)},
    {DENET_REPORT_NOTHING, true,
     BIT(DENET_NET_RX) | BIT(DENET_CPU_CORE) | BIT(DENET_CPU_USER) | BIT(DENET_RSS),
     BIT(DENET_READ_CALLS)},
};

START_TEST(only_metrics_that_are_reported_or_recorded_are_wanted) {
  struct denet_metric_set metrics = denet_metrics_wanted(wanted[_i].report, wanted[_i].records);
  ck_assert_uint_eq(metrics.words[0] & wanted[_i].with, wanted[_i].with);
  ck_assert_uint_eq(metrics.words[0] & wanted[_i].without, 0);
}
END_TEST

START_TEST(word_of_the_report_option_is_a_bit) {
  static const char *const others[] = {"", "cpus", "cp", "cpu ", "cpu memory"};
  ck_assert_int_eq(denet_report_parse("cpu"), DENET_REPORT_CPU);
  ck_assert_int_eq(denet_report_parse("memory"), DENET_REPORT_MEMORY);
  ck_assert_int_eq(denet_report_parse("io"), DENET_REPORT_IO);
  ck_assert_int_eq(denet_report_parse("faults"), DENET_REPORT_FAULTS);
  ck_assert_int_eq(denet_report_parse("threads"), DENET_REPORT_THREADS);
  ck_assert_int_eq(denet_report_parse("switches"), DENET_REPORT_SWITCHES);
  ck_assert_int_eq(denet_report_parse("uptime"), DENET_REPORT_UPTIME);
  ck_assert_int_eq(denet_report_parse("Off_CPU"), DENET_REPORT_OFF_CPU);
  ck_assert_int_eq(denet_report_parse("all"), DENET_REPORT_ALL);
  for (size_t i = 0; i < DENET_COUNT_OF(others); i++)
    ck_assert_int_eq(denet_report_parse(others[i]), -EINVAL);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, type_is_in_types_db, denet_lists);
  ADD_TABLE(suite, derived_value_has_one_place_in_collectd_and_its_type_is_in_types_db,
            denet_derived_lists);
  ADD_TABLE(suite, metric_that_a_report_asks_for_has_one_place_in_collectd, denet_metric_info);
  ADD_TABLE(suite, row_is_whole, denet_metric_info);
  ADD_TABLE(suite, only_metrics_that_are_reported_or_recorded_are_wanted, wanted);
  ADD_TEST(suite, word_of_the_report_option_is_a_bit);
}
