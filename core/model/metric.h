/* The metrics by number, and what metrics.def says of each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum denet_metric {
#define DENET_METRIC(id, ...) DENET_##id,
#define DENET_DERIVED(...)
#include "core/model/metrics.def"
#undef DENET_METRIC
#undef DENET_DERIVED
  DENET_METRICS
};

enum denet_derived {
#define DENET_METRIC(...)
#define DENET_DERIVED(id, ...) DENET_DERIVED_##id,
#include "core/model/metrics.def"
#undef DENET_METRIC
#undef DENET_DERIVED
  DENET_DERIVEDS
};

enum denet_kind { DENET_KIND_COUNTER, DENET_KIND_GAUGE };
enum denet_combine { DENET_COMBINE_SUM, DENET_COMBINE_MAX };
enum denet_scope { DENET_SCOPE_NOWHERE, DENET_SCOPE_EVERY, DENET_SCOPE_ONE, DENET_SCOPE_ALL_OF };

/* The words of the Report option, as bits. NOTHING is what no report asks for, only the files. */
enum denet_report {
  DENET_REPORT_NOTHING = 0,
  DENET_REPORT_CPU = 1 << 0,
  DENET_REPORT_MEMORY = 1 << 1,
  DENET_REPORT_IO = 1 << 2,
  DENET_REPORT_FAULTS = 1 << 3,
  DENET_REPORT_THREADS = 1 << 4,
  DENET_REPORT_SWITCHES = 1 << 5,
  DENET_REPORT_UPTIME = 1 << 6,
  DENET_REPORT_OFF_CPU = 1 << 7,
  DENET_REPORT_ALL = (1 << 8) - 1,
  DENET_REPORT_REASONS = 1 << 8, /* no word's: off_cpu of a rule that has stacks */
};

/* The files of one process (THREAD_*: of each of its threads) that hold metrics. */
enum denet_proc_file {
  DENET_FILE_NONE,
  DENET_FILE_STAT,
  DENET_FILE_STATM,
  DENET_FILE_IO,
  DENET_FILE_NET_DEV,
  DENET_FILE_THREAD_STATUS,
  DENET_FILE_THREAD_SCHEDSTAT,
  DENET_FILES
};

enum denet_file_unit { DENET_UNIT_ONE, DENET_UNIT_TICKS, DENET_UNIT_PAGES, DENET_UNITS };

/* One row of metrics.def; see there. */
struct denet_metric_info {
  enum denet_kind kind;
  enum denet_combine combine;
  enum denet_report report;
  const char *json_key;
  enum denet_scope json_scope;
  uint64_t json_unit;
  const char *type;
  const char *type_instance;
  unsigned data_source;
  uint64_t pipeline_unit;
  enum denet_proc_file file;
  const char *key;
  enum denet_file_unit file_unit;
};

struct denet_derived_info {
  enum denet_kind kind;
  enum denet_report report;
  const char *type;
  const char *type_instance;
};

extern const struct denet_metric_info denet_metric_info[DENET_METRICS];
extern const struct denet_derived_info denet_derived_info[DENET_DERIVEDS];

/* One value of each metric in core's units (ns, bytes, counts). Absent is a cleared bit. */
struct denet_values {
  uint64_t present; /* bit m: value[m] was read */
  uint64_t value[DENET_METRICS];
};

_Static_assert(DENET_METRICS <= 64, "present has a bit for each metric");

/* Bit m: metric m is a counter. */
static const uint64_t denet_counters =
#define DENET_METRIC(id, kind, ...)                                                                \
  (uint64_t)(DENET_KIND_##kind == DENET_KIND_COUNTER) << DENET_##id |
#define DENET_DERIVED(...)
#include "core/model/metrics.def"
#undef DENET_METRIC
#undef DENET_DERIVED
    0;

/* The lowest metric of a set, which it leaves: for (unsigned m; denet_take_metric(&set, &m);) */
static inline bool denet_take_metric(uint64_t *set, unsigned *out_metric) {
  if (!*set)
    return false;
  *out_metric = (unsigned)__builtin_ctzll(*set);
  *set &= *set - 1;
  return true;
}

static inline bool denet_values_has(const struct denet_values *values, enum denet_metric metric) {
  return values->present >> metric & 1;
}

static inline void denet_values_set(struct denet_values *values, enum denet_metric metric,
                                    uint64_t value) {
  values->present |= UINT64_C(1) << metric;
  values->value[metric] = value;
}

/* Adds one value as metrics.def combines members: sum or maximum. */
void denet_values_merge(struct denet_values *values, enum denet_metric metric, uint64_t value);

/* Adds all of other into values in the same way. What only one has stays
 * what it is. */
void denet_values_combine(struct denet_values *values, const struct denet_values *other);

/* CPU time of both kinds in ns; 0 when absent. */
uint64_t denet_values_cpu_ns(const struct denet_values *values);

/* The metrics (bit m: metric m) that the words of a Report option ask for, and with records those
 * that a denet-format line has. */
uint64_t denet_metrics_wanted(unsigned report, bool records);

/* The bit of a word of the Report option ("cpu", "all", ...), any case; -EINVAL for another word.
 */
int denet_report_parse(const char *word);
