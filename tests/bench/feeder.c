/* A plugin of collectd that sends samples of invented processes to one writer: denet's lines, as
 * denet sends them, or the value lists that denet dispatches for a group of one process. Both go by
 * plugin_write(), past collectd's queue and cache. It sends once, at collectd's first read, writes
 * the figures to one line of the file Result, and is idle from then on.
 *
 *   <Plugin feeder>
 *     Writer "write_denet"   # or another one, which gets value lists
 *     Processes 1000
 *     Rounds 20              # samples of each process, after one that is not measured
 *     Period 0               # seconds from round to round; 0: each when the one before is written
 *     Result "PATH"
 *   </Plugin>
 */
#include "core/util/cleanup.h"
#include "plugin/collectd/collectd_api.h"
#include "plugin/collectd/line_channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME "feeder"
#define NS_PER_SECOND 1000000000
#define MS_PER_SECOND 1000
#define FILES_AT_ONCE 500
#define FIRST_PID 100000
#define T0_MS UINT64_C(1700000000000)

static struct {
  char writer[64];
  char result[4096];
  int processes, rounds;
  double period;
  bool is_done;
} feeder = {.processes = 1000, .rounds = 20};

/* What denet dispatches for a group, and numbers that a process may have. Rates have as many digits
 * as they come to. */
static const struct list {
  const char *type, *type_instance;
  double numbers[2];
} lists[] = {
    {"ps_cputime", "", {18230417, 2870113}},
    {"gauge", "cpu_percent", {3.7281934}},
    {"gauge", "cpu_percent_max", {11.904762}},
    {"ps_rss", "", {48910336}},
    {"gauge", "rss_max", {48910336}},
    {"ps_vm", "", {731455488}},
    {"disk_octets", "", {1302528, 8904704}},
    {"io_octets", "", {59273310, 20184411}},
    {"io_ops", "", {190223, 84120}},
    {"ps_pagefaults", "", {20933, 12}},
    {"ps_count", "", {1, 8}},
    {"contextswitch", "voluntary", {310922}},
    {"contextswitch", "involuntary", {2071}},
    {"uptime", "", {86400}},
    {"derive", "starts", {1}},
    {"derive", "exits", {0}},
    {"total_time_in_ms", "runqueue", {1208}},
    {"delay_rate", "delay-cpu", {0.00021734}},
    {"total_time_in_ms", "offcpu", {664110}},
};

struct totals {
  uint64_t calls, failures; /* of plugin_write() */
  uint64_t calling_ns;      /* CPU time of the thread that calls it */
  int64_t others_ns;        /* CPU time of all other threads of collectd */
  uint64_t wall_ns;
};

static uint64_t read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Not both at once: where the others do nothing this may go back by a moment. */
static int64_t read_others(void) {
  return (int64_t)read_clock(CLOCK_PROCESS_CPUTIME_ID) -
         (int64_t)read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static int send_line(int process, enum denet_line_kind kind, uint64_t ts_ms) {
  char json[1024];
  int pid = FIRST_PID + process;
  if (kind == DENET_LINE_METADATA)
    snprintf(json, sizeof(json),
             "{\"kind\":\"metadata\",\"pid\":%d,\"cmd\":[\"/usr/bin/worker\",\"--id=%d\"],"
             "\"executable\":\"/usr/bin/worker\",\"t0_ms\":%" PRIu64 "}",
             pid, process, T0_MS);
  else
    snprintf(json, sizeof(json),
             "{\"kind\":\"sample\",\"pid\":%d,\"ts_ms\":%" PRIu64 ",\"cpu_usage\":3.73,"
             "\"thread_count\":8,\"mem_rss_kb\":47764,\"mem_vms_kb\":714312,"
             "\"disk_read_bytes\":1302528,\"disk_write_bytes\":8904704,"
             "\"syscall_read_bytes\":59273310,\"syscall_write_bytes\":20184411,"
             "\"page_faults_cached\":20933,\"page_faults_disk\":12,\"sys_net_rx_bytes\":9041337,"
             "\"sys_net_tx_bytes\":1748290,\"uptime_secs\":86400,\"cpu_core\":3,"
             "\"ctx_switches_voluntary\":310922,\"ctx_switches_involuntary\":2071,"
             "\"run_delay_ns\":1208337021,\"off_cpu_ns\":664110238114}",
             pid, ts_ms);
  struct denet_line line = {
      .kind = kind, .instance = NAME, .pid = pid, .t0_ms = T0_MS, .json = denet_text_of(json)};
  uint64_t lost = 0;
  int error = denet_line_channel_send(&line, &lost);
  return error ? error : lost ? EIO : 0;
}

static int send_list(int process, const struct list *what, cdtime_t time) {
  const data_set_t *set = plugin_get_ds(what->type);
  value_t values[2];
  for (size_t i = 0; set && i < set->ds_num; i++)
    values[i] = set->ds[i].type == DS_TYPE_GAUGE ? (value_t){.gauge = what->numbers[i]}
                                                 : (value_t){.derive = (derive_t)what->numbers[i]};
  if (!set)
    return ENOENT;
  value_list_t list = {.values = values,
                       .values_len = set->ds_num,
                       .time = time,
                       .interval = TIME_T_TO_CDTIME_T_STATIC(1),
                       .plugin = NAME};
  /* As cheap as collectd's sstrncpy(): the time of this function counts. */
  strncpy(list.host, hostname_g, sizeof(list.host) - 1);
  snprintf(list.plugin_instance, sizeof(list.plugin_instance), "%d", FIRST_PID + process);
  strncpy(list.type, what->type, sizeof(list.type) - 1);
  strncpy(list.type_instance, what->type_instance, sizeof(list.type_instance) - 1);
  return plugin_write(feeder.writer, set, &list);
}

static bool wants_lines(void) { return !strcmp(feeder.writer, DENET_WRITER); }

static void feed_process(int process, int round, struct totals *totals) {
  uint64_t time_ms = T0_MS + (uint64_t)round * MS_PER_SECOND;
  size_t calls = wants_lines() ? 1 : DENET_COUNT_OF(lists);
  for (size_t i = 0; i < calls; i++) {
    int outcome = wants_lines()
                      ? send_line(process, DENET_LINE_SAMPLE, time_ms)
                      : send_list(process, &lists[i], TIME_T_TO_CDTIME_T(time_ms / MS_PER_SECOND));
    totals->failures += outcome != 0;
  }
  totals->calls += calls;
}

static void feed_round(int round, struct totals *totals) {
  uint64_t begun_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
  for (int process = 0; process < feeder.processes; process++)
    feed_process(process, round, totals);
  totals->calling_ns += read_clock(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
}

static void sleep_until(uint64_t ns) {
  struct timespec until = {(time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
    ;
}

static void feed_rounds(struct totals *totals) {
  uint64_t period_ns = (uint64_t)(feeder.period * NS_PER_SECOND);
  uint64_t begun_ns = read_clock(CLOCK_MONOTONIC);
  int64_t others_ns = read_others();
  for (int round = 1; round <= feeder.rounds; round++) {
    feed_round(round, totals);
    if (period_ns)
      sleep_until(begun_ns + (uint64_t)round * period_ns);
    else
      plugin_flush(feeder.writer, 0, NULL);
  }
  plugin_flush(feeder.writer, 0, NULL);
  totals->others_ns = read_others() - others_ns;
  totals->wall_ns = read_clock(CLOCK_MONOTONIC) - begun_ns;
}

/* What makes the files is not measured, and may take longer than one flush waits. */
static void warm_up(void) {
  struct totals unused = {0};
  for (int process = 0; process < feeder.processes && wants_lines(); process++) {
    send_line(process, DENET_LINE_METADATA, 0);
    if (process % FILES_AT_ONCE == 0)
      plugin_flush(feeder.writer, 0, NULL);
  }
  feed_round(0, &unused);
  plugin_flush(feeder.writer, 0, NULL);
}

static int feed(void) {
  struct totals totals = {0};
  if (feeder.is_done)
    return 0;
  feeder.is_done = true;
  warm_up();
  feed_rounds(&totals);
  FILE *result = fopen(feeder.result, "w");
  if (!result)
    return -1;
  fprintf(result,
          "{\"calls\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"calling_ns\":%" PRIu64
          ",\"others_ns\":%" PRId64 ",\"wall_ns\":%" PRIu64 "}\n",
          totals.calls, totals.failures, totals.calling_ns, totals.others_ns, totals.wall_ns);
  return fclose(result);
}

static int configure(oconfig_item_t *block) {
  for (int i = 0; i < block->children_num; i++) {
    oconfig_item_t *item = &block->children[i];
    if (!strcasecmp(item->key, "Writer"))
      cf_util_get_string_buffer(item, feeder.writer, sizeof(feeder.writer));
    else if (!strcasecmp(item->key, "Result"))
      cf_util_get_string_buffer(item, feeder.result, sizeof(feeder.result));
    else if (!strcasecmp(item->key, "Processes"))
      cf_util_get_int(item, &feeder.processes);
    else if (!strcasecmp(item->key, "Rounds"))
      cf_util_get_int(item, &feeder.rounds);
    else if (!strcasecmp(item->key, "Period"))
      cf_util_get_double(item, &feeder.period);
    else
      return -1;
  }
  return 0;
}

__attribute__((visibility("default"))) void module_register(void);

void module_register(void) {
  plugin_register_complex_config(NAME, configure);
  plugin_register_read(NAME, feed);
}
