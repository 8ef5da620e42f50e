/* How denet.so hands a line to write_denet.so: plugin_write("write_denet", ds, vl), synchronous,
 * outside collectd's queue and cache. Both ends are here, so that the contract stands once: kind,
 * pid and t0_ms are the list's three values (DERIVE, so exact), the instance its plugin_instance,
 * and the JSON text its meta data. On the way back the writer leaves there how many lines it has
 * lost by then, if any: lines that it had taken, and could not write. */
#pragma once

#include "core/record/line.h"
#include "plugin/collectd/collectd_api.h"

#include <stdbool.h>

/* The name that write_denet registers its write callback under, and the data set of a line. */
#define DENET_WRITER "write_denet"
#define DENET_LINE_TYPE "denet_line"

/* Gives the line to the writer. 0; ENOENT when no write_denet is loaded; another errno when the
 * line was dropped. out_lost_count: set if the writer has lost lines. */
int denet_line_channel_send(const struct denet_line *line, uint64_t *out_lost_count);

/* A line as it arrived. */
struct denet_received {
  struct denet_line line; /* its texts are borrowed from here and from the value list */
  char *json;             /* owned */
};

/* Whether this is a line from denet_line_channel_send(); then fills out_received, which the caller
 * gives to denet_received_done(). Everything else that collectd dispatches is not. */
bool denet_line_channel_receive(const data_set_t *set, const value_list_t *list,
                                struct denet_received *out_received);
void denet_received_done(struct denet_received *received);

/* Tells denet_line_channel_send(), which waits for whoever has received the list. Without memory it
 * will be told with a later line. */
void denet_line_channel_tell_lost(const value_list_t *list, uint64_t lost_count);
