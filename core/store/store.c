#include "core/store/store.h"

#include "core/store/retention.h"
#include "core/store/segment.h"
#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/name.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/file.h>

#define PROBE_NAME ".probe"
#define PROBE_FLAGS (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)

/* A segment may be full when its lines take so many times its header, or so many bytes. */
#define HEADERS_WORTH 8
#define LINES_WORTH_BYTES (32 << 10)
/* The name of an open file, which others may change, is checked once in so many batches, and at
 * most once in a batch if the inode shows a change. */
#define BATCHES_PER_CHECK 10

/* The lines of one key, from its metadata line to its last line. */
struct stream {
  struct denet_segment segment;
  struct denet_buffer header; /* the latest metadata line */
  TAILQ_ENTRY(stream) recent; /* linked while the segment has a descriptor */
  unsigned checked_in;        /* the batch in which the segment's name was checked */
  const char *instance;       /* name, except in the key of a search */
  char name[];
};

struct denet_store {
  struct denet_store_settings settings;
  char *path; /* owned */
  denet_name host;
  struct denet_retention retention;
  int host_lock;  /* the host's folder, locked unless another store has locked it */
  unsigned batch; /* counts denet_store_resume() */
  int refusal;    /* 0, or the -errno of all lines until denet_store_resume() */
  /* The folder that this batch has used last (open_dir()); dir is negative if there is none. */
  int dir;
  denet_name dir_instance;
  denet_segment_dir dir_day;
  void *streams; /* tsearch(3) */
  size_t stream_count;
  TAILQ_HEAD(stream_list, stream) recent; /* those with a descriptor, the latest used first */
  unsigned open_count;                    /* of those */
};

static int compare_streams(const void *left, const void *right) {
  const struct stream *a = left, *b = right;
  int order = denet_segment_compare(&a->segment.id, &b->segment.id);
  return order ? order : strcmp(a->instance, b->instance);
}

/* Returns a new stream; NULL without memory. */
static struct stream *add_stream(struct denet_store *store, const struct denet_line *line) {
  size_t bytes = strlen(line->instance) + 1;
  struct stream *stream = calloc(1, sizeof(*stream) + bytes);
  if (!stream)
    return NULL;
  stream->instance = memcpy(stream->name, line->instance, bytes);
  stream->segment = (struct denet_segment){{line->pid, line->t0_ms, 0}, .fd = -1};
  if (!tsearch(stream, &store->streams, compare_streams)) {
    free(stream);
    return NULL;
  }
  store->stream_count++;
  return stream;
}

static void close_segment(struct denet_store *store, struct stream *stream) {
  if (stream->segment.fd < 0)
    return;
  TAILQ_REMOVE(&store->recent, stream, recent);
  store->open_count--;
  denet_closep(&stream->segment.fd);
}

static void drop_stream(struct denet_store *store, struct stream *stream) {
  close_segment(store, stream);
  tdelete(stream, &store->streams, compare_streams);
  store->stream_count--;
  denet_buffer_done(&stream->header);
  free(stream);
}

/* Notes a new descriptor, and closes others beyond the limit. */
static void note_opened(struct denet_store *store, struct stream *stream) {
  TAILQ_INSERT_HEAD(&store->recent, stream, recent);
  stream->checked_in = store->batch;
  if (++store->open_count > store->settings.open_files)
    close_segment(store, TAILQ_LAST(&store->recent, stream_list));
}

/* Ends the segment, which gets no more lines. Its file is finished then; it counts no more if it is
 * gone: removed or used by others. */
static void end_segment(struct denet_store *store, struct stream *stream, bool is_gone) {
  struct denet_segment *segment = &stream->segment;
  if (!segment->bytes)
    return;
  close_segment(store, stream);
  if (is_gone)
    store->retention.total_bytes -= denet_retention_space(&store->retention, segment->bytes);
  else
    denet_retention_finish(&store->retention, stream->instance, segment);
  segment->bytes = 0;
  denet_retention_make_room(&store->retention, 0, 0);
}

/* Opens the folder of an instance's files of a day step by step, since others may replace any
 * folder of the path; made if there is none and is_made. The descriptor is borrowed until the next
 * call or denet_store_resume(): a batch opens a folder once for many files. Or -errno. */
static int open_dir(struct denet_store *store, const char *instance, const char *day,
                    bool is_made) {
  if (store->dir >= 0 && !strcmp(store->dir_instance, instance) && !strcmp(store->dir_day, day))
    return store->dir;
  denet_closep(&store->dir);
  DENET_CLOSE int top = denet_dir_open(store->path, is_made);
  DENET_CLOSE int host = denet_dir_open_below(top, store->host, is_made);
  if (host < 0 && is_made)
    store->refusal = host;
  DENET_CLOSE int parent = denet_dir_open_below(host, instance, is_made);
  int dir = denet_dir_open_below(parent, day, is_made);
  if (dir < 0)
    return dir;
  snprintf(store->dir_instance, sizeof(store->dir_instance), "%s", instance);
  snprintf(store->dir_day, sizeof(store->dir_day), "%s", day);
  return store->dir = dir;
}

/* Returns error, after a write that failed with it, or 0. */
static int note_failure(struct denet_store *store, int error) {
  if (error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -EIO)
    store->refusal = error;
  return error;
}

/* Makes the next segment, unless the store refuses lines. 0 or -errno. */
static int make_segment(struct denet_store *store, struct stream *stream) {
  struct denet_segment *segment = &stream->segment;
  struct denet_text header = denet_buffer_text(&stream->header);
  if (store->refusal)
    return store->refusal;
  uint64_t space = denet_retention_make_room(&store->retention, 0, header.length + 1);
  /* The numbers go on after those of an earlier run or an earlier time of the process. */
  if (!segment->id.number)
    segment->id.number = denet_retention_latest(&store->retention, stream->instance, &segment->id);
  denet_segment_dir_of(store->settings.unix_ms(), segment->dir);
  bool was_open;
  int error;
  do { /* twice if the open folder was removed meanwhile */
    was_open = store->dir >= 0;
    int dir = open_dir(store, stream->instance, segment->dir, true);
    error = dir < 0 ? dir : denet_segment_start(segment, dir, header);
    if (error)
      denet_closep(&store->dir);
  } while (error == -ENOENT && was_open);
  if (error)
    return note_failure(store, error);
  note_opened(store, stream);
  store->retention.total_bytes += space;
  return 0;
}

/* Opens the file of a segment that is closed. Of an open one, checks once in so many batches that
 * its name leads to the file; a name that cannot be looked up now counts as being there. 0;
 * DENET_GONE if the file is no longer there; -errno. */
static int find_segment(struct denet_store *store, struct stream *stream, unsigned batches) {
  struct denet_segment *segment = &stream->segment;
  bool is_open = segment->fd >= 0;
  if (is_open && store->batch - stream->checked_in < batches)
    return 0;
  int dir = open_dir(store, stream->instance, segment->dir, false), outcome = dir;
  if (dir == -ENOENT || dir == -ELOOP || dir == -ENOTDIR)
    outcome = DENET_GONE;
  else if (dir >= 0)
    outcome = denet_segment_find(segment, dir);
  if (is_open)
    stream->checked_in = store->batch;
  else if (!outcome)
    note_opened(store, stream);
  return is_open && outcome < 0 ? 0 : outcome;
}

/* Returns whether the segment gets no more lines. A file takes at least one block in any case. */
static bool is_full(const struct denet_store *store, const struct denet_segment *segment) {
  uint64_t share = store->settings.total_bytes / 2 / store->stream_count;
  if (share < store->retention.block_bytes)
    share = store->retention.block_bytes;
  uint64_t limit = share < store->settings.file_bytes ? share : store->settings.file_bytes;
  uint64_t lines_bytes = segment->bytes - segment->header_bytes;
  return segment->bytes >= limit &&
         (lines_bytes >= HEADERS_WORTH * segment->header_bytes || lines_bytes >= LINES_WORTH_BYTES);
}

/* Leaves the stream with an open segment that takes lines: the one it has, or the next. */
static int prepare_segment(struct denet_store *store, struct stream *stream) {
  if (!stream->segment.bytes)
    return make_segment(store, stream);
  int outcome = find_segment(store, stream, BATCHES_PER_CHECK);
  if (outcome < 0)
    return outcome;
  bool may_be_renamed = false;
  if (!outcome)
    outcome = denet_segment_check(&stream->segment, &may_be_renamed);
  if (!outcome && may_be_renamed)
    outcome = find_segment(store, stream, 1);
  if (!outcome && !is_full(store, &stream->segment)) {
    TAILQ_REMOVE(&store->recent, stream, recent);
    TAILQ_INSERT_HEAD(&store->recent, stream, recent);
    return 0;
  }
  /* A file that could not be checked gets no more lines, and still counts. */
  end_segment(store, stream, outcome == DENET_GONE);
  return make_segment(store, stream);
}

/* Writes a line to the stream's segment, or to its next one. 0 or -errno. */
static int append_line(struct denet_store *store, struct stream *stream, struct denet_text json) {
  int error = store->refusal ? store->refusal : prepare_segment(store, stream);
  if (error)
    return error;
  uint64_t growth =
      denet_retention_make_room(&store->retention, stream->segment.bytes, json.length + 1);
  error = denet_segment_append(&stream->segment, json);
  if (!error)
    store->retention.total_bytes += growth;
  return note_failure(store, error);
}

/* Starts a segment with a METADATA line, of a new stream or of the one there is. */
static int begin_segment(struct denet_store *store, const struct denet_line *line,
                         struct stream *stream) {
  if (!stream)
    stream = add_stream(store, line);
  if (!stream)
    return -ENOMEM;
  end_segment(store, stream, false);
  denet_buffer_done(&stream->header);
  int error = denet_buffer_append(&stream->header, line->json.bytes, line->json.length);
  if (!error)
    return make_segment(store, stream);
  drop_stream(store, stream); /* no segment is possible without its header */
  return error;
}

static int write_line(struct denet_store *store, const struct denet_line *line) {
  const struct stream key = {.instance = line->instance, .segment.id = {line->pid, line->t0_ms, 0}};
  struct stream **found = tfind(&key, &store->streams, compare_streams);
  struct stream *stream = found ? *found : NULL;
  if (line->kind == DENET_LINE_METADATA)
    return begin_segment(store, line, stream);
  if (!stream)
    return line->kind == DENET_LINE_END ? 0 : DENET_GONE;
  int error = line->kind == DENET_LINE_END ? 0 : append_line(store, stream, line->json);
  if (line->kind != DENET_LINE_SAMPLE) {
    end_segment(store, stream, false);
    drop_stream(store, stream);
  }
  return error;
}

int denet_store_write(struct denet_store *store, const struct denet_line *line,
                      struct denet_error *error) {
  const char *name = line->instance;
  /* Safe names have no leading dot, which excludes "." and "..". */
  if (!*name || *name == '.' || strchr(name, '/') || strlen(name) >= sizeof(denet_name))
    return denet_error_set(error, -EINVAL, "\"%s\" is no name for a folder", name);
  int outcome = write_line(store, line);
  if (outcome >= 0)
    return outcome;
  return denet_error_set(error, outcome, "cannot write to %s/%s/%s: %m", store->path, store->host,
                         line->instance);
}

void denet_store_resume(struct denet_store *store) {
  store->refusal = 0;
  store->batch++;
  denet_closep(&store->dir);
}

uint64_t denet_store_total_bytes(const struct denet_store *store) {
  return store->retention.total_bytes;
}

int denet_store_check(const char *path, struct denet_error *error) {
  DENET_CLOSE int dir = denet_dir_open(path, true);
  if (dir >= 0)
    unlinkat(dir, PROBE_NAME, 0); /* one that a crash left */
  DENET_CLOSE int fd = dir < 0 ? dir : openat(dir, PROBE_NAME, PROBE_FLAGS, 0640);
  int outcome = dir < 0 ? dir : fd < 0 ? -errno : 0;
  if (fd >= 0)
    unlinkat(dir, PROBE_NAME, 0);
  if (outcome >= 0 || outcome == -ENOSPC || outcome == -EDQUOT)
    return 0;
  return denet_error_set(error, outcome, "cannot make files in %s: %m", path);
}

/* Fills the store as far as possible; on failure the caller closes it. */
static int open_store(struct denet_store *store, const struct denet_store_settings *settings) {
  TAILQ_INIT(&store->recent);
  store->host_lock = store->dir = -1;
  store->settings = *settings;
  denet_name_safe(denet_text_of(settings->host), store->host);
  store->path = strdup(settings->path);
  if (!store->path)
    return -ENOMEM;
  DENET_CLOSE int top = denet_dir_open(store->path, true);
  store->host_lock = denet_dir_open_below(top, store->host, true);
  if (store->host_lock < 0)
    return store->host_lock;
  /* Kept as long as the store; the kernel ends it however the process ends. If another store has
   * it, an end that looks torn may be in the middle of its write. */
  bool is_locked = !flock(store->host_lock, LOCK_EX | LOCK_NB);
  store->retention = (struct denet_retention){
      .path = store->path,
      .host = store->host,
      .limit_bytes = settings->total_bytes,
      .block_bytes = settings->block_bytes,
  };
  int error = denet_retention_scan(&store->retention, is_locked);
  if (!error)
    denet_retention_make_room(&store->retention, 0, 0);
  return error;
}

int denet_store_open(const struct denet_store_settings *settings, struct denet_error *error,
                     struct denet_store **out_store) {
  struct denet_store *store = calloc(1, sizeof(*store));
  int outcome = store ? open_store(store, settings) : -ENOMEM;
  if (!outcome) {
    *out_store = store;
    return 0;
  }
  denet_store_close(store);
  return denet_error_set(error, outcome, "cannot keep files in %s: %m", settings->path);
}

void denet_store_close(struct denet_store *store) {
  if (!store)
    return;
  /* A node of the tree begins with the pointer to its stream. */
  while (store->streams)
    drop_stream(store, *(struct stream **)store->streams);
  denet_retention_done(&store->retention);
  denet_closep(&store->dir);
  denet_closep(&store->host_lock);
  free(store->path);
  free(store);
}
