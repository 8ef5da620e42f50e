/* How denet.so hands a line to write_denet.so: plugin_write("write_denet", set, list), which calls
 * the writer in the same thread and returns after it, outside collectd's queue and cache.
 *
 * Both plugins are in one process, so the list carries an address: its only value is that of a
 * struct denet_line_message, which is borrowed, with the line in it, during the call. The only copy
 * of the line's text between the emitter and the files is the one that the writer's queue makes.
 * (Meta data of a list would need three more: collectd 5.12 copies a string when it is added and
 * when it is read, and wants a NUL behind it.)
 *
 * A list of another plugin must not be taken for one of these, since the receiver follows its
 * address. Names and values of a list may come from anywhere, even from the network; but its data
 * set is the sender's own, or collectd's from a types.db. DENET_LINE_TYPE has spaces, which
 * separate the columns of a types.db, so no data set of collectd can have this name, whatever a
 * list says. */
#pragma once

#include "core/record/line.h"
#include "plugin/collectd/collectd_api.h"

#include <stdint.h>

/* The name of the writer's write callback. */
#define DENET_WRITER "write_denet"
/* The data set of a line. The number changes with struct denet_line_message or denet_line, so that
 * plugins of two versions do not misread each other. */
#define DENET_LINE_TYPE "line of denet 1"

struct denet_line_message {
  const struct denet_line *line;
  uint64_t lost_count; /* set by the receiver: lines accepted and then not written, ever */
};

/* Gives the line to the writer. 0; ENOENT if no write_denet is loaded; another errno if the line
 * was dropped. *out_lost_count is set if there is a writer. */
int denet_line_channel_send(const struct denet_line *line, uint64_t *out_lost_count);

/* Returns the message, borrowed during the write callback, if denet_line_channel_send() made the
 * list; NULL for all other lists that collectd dispatches. */
struct denet_line_message *denet_line_channel_receive(const data_set_t *set,
                                                      const value_list_t *list);
