/* types.def as tables. Free of collectd, so that a test can compare them with types.db. */
#pragma once

#include "core/model/metric.h"
#include "core/util/cleanup.h"

#define DENET_LIST_SOURCES 2 /* data sources in one of the types used, at most */

static const struct {
  const char *type, *type_instance;
  uint64_t divisor;
  unsigned count;
  enum denet_metric metrics[DENET_LIST_SOURCES];
} denet_lists[] = {
#define DENET_LIST(type, type_instance, divisor, ...)                                              \
  {type,                                                                                           \
   type_instance,                                                                                  \
   divisor,                                                                                        \
   DENET_COUNT_OF(((enum denet_metric[]){__VA_ARGS__})),                                           \
   {__VA_ARGS__}},
#define DENET_DERIVED_LIST(...)
#include "plugin/collectd/types.def"
#undef DENET_LIST
#undef DENET_DERIVED_LIST
};

static const struct {
  const char *type, *type_instance;
  enum denet_derived derived;
} denet_derived_lists[] = {
#define DENET_LIST(...)
#define DENET_DERIVED_LIST(type, type_instance, derived) {type, type_instance, derived},
#include "plugin/collectd/types.def"
#undef DENET_LIST
#undef DENET_DERIVED_LIST
};
