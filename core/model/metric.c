#include "core/model/metric.h"

#include "bpf/process_records.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <strings.h>

const struct denet_metric_info denet_metric_info[DENET_METRICS] = {
#define DENET_METRIC(id, ...) [DENET_##id] = {__VA_ARGS__},
#include "core/model/metrics.def"
};

const struct denet_derived_info denet_derived_info[DENET_DERIVEDS] = {
#define DENET_DERIVED(id, ...) [DENET_DERIVED_##id] = {__VA_ARGS__},
#include "core/model/metrics.def"
};

struct denet_metric_set denet_metrics_wanted(unsigned report, bool records) {
  struct denet_metric_set wanted = {0};
  for (unsigned m = 0; m < DENET_METRICS; m++)
    if (denet_metric_info[m].report & report || (denet_metric_info[m].json.key && records))
      denet_metric_set_add(&wanted, m);
  if (records) { /* cpu_usage is made of them */
    denet_metric_set_add(&wanted, DENET_CPU_USER);
    denet_metric_set_add(&wanted, DENET_CPU_SYSTEM);
  }
  return wanted;
}

int denet_report_parse(const char *word) {
  /* In the order of the bits. */
  static const char *const words[] = {"cpu",     "memory",   "io",     "faults",
                                      "threads", "switches", "uptime", "off_cpu"};
  for (unsigned i = 0; i < DENET_COUNT_OF(words); i++)
    if (!strcasecmp(word, words[i]))
      return 1 << i;
  return strcasecmp(word, "all") ? -EINVAL : DENET_REPORT_ALL;
}
