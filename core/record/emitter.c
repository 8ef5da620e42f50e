#include "core/record/emitter.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file begins without texts that cannot be read for so long. */
#define TEXTS_WAIT_NS UINT64_C(1000000000)

static void drop_unfinished(struct denet_emitter *emitter) {
  struct denet_open_file *dropped = emitter->unfinished;
  emitter->unfinished = dropped->next;
  free(dropped);
}

void denet_emitter_done(struct denet_emitter *emitter) {
  while (emitter->unfinished)
    drop_unfinished(emitter);
  denet_json_done(&emitter->json);
}

static int send(struct denet_emitter *emitter, const struct denet_open_file *file,
                enum denet_line_kind kind, struct denet_text json) {
  const struct denet_line line = {kind, file->instance, file->pid, file->t0_ms, json};
  int outcome = emitter->sink(emitter->sink_context, &line);
  if (outcome == ENOENT)
    emitter->is_on = false;
  return outcome;
}

/* Sends the metadata line. On failure it is due again before the next line. */
static int send_metadata(struct denet_emitter *emitter, struct denet_tree *tree) {
  struct denet_text json;
  size_t bytes = strlen(tree->group->name) + 1;
  int error = denet_record_metadata(&emitter->json, &emitter->origin, tree, &json);
  if (error)
    return error;
  /* Noted before the sink makes the file: its END must need no memory. */
  if (!tree->file) {
    tree->file = malloc(sizeof(*tree->file) + bytes);
    if (!tree->file)
      return -ENOMEM;
    *tree->file = (struct denet_open_file){.pid = tree->pid, .t0_ms = tree->t0_ms};
    memcpy(tree->file->instance, tree->group->name, bytes);
  }
  /* An unfinished file may have the same key. */
  error = emitter->unfinished ? ENOBUFS : send(emitter, tree->file, DENET_LINE_METADATA, json);
  if (error == EMSGSIZE)
    tree->is_silent = true; /* there will be no file */
  if (error)
    return error;
  tree->wants_metadata = false;
  denet_metadata_done(&tree->metadata);
  return 0;
}

static int send_sample(struct denet_emitter *emitter, struct denet_tree *tree, uint64_t ts_ms,
                       uint64_t now_ns) {
  struct denet_text json;
  uint64_t stacks_ns[DENET_REASONS]; /* to be restored if no file gets the line */
  memcpy(stacks_ns, tree->stacks.lines.stacks_ns, sizeof(stacks_ns));
  int error = tree->wants_metadata ? send_metadata(emitter, tree) : 0;
  if (!error)
    error = denet_record_sample(&emitter->json, tree, ts_ms, now_ns, &json);
  if (!error)
    error = send(emitter, tree->file, tree->is_over ? DENET_LINE_LAST : DENET_LINE_SAMPLE, json);
  if (error)
    memcpy(tree->stacks.lines.stacks_ns, stacks_ns, sizeof(stacks_ns));
  else if (tree->is_over)
    denet_freep(&tree->file);
  return error;
}

void denet_emitter_finish_files(struct denet_emitter *emitter) {
  while (emitter->unfinished &&
         !send(emitter, emitter->unfinished, DENET_LINE_END, denet_text_of("")))
    drop_unfinished(emitter);
}

void denet_emitter_write(struct denet_emitter *emitter, struct denet_tree *tree, uint64_t ts_ms,
                         uint64_t now_ns) {
  bool has_lines = emitter->is_on && !tree->is_silent && tree->active_rule->rule.records;
  /* The texts for the metadata line may still be read soon. */
  bool waits_for_texts = tree->wants_metadata && tree->lacks_texts_ns && !tree->is_over &&
                         now_ns < tree->lacks_texts_ns + TEXTS_WAIT_NS;
  if (!has_lines)
    denet_stack_counts_clear(&tree->stacks);
  else if (!waits_for_texts) {
    int error = send_sample(emitter, tree, ts_ms, now_ns);
    if (emitter->is_on)
      *(error ? &emitter->dropped : &emitter->records) += 1;
  }
  if (tree->is_over && tree->file) {
    tree->file->next = emitter->unfinished;
    emitter->unfinished = DENET_TAKE(tree->file);
  }
}
