/* Sends the lines of trees to a sink, and closes each file with a last line or an END. */
#pragma once

#include "core/record/line.h"
#include "core/record/record.h"

/* Takes a line, and copies what it keeps. 0; ENOENT if there is no writer, and there will be none;
 * another positive errno if the line was dropped: EMSGSIZE if it never fits. */
typedef int (*denet_sink)(void *context, const struct denet_line *line);

struct denet_emitter {
  /* Set by the caller; the rest starts zeroed. */
  struct denet_record_origin origin;
  denet_sink sink;
  void *sink_context;
  bool is_on; /* there is a writer; the emitter clears it when the sink says that there is none */

  struct denet_json json;             /* owned */
  struct denet_open_file *unfinished; /* owned, by next: files that the sink is to finish */
  uint64_t records, dropped;          /* lines that the sink took, and refused */
};

void denet_emitter_done(struct denet_emitter *emitter);

/* Sends END for the files whose last lines the sink refused: else they would stay open. For the
 * start of each tick. */
void denet_emitter_finish_files(struct denet_emitter *emitter);

/* Sends the tree's next line, its last one if the tree is over; before it the metadata line, if one
 * is due. Without a writer, or for a rule without records, only clears the tree's stacks. ts_ms is
 * Unix ms, now_ns boot time. */
void denet_emitter_write(struct denet_emitter *emitter, struct denet_tree *tree, uint64_t ts_ms,
                         uint64_t now_ns);
