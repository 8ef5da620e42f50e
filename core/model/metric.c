#include "core/model/metric.h"

#include <errno.h>
#include <stddef.h>
#include <strings.h>

/* A row's short forms (NO_JSON, ...) stand for several columns, so it is expanded once before it is
 * split into columns. */
#define DENET_METRIC(...) FILL_METRIC(__VA_ARGS__)
#define FILL_METRIC(id, kind_, combine_, report_, json_key_, json_scope_, json_unit_, type_,       \
                    type_instance_, data_source_, pipeline_unit_, file_, key_, file_unit_)         \
  [DENET_##id] = {.kind = DENET_KIND_##kind_,                                                      \
                  .combine = DENET_COMBINE_##combine_,                                             \
                  .report = DENET_REPORT_##report_,                                                \
                  .json_key = json_key_,                                                           \
                  .json_scope = DENET_SCOPE_##json_scope_,                                         \
                  .json_unit = json_unit_,                                                         \
                  .type = type_,                                                                   \
                  .type_instance = type_instance_,                                                 \
                  .data_source = data_source_,                                                     \
                  .pipeline_unit = pipeline_unit_,                                                 \
                  .file = DENET_FILE_##file_,                                                      \
                  .key = key_,                                                                     \
                  .file_unit = DENET_UNIT_##file_unit_},
#define DENET_DERIVED(...)
const struct denet_metric_info denet_metric_info[DENET_METRICS] = {
#include "core/model/metrics.def"
};
#undef DENET_METRIC
#undef DENET_DERIVED

#define DENET_METRIC(...)
#define DENET_DERIVED(id, kind_, report_, type_, type_instance_)                                   \
  [DENET_DERIVED_##id] = {.kind = DENET_KIND_##kind_,                                              \
                          .report = DENET_REPORT_##report_,                                        \
                          .type = type_,                                                           \
                          .type_instance = type_instance_},
const struct denet_derived_info denet_derived_info[DENET_DERIVEDS] = {
#include "core/model/metrics.def"
};
#undef DENET_METRIC
#undef DENET_DERIVED

void denet_values_merge(struct denet_values *values, enum denet_metric metric, uint64_t value) {
  uint64_t mine = denet_values_has(values, metric) ? values->value[metric] : 0;
  bool add = denet_metric_info[metric].combine == DENET_COMBINE_SUM;
  denet_values_set(values, metric, add ? mine + value : mine > value ? mine : value);
}

void denet_values_combine(struct denet_values *values, const struct denet_values *other) {
  uint64_t rest = other->present;
  for (unsigned m; denet_take_metric(&rest, &m);)
    denet_values_merge(values, m, other->value[m]);
}

uint64_t denet_values_cpu_ns(const struct denet_values *values) {
  uint64_t ns = 0;
  if (denet_values_has(values, DENET_CPU_USER))
    ns += values->value[DENET_CPU_USER];
  if (denet_values_has(values, DENET_CPU_SYSTEM))
    ns += values->value[DENET_CPU_SYSTEM];
  return ns;
}

uint64_t denet_metrics_wanted(unsigned report, bool records) {
  uint64_t wanted = 0;
  for (unsigned m = 0; m < DENET_METRICS; m++) {
    const struct denet_metric_info *info = &denet_metric_info[m];
    if ((info->type && (info->report & report)) || (info->json_key && records))
      wanted |= UINT64_C(1) << m;
  }
  if (records || report & DENET_REPORT_CPU)
    wanted |= UINT64_C(1) << DENET_CPU_USER | UINT64_C(1) << DENET_CPU_SYSTEM;
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
