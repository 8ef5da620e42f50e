#include "core/record/emitter.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_WAIT_NS UINT64_C(1000000000)

int denet_scribe_init(struct denet_scribe *scribe, const struct denet_record_origin *origin,
                      denet_sink sink, void *sink_context) {
  *scribe = (struct denet_scribe){
      .origin = *origin, .sink = sink, .sink_context = sink_context, .is_on = sink != NULL};
  scribe->json = denet_json_new();
  return scribe->json ? 0 : -ENOMEM;
}

static void drop_file(struct denet_open_file **file) {
  struct denet_open_file *dropped = *file;
  *file = dropped->next;
  free(dropped);
}

void denet_scribe_done(struct denet_scribe *scribe) {
  while (scribe->unfinished)
    drop_file(&scribe->unfinished);
  denet_json_free(scribe->json);
  scribe->json = NULL;
}

static int hand_over(struct denet_scribe *scribe, const struct denet_line *line) {
  int outcome = scribe->sink(scribe->sink_context, line);
  if (outcome == ENOENT)
    scribe->is_on = false;
  return outcome;
}

static struct denet_line line_of(const struct denet_tree *tree, enum denet_line_kind kind,
                                 struct denet_text json) {
  return (struct denet_line){.kind = kind,
                             .instance = tree->group->name,
                             .pid = tree->pid,
                             .t0_ms = tree->t0_ms,
                             .json = json};
}

/* 0 or -ENOMEM. Before the writer has it: to tell of its end no memory may be needed. */
static int note_file(struct denet_tree *tree) {
  if (tree->file)
    return 0;
  size_t bytes = strlen(tree->group->name) + 1;
  tree->file = malloc(sizeof(*tree->file) + bytes);
  if (!tree->file)
    return -ENOMEM;
  *tree->file = (struct denet_open_file){.pid = tree->pid, .t0_ms = tree->t0_ms};
  memcpy(tree->file->instance, tree->group->name, bytes);
  return 0;
}

static int send_metadata(struct denet_scribe *scribe, struct denet_tree *tree) {
  struct denet_text json;
  int error = denet_record_metadata(scribe->json, &scribe->origin, tree, &json);
  if (!error)
    error = note_file(tree);
  if (error)
    return error;
  struct denet_line line = line_of(tree, DENET_LINE_METADATA, json);
  /* One of the unfinished may have its key. */
  return scribe->unfinished ? ENOBUFS : hand_over(scribe, &line);
}

/* Without a metadata line the writer has no file: it is tried again before each line. */
static int write_metadata(struct denet_scribe *scribe, struct denet_tree *tree) {
  int error = send_metadata(scribe, tree);
  if (error == EMSGSIZE)
    tree->is_silent = true; /* the writer will never take it */
  if (error)
    return error;
  tree->wants_metadata = false;
  denet_buffer_done(&tree->arguments);
  denet_buffer_done(&tree->executable);
  return 0;
}

/* Whether the texts will most likely be known in a moment, and the file can begin with them. */
static bool is_worth_waiting(const struct denet_tree *tree, uint64_t now_ns) {
  return tree->wants_metadata && tree->lacks_texts_ns && !tree->is_over &&
         now_ns < tree->lacks_texts_ns + TEXTS_WAIT_NS;
}

static int write_sample(struct denet_scribe *scribe, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns) {
  struct denet_text json;
  int error = tree->wants_metadata ? write_metadata(scribe, tree) : 0;
  if (!error)
    error = denet_record_sample(scribe->json, tree, ts_ms, now_ns, &json);
  if (error)
    return error;
  struct denet_line line = line_of(tree, tree->is_over ? DENET_LINE_LAST : DENET_LINE_SAMPLE, json);
  error = hand_over(scribe, &line);
  if (!error && tree->is_over)
    denet_freep(&tree->file);
  return error;
}

static void leave_unfinished(struct denet_scribe *scribe, struct denet_tree *tree) {
  tree->file->next = scribe->unfinished;
  scribe->unfinished = tree->file;
  tree->file = NULL;
}

void denet_scribe_finish_files(struct denet_scribe *scribe) {
  while (scribe->unfinished) {
    struct denet_line line = {.kind = DENET_LINE_END,
                              .instance = scribe->unfinished->instance,
                              .pid = scribe->unfinished->pid,
                              .t0_ms = scribe->unfinished->t0_ms,
                              .json = {"", 0}};
    if (hand_over(scribe, &line))
      return;
    drop_file(&scribe->unfinished);
  }
}

void denet_scribe_write(struct denet_scribe *scribe, struct denet_tree *tree, uint64_t ts_ms,
                        uint64_t now_ns) {
  bool has_lines = scribe->is_on && !tree->is_silent && tree->watch->rule.records;
  if (!has_lines)
    denet_stack_set_clear(&tree->stacks);
  else if (!is_worth_waiting(tree, now_ns)) {
    int error = write_sample(scribe, tree, ts_ms, now_ns);
    if (scribe->is_on)
      *(error ? &scribe->dropped : &scribe->records) += 1;
  }
  if (tree->is_over && tree->file)
    leave_unfinished(scribe, tree);
}
