#include "core/model/metric.h"

#include "bpf/process_records.h"
#include "core/model/metric_set.h"

#include <errno.h>
#include <strings.h>

const struct denet_metric_info denet_metric_info[DENET_METRICS] = {
#define DENET_METRIC(id, ...) [DENET_##id] = {__VA_ARGS__},
#define DENET_DERIVED(...)
#include "core/model/metrics.def"
#undef DENET_METRIC
#undef DENET_DERIVED
};

const struct denet_derived_info denet_derived_info[DENET_DERIVEDS] = {
#define DENET_METRIC(...)
#define DENET_DERIVED(id, ...) [DENET_DERIVED_##id] = {__VA_ARGS__},
#include "core/model/metrics.def"
#undef DENET_METRIC
#undef DENET_DERIVED
};

struct denet_metric_set denet_metrics_wanted(unsigned report, bool records) {
  struct denet_metric_set wanted = {0};
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    if (info->report & report || (info->json.key && records))
      denet_metric_set_add(&wanted, m);
  }
  if (records) { /* cpu_usage is made of them */
    denet_metric_set_add(&wanted, DENET_CPU_USER);
    denet_metric_set_add(&wanted, DENET_CPU_SYSTEM);
  }
  return wanted;
}

int denet_report_parse(const char *word) {
  static const struct {
    const char *word;
    enum denet_report report;
  } words[] = {
      {"cpu", DENET_REPORT_CPU},         {"memory", DENET_REPORT_MEMORY},
      {"io", DENET_REPORT_IO},           {"faults", DENET_REPORT_FAULTS},
      {"threads", DENET_REPORT_THREADS}, {"switches", DENET_REPORT_SWITCHES},
      {"uptime", DENET_REPORT_UPTIME},   {"off_cpu", DENET_REPORT_OFF_CPU},
      {"all", DENET_REPORT_ALL},
  };
  for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
    if (!strcasecmp(word, words[i].word))
      return (int)words[i].report;
  return -EINVAL;
}
