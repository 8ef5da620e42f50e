/* Hands the lines of trees to whoever writes them. */
#pragma once

#include "core/record/line.h"
#include "core/record/record.h"

/* Takes a line. 0; ENOENT when there is no writer (and will be none); another positive errno when
 * the line was dropped. */
typedef int (*denet_sink)(void *context, const struct denet_line *line);

struct denet_emitter {
  struct denet_json *json; /* owned */
  struct denet_record_origin origin;
  denet_sink sink;
  void *sink_context;
  struct denet_open_file *unfinished; /* owned, by next: the writer is to hear that they are over */
  bool is_on;                         /* there is a writer */
  uint64_t records, dropped;
};

/* 0 or -ENOMEM. */
int denet_emitter_init(struct denet_emitter *emitter, const struct denet_record_origin *origin,
                       denet_sink sink, void *sink_context);
void denet_emitter_done(struct denet_emitter *emitter);

/* Tells the writer of the files whose last lines it could not take. Without that they would stay
 * open for ever. For the start of each tick. */
void denet_emitter_finish_files(struct denet_emitter *emitter);

/* Writes the tree's next line, its last one if it is over, headed by the metadata line where that
 * is due. A line that nobody takes is counted. For a rule without records, or without a
 * writer, the tree only forgets what it kept for the line. */
void denet_emitter_write(struct denet_emitter *emitter, struct denet_tree *tree, uint64_t ts_ms,
                         uint64_t now_ns);
