#include "core/model/metric.h"

#include "core/util/buffer.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* That of collectd, unless the build names another. */
#ifndef DENET_TYPES_DB
#define DENET_TYPES_DB "/usr/share/collectd/types.db"
#endif

#define TYPES_LIMIT (1 << 20)
#define SOURCES 2 /* the most that the plugin puts in one value list */

/* What types.db says of a type, types.db(5). */
struct type {
  unsigned sources;
  char kind[SOURCES][16]; /* GAUGE, DERIVE, ... */
};

static bool is_same(const char *a, const char *b) { return a && b && !strcmp(a, b); }

/* Returns whether a row continues the value list of the row before it. */
static bool continues(unsigned m) {
  const struct denet_metric_info *info = &denet_metric_info[m];
  return m > 0 && is_same(info->type, info[-1].type) &&
         is_same(info->type_instance, info[-1].type_instance);
}

/* Parses the data sources of a line: "rx:DERIVE:0:U, tx:DERIVE:0:U". */
static struct type parse_sources(char *text) {
  struct type type = {0};
  char *source, *rest = text;
  while ((source = strsep(&rest, ","))) {
    char kind[16];
    ck_assert_int_eq(sscanf(source, " %*[^:]:%15[^:]", kind), 1);
    if (type.sources < SOURCES)
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
  return kind == DENET_KIND_COUNTER ? "DERIVE" : "GAUGE";
}

START_TEST(data_sources_of_a_value_list_stand_together_in_order) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  if (!info->type)
    return;
  unsigned expected = continues((unsigned)_i) ? info[-1].data_source + 1 : 0;
  ck_assert_uint_eq(info->data_source, expected);
  ck_assert_uint_lt(info->data_source, SOURCES);
  /* The list does not continue further down. */
  for (unsigned m = (unsigned)_i + 1; m < DENET_METRICS; m++)
    if (!continues(m))
      ck_assert(!is_same(info->type, denet_metric_info[m].type) ||
                !is_same(info->type_instance, denet_metric_info[m].type_instance));
}
END_TEST

START_TEST(rows_of_a_value_list_have_one_word_of_report) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  if (!info->type || !continues((unsigned)_i))
    return;
  ck_assert_int_eq(info->report, info[-1].report);
  ck_assert_int_eq(info->kind, info[-1].kind);
}
END_TEST

START_TEST(type_is_in_types_db) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  struct type type;
  if (!info->type)
    return;
  ck_assert_msg(find_type(info->type, &type), "%s is not in " DENET_TYPES_DB, info->type);
  ck_assert_uint_lt(info->data_source, type.sources);
  ck_assert_str_eq(type.kind[info->data_source], kind_name(info->kind));
  bool is_last = _i + 1 == DENET_METRICS || !continues((unsigned)_i + 1);
  if (is_last)
    ck_assert_uint_eq(type.sources, info->data_source + 1);
}
END_TEST

START_TEST(derived_type_is_in_types_db) {
  const struct denet_derived_info *info = &denet_derived_info[_i];
  struct type type;
  ck_assert_msg(find_type(info->type, &type), "%s is not in " DENET_TYPES_DB, info->type);
  ck_assert_uint_eq(type.sources, 1);
  ck_assert_str_eq(type.kind[0], kind_name(info->kind));
  for (unsigned m = 0; m < DENET_METRICS; m++)
    ck_assert(!is_same(info->type, denet_metric_info[m].type) ||
              !is_same(info->type_instance, denet_metric_info[m].type_instance));
}
END_TEST

START_TEST(row_is_whole) {
  const struct denet_metric_info *info = &denet_metric_info[_i];
  ck_assert_int_eq(info->json_key != NULL, info->json_scope != DENET_SCOPE_NOWHERE);
  ck_assert_int_eq(info->type != NULL, info->type_instance != NULL);
  ck_assert_int_eq(info->key != NULL, info->file != DENET_FILE_NONE);
  ck_assert_uint_gt(info->json_unit, 0);
  ck_assert_uint_gt(info->pipeline_unit, 0);
  ck_assert(!info->type || info->report != DENET_REPORT_NOTHING);
  for (unsigned m = 0; m < (unsigned)_i; m++)
    ck_assert(!is_same(info->json_key, denet_metric_info[m].json_key));
}
END_TEST

START_TEST(file_has_no_more_metrics_than_a_source_holds) {
  unsigned count[DENET_FILES] = {0};
  for (unsigned m = 0; m < DENET_METRICS; m++)
    count[denet_metric_info[m].file]++;
  for (unsigned file = DENET_FILE_NONE + 1; file < DENET_FILES; file++)
    ck_assert_uint_le(count[file], 8); /* struct denet_procfs_plan */
}
END_TEST

START_TEST(value_is_absent_until_it_is_set) {
  struct denet_values values = {0};
  ck_assert(!denet_values_has(&values, _i));
  denet_values_set(&values, _i, 0);
  ck_assert(denet_values_has(&values, _i));
  ck_assert_uint_eq(values.present, UINT64_C(1) << _i);
}
END_TEST

START_TEST(combined_value_is_the_sum_or_the_greatest) {
  struct denet_values one = {0}, two = {0}, none = {0};
  denet_values_set(&one, _i, 5);
  denet_values_set(&two, _i, 7);
  bool adds_up = denet_metric_info[_i].combine == DENET_COMBINE_SUM;
  denet_values_combine(&one, &two);
  ck_assert_uint_eq(one.value[_i], adds_up ? 12 : 7);
  denet_values_combine(&one, &none);
  ck_assert_uint_eq(one.value[_i], adds_up ? 12 : 7);
  denet_values_combine(&none, &two);
  ck_assert_uint_eq(none.present, UINT64_C(1) << _i);
  ck_assert_uint_eq(none.value[_i], 7);
}
END_TEST

START_TEST(cpu_time_is_both_kinds_or_what_there_is) {
  struct denet_values values = {0};
  ck_assert_uint_eq(denet_values_cpu_ns(&values), 0);
  denet_values_set(&values, DENET_CPU_SYSTEM, 3);
  ck_assert_uint_eq(denet_values_cpu_ns(&values), 3);
  denet_values_set(&values, DENET_CPU_USER, 4);
  ck_assert_uint_eq(denet_values_cpu_ns(&values), 7);
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
  uint64_t metrics = denet_metrics_wanted(wanted[_i].report, wanted[_i].records);
  ck_assert_uint_eq(metrics & wanted[_i].with, wanted[_i].with);
  ck_assert_uint_eq(metrics & wanted[_i].without, 0);
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
  ADD_TABLE(suite, data_sources_of_a_value_list_stand_together_in_order, denet_metric_info);
  ADD_TABLE(suite, rows_of_a_value_list_have_one_word_of_report, denet_metric_info);
  ADD_TABLE(suite, type_is_in_types_db, denet_metric_info);
  ADD_TABLE(suite, derived_type_is_in_types_db, denet_derived_info);
  ADD_TABLE(suite, row_is_whole, denet_metric_info);
  ADD_TEST(suite, file_has_no_more_metrics_than_a_source_holds);
  ADD_TABLE(suite, value_is_absent_until_it_is_set, denet_metric_info);
  ADD_TABLE(suite, combined_value_is_the_sum_or_the_greatest, denet_metric_info);
  ADD_TEST(suite, cpu_time_is_both_kinds_or_what_there_is);
  ADD_TABLE(suite, only_metrics_that_are_reported_or_recorded_are_wanted, wanted);
  ADD_TABLE(suite, word_of_the_report_option_is_a_bit, words);
}
