/* The value lists that collectd gets: stock types only (types.db(5)), so that a receiver needs none
 * of ours. Free of collectd, so that a test can compare them with types.db. */
#pragma once

#include "core/model/metric.h"
#include "core/util/cleanup.h"

#define DENET_LIST_SOURCES 2 /* data sources in one of the types used, at most */

/* Lists of metrics, which are the data sources of the type, in its order. */
static const struct {
  const char *type, *type_instance;
  uint64_t divisor; /* of values in core's unit */
  unsigned count;
  enum denet_metric metrics[DENET_LIST_SOURCES];
} denet_lists[] = {
    {"ps_count", "", 1, 2, {DENET_PROCESSES, DENET_THREADS}},
    {"ps_cputime", "", 1000, 2, {DENET_CPU_USER, DENET_CPU_SYSTEM}},
    {"ps_rss", "", 1, 1, {DENET_RSS}},
    {"ps_vm", "", 1, 1, {DENET_VM}},
    {"disk_octets", "", 1, 2, {DENET_DISK_READ, DENET_DISK_WRITE}},
    {"io_octets", "", 1, 2, {DENET_SYSCALL_READ, DENET_SYSCALL_WRITE}},
    {"io_ops", "", 1, 2, {DENET_READ_CALLS, DENET_WRITE_CALLS}},
    {"ps_pagefaults", "", 1, 2, {DENET_MINOR_FAULTS, DENET_MAJOR_FAULTS}},
    {"uptime", "", 1000000000, 1, {DENET_UPTIME}},
    {"contextswitch", "voluntary", 1, 1, {DENET_SWITCHES_VOLUNTARY}},
    {"contextswitch", "involuntary", 1, 1, {DENET_SWITCHES_INVOLUNTARY}},
    {"total_time_in_ms", "runqueue", 1000000, 1, {DENET_RUN_DELAY}},
    {"total_time_in_ms", "offcpu", 1000000, 1, {DENET_OFF_CPU}},
#define DENET_REASON(id, name)                                                                     \
  {"total_time_in_ms", "offcpu_" name, 1000000, 1, {DENET_OFF_CPU_##id}},
#include "bpf/reasons.def"
};

/* Lists of one value of the group. */
static const struct {
  const char *type, *type_instance;
  enum denet_derived derived;
} denet_derived_lists[] = {
    {"gauge", "cpu_percent", DENET_DERIVED_CPU_PERCENT},
    {"gauge", "cpu_percent_max", DENET_DERIVED_CPU_PERCENT_MAX},
    {"gauge", "rss_max", DENET_DERIVED_RSS_MAX},
    {"delay_rate", "delay-cpu", DENET_DERIVED_DELAY_CPU},
    {"derive", "starts", DENET_DERIVED_STARTS},
    {"derive", "exits", DENET_DERIVED_EXITS},
};
