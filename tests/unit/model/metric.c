#include "core/model/metric.h"

#include "core/util/buffer.h"
#include "core/util/cleanup.h"
#include "plugin/collectd/types.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* That of collectd, unless the build names another. */
#ifndef DENET_TYPES_DB
#define DENET_TYPES_DB "/usr/share/collectd/types.db"
#endif

#define TYPES_LIMIT (1 << 20)

/* What types.db says of a type, types.db(5). */
struct type {
  unsigned sources;
  char kind[DENET_LIST_SOURCES][16]; /* GAUGE, DERIVE, ... */
};

static bool is_same(const char *a, const char *b) { return a && b && !strcmp(a, b); }

/* Parses the data sources of a line: "rx:DERIVE:0:U, tx:DERIVE:0:U". */
static struct type parse_sources(char *text) {
  struct type type = {0};
  char *source, *rest = text;
  while ((source = strsep(&rest, ","))) {
    char kind[16];
    ck_assert_int_eq(sscanf(source, " %*[^:]:%15[^:]", kind), 1);
    if (type.sources < DENET_LIST_SOURCES)
      strcpy(type.kind[type.sources], kind);
    type.sources++;
  }
  return type;
}

static bool find_type(const char *name, struct type *out_type) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  DENET_CLOSE int fd = open(DENET_TYPES_DB, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, DENET_TYPES_DB ": %s", strerror(errno));
  ck_assert_int_eq(denet_buffer_read(&text, fd, TYPES_LIMIT), 0);
  size_t length = strlen(name);
  char *line, *rest = text.bytes;
  while ((line = strsep(&rest, "\n"))) {
    if (strncmp(line, name, length) || !strchr(" \t", line[length]))
      continue;
    *out_type = parse_sources(line + length);
    return true;
  }
  return false;
}

static const char *kind_name(enum denet_kind kind) {
  return kind == DENET_COUNTER ? "DERIVE" : "GAUGE";
}

START_TEST(type_is_in_types_db) {
  struct type type;
  ck_assert_msg(find_type(denet_lists[_i].type, &type), "%s is not in " DENET_TYPES_DB,
                denet_lists[_i].type);
  ck_assert_uint_eq(type.sources, denet_lists[_i].count);
  ck_assert_uint_gt(denet_lists[_i].divisor, 0);
  for (unsigned k = 0; k < denet_lists[_i].count; k++) {
    const struct denet_metric_info *info = &denet_metric_info[denet_lists[_i].metrics[k]];
    ck_assert_str_eq(type.kind[k], kind_name(info->kind));
    /* One word of Report asks for all of a list. */
    ck_assert_int_eq(info->report, denet_metric_info[denet_lists[_i].metrics[0]].report);
  }
  for (int i = 0; i < _i; i++)
    ck_assert(!is_same(denet_lists[i].type, denet_lists[_i].type) ||
              !is_same(denet_lists[i].type_instance, denet_lists[_i].type_instance));
}
END_TEST

START_TEST(derived_type_is_in_types_db) {
  struct type type;
  const char *name = denet_derived_lists[_i].type;
  ck_assert_msg(find_type(name, &type), "%s is not in " DENET_TYPES_DB, name);
  ck_assert_uint_eq(type.sources, 1);
  ck_assert_str_eq(type.kind[0],
                   kind_name(denet_derived_info[denet_derived_lists[_i].derived].kind));
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

START_TEST(derived_value_has_one_place_in_collectd) {
  unsigned places = 0;
  for (size_t i = 0; i < DENET_COUNT_OF(denet_derived_lists); i++)
    places += denet_derived_lists[i].derived == (unsigned)_i;
  ck_assert_uint_eq(places, 1);
}
END_TEST

START_TEST(row_is_whole) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  ck_assert_int_eq(info->json.key != NULL, info->json.scope != DENET_NOWHERE);
  ck_assert_int_eq(info->json.key != NULL, info->json.divisor > 0);
  ck_assert_int_eq(info->procfs.key != NULL, info->procfs.file != DENET_FILE_NONE);
  ck_assert(!info->bpf.bytes || info->bpf.bytes == 4 || info->bpf.bytes == 8);
  ck_assert(info->bpf.unit != DENET_TICKS);
  for (unsigned m = 0; m < (unsigned)_i; m++)
    ck_assert(!is_same(info->json.key, denet_metric_info[m].json.key));
}
END_TEST

START_TEST(file_has_no_more_metrics_than_a_source_holds) {
  unsigned count[DENET_FILES] = {0};
  for (unsigned m = 0; m < DENET_METRICS; m++)
    count[denet_metric_info[m].procfs.file]++;
  for (unsigned file = DENET_FILE_NONE + 1; file < DENET_FILES; file++)
    ck_assert_uint_le(count[file], 8); /* struct denet_procfs_plan */
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

static const struct {
  const char *word;
  int report;
} words[] = {
    {"cpu", DENET_REPORT_CPU},
    {"memory", DENET_REPORT_MEMORY},
    {"io", DENET_REPORT_IO},
    {"faults", DENET_REPORT_FAULTS},
    {"threads", DENET_REPORT_THREADS},
    {"switches", DENET_REPORT_SWITCHES},
    {"uptime", DENET_REPORT_UPTIME},
    {"off_cpu", DENET_REPORT_OFF_CPU},
    {"all", DENET_REPORT_ALL},
    {"CPU", DENET_REPORT_CPU},
    {"Off_CPU", DENET_REPORT_OFF_CPU},
    {"", -EINVAL},
    {"cpus", -EINVAL},
    {"cp", -EINVAL},
    {"cpu ", -EINVAL},
    {"cpu memory", -EINVAL},
};

START_TEST(word_of_the_report_option_is_a_bit) {
  ck_assert_int_eq(denet_report_parse(words[_i].word), words[_i].report);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, type_is_in_types_db, denet_lists);
  ADD_TABLE(suite, derived_type_is_in_types_db, denet_derived_lists);
  ADD_TABLE(suite, metric_that_a_report_asks_for_has_one_place_in_collectd, denet_metric_info);
  ADD_TABLE(suite, derived_value_has_one_place_in_collectd, denet_derived_info);
  ADD_TABLE(suite, row_is_whole, denet_metric_info);
  ADD_TEST(suite, file_has_no_more_metrics_than_a_source_holds);
  ADD_TABLE(suite, only_metrics_that_are_reported_or_recorded_are_wanted, wanted);
  ADD_TABLE(suite, word_of_the_report_option_is_a_bit, words);
}
