/* Feeds records and events of the kernel through the BPF source and a whole tick to values and
 * lines. An input is a script: one byte for each step (kernel_step(), and run() below), and the
 * bytes that the step takes. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel.h"
#include "tests/fuzz/ticks.h"
#include "tests/unit/read_at_once.h"

#include <stdio.h>

#define STEPS_MOST 400

static struct denet_monitor *start(bool since_process_start) {
  struct denet_error error = {""};
  struct denet_source *source;
  struct denet_profiler *profiler;
  struct denet_profiler_settings profiling = {.rate = 100};
  int failure = denet_bpf_open(&ticks_env, &error, &source);
  if (failure)
    fprintf(stderr, "%s\n", error.text);
  CLAIM(failure == 0);
  CLAIM(denet_profiler_open(&profiling, "/proc", &error, &profiler) == 0);
  return ticks_start(source, profiler, since_process_start);
}

static void run(struct denet_monitor *monitor, struct denet_text *script) {
  for (unsigned step = 0; step < STEPS_MOST && script->length; step++) {
    char what = (char)fuzz_take_byte(script);
    if (what == 'T')
      ticks_tick(monitor, DENET_TICK_DUE);
    else if (what == 'A')
      ticks_tick(monitor, DENET_TICK_ALL);
    else if (what == 'H')
      denet_monitor_drain_events(monitor);
    else if (what == 'L')
      read_at_once_stalls = !read_at_once_stalls;
    else
      kernel_step(what, script);
  }
  ticks_tick(monitor, DENET_TICK_FINAL);
}

void fuzz_one(struct denet_text script) {
  kernel_start();
  struct denet_monitor *monitor = start(fuzz_take_byte(&script) & 1);
  run(monitor, &script);
  denet_monitor_free(monitor);
  kernel_stop();
}
