/* The loop: a thread that runs the ticks of a monitor, each when it is due. A face starts it with
 * settings, takes lines and log sentences through callbacks, and asks for the groups' values. */
#pragma once

#include "core/monitor/monitor.h"
#include "core/monitor/settings.h"
#include "core/util/log.h"

struct denet_loop; /* owned by its starter */

/* What the loop calls. Its thread calls sink and log; so does the thread that calls a function of
 * the loop for log. host_name is borrowed during denet_loop_start(). */
struct denet_loop_face {
  const char *host_name; /* for metadata lines */
  denet_sink sink;       /* NULL: no lines */
  void *sink_context;
  struct denet_log log;
};

/* Opens the source and starts the thread. Takes over the content of settings, also on failure;
 * denet_settings_finish() is done here. 0 or -errno; sentences go to the face's log. */
int denet_loop_start(struct denet_settings *settings, const struct denet_loop_face *face,
                     struct denet_loop **out_loop);

/* Samples all processes now and gives each group's values to each(), which only copies them: the
 * loop's lock is held. 0; -ETIMEDOUT, logged once, if a tick has stalled for timeout_ns: each() is
 * not called any more. One caller at a time. */
int denet_loop_report(struct denet_loop *loop, uint64_t timeout_ns,
                      void (*each)(void *context, const struct denet_group_report *report),
                      void *context, struct denet_monitor_stats *out_stats);

/* Runs the last tick, which writes a line of each tree, ends the thread and frees the loop. NULL is
 * fine. False, logged, if a tick has stalled for timeout_ns: the thread is left behind with its
 * memory; once the stall ends it ends too, and sends no more lines and logs nothing. In any case
 * this is the last call with this loop. */
bool denet_loop_stop(struct denet_loop *loop, uint64_t timeout_ns);
