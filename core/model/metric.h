/* The metrics by number, what metrics.def says of each, and sets of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum denet_metric {
#define DENET_METRIC(id, ...) DENET_##id,
#include "core/model/metrics.def"
  DENET_METRICS
};

enum denet_derived {
#define DENET_DERIVED(id, ...) DENET_DERIVED_##id,
#include "core/model/metrics.def"
  DENET_DERIVEDS
};

enum denet_kind { DENET_COUNTER, DENET_GAUGE };
enum denet_combine { DENET_SUM, DENET_MAX };
enum denet_scope { DENET_NOWHERE, DENET_EVERY, DENET_SINGLE, DENET_AGGREGATED };

/* The words of the Report option, as bits. NOTHING: no report asks for it, only the files do. */
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
  DENET_REPORT_REASONS = 1 << 8, /* no word of the option: off_cpu of a rule that has stacks */
};

/* Why a metric or a text may be unavailable, each reason with its own remedy (source.h). */
enum denet_unavailable {
  DENET_UNAVAILABLE_EXECUTABLE = 1 << 0,    /* /proc/PID/exe of other users */
  DENET_UNAVAILABLE_IO = 1 << 1,            /* /proc/PID/io of other users */
  DENET_UNAVAILABLE_SCHEDSTAT = 1 << 2,     /* the kernel keeps no run queue times */
  DENET_UNAVAILABLE_NAMESPACES = 1 << 3,    /* /proc/PID/ns/net of other users */
  DENET_UNAVAILABLE_IO_ACCOUNTING = 1 << 4, /* the kernel keeps no I/O counts of processes */
  DENET_UNAVAILABLE_PROCESSES = 1 << 5,     /* /proc hides processes of other users (hidepid) */
  DENET_UNAVAILABLE_TASKS = 1 << 6,         /* the task iterator leaves out processes */
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

enum denet_unit { DENET_ONE, DENET_TICKS, DENET_PAGES, DENET_UNITS };

/* One row of metrics.def; the meaning of each field is described there. */
struct denet_metric_info {
  enum denet_kind kind;
  enum denet_combine combine;
  enum denet_report report;
  bool zombie_keeps;
  struct {
    const char *key;
    enum denet_scope scope;
    uint64_t divisor;
  } json;
  struct {
    enum denet_proc_file file;
    const char *key;
    enum denet_unit unit;
  } procfs;
  struct {
    size_t offset, bytes;
    enum denet_unit unit;
    enum denet_unavailable needs;
  } bpf;
};

struct denet_derived_info {
  enum denet_kind kind;
  enum denet_report report;
  bool is_peak;
  enum denet_metric of;
};

extern const struct denet_metric_info denet_metric_info[DENET_METRICS];
extern const struct denet_derived_info denet_derived_info[DENET_DERIVEDS];

/* A set of metrics: bit m is metric m. Its users do not depend on the number of words that it has,
 * so that there can be any number of metrics. */
#ifndef DENET_METRIC_WORDS
#define DENET_METRIC_WORDS ((DENET_METRICS + 63) / 64)
#endif
struct denet_metric_set {
  uint64_t words[DENET_METRIC_WORDS];
};

/* Returns the metrics that the words of a Report option ask for, and with records those that a
 * denet-format line has. CPU times are among them if CPU use is. */
struct denet_metric_set denet_metrics_wanted(unsigned report, bool records);

/* Returns the bit of a word of the Report option, in any case; -EINVAL for another word. */
int denet_report_parse(const char *word);

static inline bool denet_metric_set_has(const struct denet_metric_set *set, unsigned metric) {
  return set->words[metric / 64] >> metric % 64 & 1;
}

static inline void denet_metric_set_add(struct denet_metric_set *set, unsigned metric) {
  set->words[metric / 64] |= UINT64_C(1) << metric % 64;
}

static inline void denet_metric_set_remove(struct denet_metric_set *set, unsigned metric) {
  set->words[metric / 64] &= ~(UINT64_C(1) << metric % 64);
}

static inline void denet_metric_set_add_all(struct denet_metric_set *set,
                                            const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    set->words[i] |= other->words[i];
}

static inline void denet_metric_set_remove_all(struct denet_metric_set *set,
                                               const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    set->words[i] &= ~other->words[i];
}

/* Returns whether a metric is in both sets. */
static inline bool denet_metric_set_meets(const struct denet_metric_set *set,
                                          const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    if (set->words[i] & other->words[i])
      return true;
  return false;
}

/* Returns whether each metric of the set is in the other one too. */
static inline bool denet_metric_set_is_within(const struct denet_metric_set *set,
                                              const struct denet_metric_set *other) {
  for (size_t i = 0; i < DENET_METRIC_WORDS; i++)
    if (set->words[i] & ~other->words[i])
      return false;
  return true;
}

static inline bool denet_metric_set_is_empty(const struct denet_metric_set *set) {
  return denet_metric_set_is_within(set, &(struct denet_metric_set){{0}});
}

/* Takes the lowest metric out of the set; false once it is empty:
 * for (unsigned m; denet_metric_set_take(&rest, &m);) */
static inline bool denet_metric_set_take(struct denet_metric_set *set, unsigned *out_metric) {
  for (unsigned i = 0; i < DENET_METRIC_WORDS; i++) {
    if (!set->words[i])
      continue;
    *out_metric = 64 * i + (unsigned)__builtin_ctzll(set->words[i]);
    set->words[i] &= set->words[i] - 1;
    return true;
  }
  return false;
}
