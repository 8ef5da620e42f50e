#include "scribe.h"

#include <errno.h>

#define ARGUMENTS_WAIT_NS UINT64_C(1000000000)

int denet_scribe_init(struct denet_scribe *scribe, const struct denet_record_origin *origin,
                      denet_sink sink, void *sink_context) {
  *scribe = (struct denet_scribe){
      .origin = *origin, .sink = sink, .sink_context = sink_context, .is_on = sink != NULL};
  scribe->json = denet_json_new();
  return scribe->json ? 0 : -ENOMEM;
}

void denet_scribe_done(struct denet_scribe *scribe) {
  denet_json_free(scribe->json);
  scribe->json = NULL;
}

static int hand_over(struct denet_scribe *scribe, const struct denet_tree *tree,
                     enum denet_line_kind kind, struct denet_text json) {
  struct denet_line line = {.kind = kind,
                            .instance = tree->group->name,
                            .pid = tree->pid,
                            .t0_ms = tree->t0_ms,
                            .json = json};
  int outcome = scribe->sink(scribe->sink_context, &line);
  if (outcome == ENOENT)
    scribe->is_on = false;
  return outcome;
}

/* Without a metadata line the writer has no file: it is tried again before each line. */
static int write_metadata(struct denet_scribe *scribe, struct denet_tree *tree) {
  struct denet_text json;
  int error = denet_record_metadata(scribe->json, &scribe->origin, tree, &json);
  if (!error)
    error = hand_over(scribe, tree, DENET_LINE_METADATA, json);
  if (error == EMSGSIZE)
    tree->is_silent = true; /* the writer will never take it */
  if (error)
    return error;
  tree->wants_metadata = false;
  denet_buffer_done(&tree->arguments);
  denet_buffer_done(&tree->executable);
  return 0;
}

/* Whether the arguments will most likely be known in a moment, and the file can begin with them. */
static bool is_worth_waiting(const struct denet_tree *tree, uint64_t now_ns) {
  return tree->wants_metadata && tree->lacks_arguments_ns && !tree->is_over &&
         now_ns < tree->lacks_arguments_ns + ARGUMENTS_WAIT_NS;
}

void denet_scribe_write(struct denet_scribe *scribe, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns) {
  bool has_file = scribe->is_on && !tree->is_silent && tree->watch->rule.records;
  if (!has_file || is_worth_waiting(tree, now_ns))
    return;
  struct denet_text json;
  int error = tree->wants_metadata ? write_metadata(scribe, tree) : 0;
  if (!error)
    error = denet_record_sample(scribe->json, tree, ts_ms, now_ns, &json);
  if (!error)
    error = hand_over(scribe, tree, tree->is_over ? DENET_LINE_LAST : DENET_LINE_SAMPLE, json);
  if (!scribe->is_on)
    return;
  *(error ? &scribe->dropped : &scribe->records) += 1;
}
