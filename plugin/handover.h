/* How denet.so hands a line to write_denet.so: plugin_write("write_denet", ds, vl), synchronous,
 * outside collectd's queue and cache. Both ends are here, so that the contract stands once: kind,
 * pid and t0_ms are the list's three values (DERIVE, so exact), the instance its plugin_instance,
 * and the JSON text its only meta data. */
#pragma once

#include "collectd_api.h"
#include "core/line.h"

#include <stdbool.h>

/* The name that write_denet registers its write callback under, and the data set of a line. */
#define DENET_WRITER "write_denet"
#define DENET_LINE_TYPE "denet_line"

/* Gives the line to the writer. 0; ENOENT when no write_denet is loaded; another errno when the
 * line was dropped. */
int denet_handover_send(const struct denet_line *line);

/* A line as it arrived. */
struct denet_received {
  struct denet_line line; /* its texts are borrowed from here and from the value list */
  char *json;             /* owned */
};

/* Whether this is a line from denet_handover_send(); then fills out_received, which the caller
 * gives to denet_received_done(). Everything else that collectd dispatches is not. */
bool denet_handover_receive(const data_set_t *set, const value_list_t *list,
                            struct denet_received *out_received);
void denet_received_done(struct denet_received *received);
