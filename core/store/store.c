#include "core/store/store.h"

#include "core/store/retention.h"
#include "core/store/segment.h"
#include "core/util/cleanup.h"
#include "core/util/dir.h"
#include "core/util/name.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define PROBE_NAME ".probe"

#define LONG_HEAD_BYTES 4096 /* a head above it is read back from its file instead of kept */
#define KEPT_HEADS_BYTES (4 << 20)
#define WORTHY_LINES_BYTES (UINT64_C(8) * LONG_HEAD_BYTES)
/* How often an open file is looked for by its name, which others may have given to another. */
#define BATCHES_A_LOOK 10

/* What was written for one key, from its metadata line to its last line. */
struct record {
  char *instance; /* owned */
  struct denet_segment part;
  struct denet_buffer head;   /* the metadata line, for the parts to come; empty: not kept */
  TAILQ_ENTRY(record) recent; /* linked while the part has a descriptor */
  unsigned looked_in;         /* the batch in which the part's name was looked up */
};

struct denet_store {
  char *folder;
  denet_name host;
  unsigned batch;    /* counts denet_store_resume() */
  int refusal;       /* 0, or the -errno that lines get until denet_store_resume() */
  int host_lock;     /* the host's folder, locked unless somebody else has locked it */
  int looked_folder; /* the instance's folder in which this batch has looked last; or negative */
  denet_name looked_instance;
  struct denet_store_limits limits;
  struct denet_retention budget;
  void *records; /* tsearch(3) */
  size_t record_count;
  uint64_t kept_bytes;                    /* of all records' heads */
  TAILQ_HEAD(record_list, record) recent; /* records with a descriptor, the latest used first */
  unsigned open_count;                    /* how many those are */
};

static int compare_records(const void *left, const void *right) {
  const struct record *a = left, *b = right;
  if (a->part.id.pid != b->part.id.pid)
    return a->part.id.pid < b->part.id.pid ? -1 : 1;
  if (a->part.id.t0_ms != b->part.id.t0_ms)
    return a->part.id.t0_ms < b->part.id.t0_ms ? -1 : 1;
  return strcmp(a->instance, b->instance);
}

static void free_record(struct record *record) {
  if (!record)
    return;
  denet_segment_close(&record->part);
  denet_buffer_done(&record->head);
  free(record->instance);
  free(record);
}

static void free_recordp(struct record **record) { free_record(*record); }

static void forget_head(struct denet_store *store, struct record *record) {
  store->kept_bytes -= record->head.length;
  denet_buffer_done(&record->head);
}

/* Keeps head, whose memory it takes, until limit_heads(). */
static void keep_head(struct denet_store *store, struct record *record, struct denet_buffer head) {
  forget_head(store, record);
  record->head = head;
  store->kept_bytes += head.length;
}

static bool has_part(const struct record *record) { return record->part.bytes > 0; }

/* Forgets a head that memory need not hold, since a file has it, or must not. */
static void limit_heads(struct denet_store *store, struct record *record) {
  bool is_free = !has_part(record) && store->kept_bytes <= KEPT_HEADS_BYTES;
  if (record->head.length > LONG_HEAD_BYTES && !is_free)
    forget_head(store, record);
}

/* Gets a head that is not kept from the part that has it. What fails leaves it to a stand-in. */
static void recall_head(struct denet_store *store, struct record *record) {
  struct denet_buffer head;
  if (!record->head.length && record->part.fd >= 0 &&
      !denet_segment_read_head(&record->part, &head))
    keep_head(store, record, head);
}

static void drop_record(struct denet_store *store, struct record *record) {
  forget_head(store, record);
  tdelete(record, &store->records, compare_records);
  store->record_count--;
  free_record(record);
}

static struct record *find_record(const struct denet_store *store, const struct denet_line *line) {
  struct record key = {.instance = (char *)line->instance,
                       .part = {.id = {.pid = line->pid, .t0_ms = line->t0_ms}}};
  struct record **found = tfind(&key, &store->records, compare_records);
  return found ? *found : NULL;
}

static int add_record(struct denet_store *store, const struct denet_line *line,
                      struct record **out_record) {
  DENET_CLEANUP(free_recordp) struct record *record = calloc(1, sizeof(*record));
  if (!record)
    return -ENOMEM;
  record->part = (struct denet_segment){.id = {.pid = line->pid, .t0_ms = line->t0_ms}, .fd = -1};
  record->instance = strdup(line->instance);
  if (!record->instance || !tsearch(record, &store->records, compare_records))
    return -ENOMEM;
  store->record_count++;
  *out_record = DENET_TAKE(record);
  return 0;
}

static void close_part(struct denet_store *store, struct record *record) {
  if (record->part.fd < 0)
    return;
  TAILQ_REMOVE(&store->recent, record, recent);
  store->open_count--;
  denet_segment_close(&record->part);
}

/* Makes room for one more descriptor. */
static void close_least_recent(struct denet_store *store) {
  while (store->open_count && store->open_count >= store->limits.open_files)
    close_part(store, TAILQ_LAST(&store->recent, record_list));
}

static void note_opened(struct denet_store *store, struct record *record) {
  TAILQ_INSERT_HEAD(&store->recent, record, recent);
  store->open_count++;
  record->looked_in = store->batch;
}

static void note_used(struct denet_store *store, struct record *record) {
  TAILQ_REMOVE(&store->recent, record, recent);
  TAILQ_INSERT_HEAD(&store->recent, record, recent);
}

/* No more lines for the part: from now on it is a finished file. */
static void finish_part(struct denet_store *store, struct record *record) {
  struct denet_segment *part = &record->part;
  if (!has_part(record))
    return;
  close_part(store, record);
  denet_retention_finish(&store->budget, store->host, record->instance, part);
  part->bytes = 0;
  denet_retention_make_room(&store->budget, 0);
}

/* The part's file is no longer ours: others removed it, or have put it to a use of their own. */
static void abandon_part(struct denet_store *store, struct record *record) {
  close_part(store, record);
  store->budget.total_bytes -= denet_retention_space(&store->budget, record->part.bytes);
  record->part.bytes = 0;
}

/* The folder of an instance: a descriptor or -errno. Opened anew each time, since any folder of the
 * path may have been removed or replaced while nobody looked. */
static int open_instance(const struct denet_store *store, const char *instance) {
  DENET_CLOSE int folder = denet_dir_open(store->folder);
  if (folder < 0)
    return folder;
  DENET_CLOSE int host = denet_dir_open_below(folder, store->host, false);
  return host < 0 ? host : denet_dir_open_below(host, instance, false);
}

/* The folder that the folders of the instances are in, as above, but made if there is none. */
static int make_host(struct denet_store *store) {
  DENET_CLOSE int folder = denet_dir_make(store->folder);
  int host = folder < 0 ? folder : denet_dir_open_below(folder, store->host, true);
  if (host < 0)
    store->refusal = host;
  return host;
}

/* Returns error, after a write that failed with it, or 0. */
static int note_failure(struct denet_store *store, int error) {
  if (error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -EIO)
    store->refusal = error;
  return error;
}

static int make_part(struct denet_store *store, struct record *record, struct denet_text head) {
  close_least_recent(store);
  denet_retention_make_room(&store->budget, denet_retention_space(&store->budget, head.length + 1));
  DENET_CLOSE int host = make_host(store);
  if (host < 0)
    return host;
  DENET_CLOSE int folder = denet_dir_open_below(host, record->instance, true);
  if (folder < 0)
    return folder;
  struct denet_segment *part = &record->part;
  /* Behind those of an earlier run, or of a time when the process was here before. */
  if (!part->id.number)
    part->id.number =
        denet_retention_latest(&store->budget, store->host, record->instance, &part->id);
  int error = denet_segment_start(part, folder, head);
  if (error)
    return error;
  note_opened(store, record);
  store->budget.total_bytes += denet_retention_space(&store->budget, record->part.bytes);
  return 0;
}

static int start_part(struct denet_store *store, struct record *record) {
  const struct denet_segment *part = &record->part;
  struct denet_text head = denet_buffer_text(&record->head);
  char stand_in[128];
  if (!head.length) {
    snprintf(stand_in, sizeof(stand_in),
             "{\"kind\":\"metadata\",\"pid\":%d,\"cmd\":[],\"executable\":\"\",\"t0_ms\":%" PRIu64
             "}",
             (int)part->id.pid, part->id.t0_ms);
    head = denet_text_of(stand_in);
  }
  int error = store->refusal ? store->refusal : note_failure(store, make_part(store, record, head));
  limit_heads(store, record);
  return error;
}

/* Whether an instance's folder that was not opened for this reason is no longer there. */
static bool is_gone(int error) { return error == -ENOENT || error == -ELOOP || error == -ENOTDIR; }

/* 0; DENET_GONE when the file is no longer there. */
static int reopen_part(struct denet_store *store, struct record *record) {
  close_least_recent(store);
  DENET_CLOSE int folder = open_instance(store, record->instance);
  if (is_gone(folder))
    return DENET_GONE;
  if (folder < 0)
    return folder;
  int outcome = denet_segment_reopen(&record->part, folder);
  if (!outcome)
    note_opened(store, record);
  return outcome;
}

/* The instance's folder, opened once in a batch for many files of it; or -errno. */
static int find_looked_folder(struct denet_store *store, const char *instance) {
  if (store->looked_folder >= 0 && !strcmp(store->looked_instance, instance))
    return store->looked_folder;
  denet_closep(&store->looked_folder);
  store->looked_folder = open_instance(store, instance);
  snprintf(store->looked_instance, sizeof(store->looked_instance), "%s", instance);
  return store->looked_folder;
}

/* 0; DENET_GONE when the name of an open part leads to it no more. Looks only now and then. */
static int look_for_part(struct denet_store *store, struct record *record) {
  if (store->batch - record->looked_in < BATCHES_A_LOOK)
    return 0;
  record->looked_in = store->batch;
  int folder = find_looked_folder(store, record->instance);
  /* What cannot be looked at now may well be there. */
  if (folder < 0)
    return is_gone(folder) ? DENET_GONE : 0;
  return denet_segment_find(&record->part, folder) == DENET_GONE ? DENET_GONE : 0;
}

/* Whether the part's lines are worth its head, which the next part repeats. */
static bool is_worth_its_head(const struct denet_segment *part) {
  uint64_t lines_bytes = part->bytes - part->head_bytes;
  if (lines_bytes < part->head_bytes)
    return false;
  return lines_bytes >= 8 * part->head_bytes || lines_bytes >= WORTHY_LINES_BYTES;
}

/* Whether the part gets no more lines. A part of less than a block would save nothing. */
static bool is_full(const struct denet_store *store, const struct record *record) {
  uint64_t share = store->limits.total_bytes / 2 / store->record_count;
  if (share < store->budget.block_bytes)
    share = store->budget.block_bytes;
  uint64_t limit = share < store->limits.file_bytes ? share : store->limits.file_bytes;
  return record->part.bytes >= limit && is_worth_its_head(&record->part);
}

/* Leaves the record with an open part that takes lines: the one it has, or the next. */
static int ready_part(struct denet_store *store, struct record *record) {
  if (!has_part(record))
    return start_part(store, record);
  int outcome = record->part.fd < 0 ? reopen_part(store, record) : look_for_part(store, record);
  if (outcome < 0)
    return outcome;
  if (!outcome)
    outcome = denet_segment_check(&record->part);
  if (!outcome && !is_full(store, record)) {
    note_used(store, record);
    return 0;
  }
  recall_head(store, record);
  /* One of which it is not known how it is gets no more lines, but takes its place all the same. */
  if (outcome == DENET_GONE)
    abandon_part(store, record);
  else
    finish_part(store, record);
  return start_part(store, record);
}

static int append_line(struct denet_store *store, struct record *record, struct denet_text json) {
  int error = store->refusal ? store->refusal : ready_part(store, record);
  if (error)
    return error;
  uint64_t bytes = record->part.bytes;
  uint64_t growth = denet_retention_space(&store->budget, bytes + json.length + 1) -
                    denet_retention_space(&store->budget, bytes);
  denet_retention_make_room(&store->budget, growth);
  error = denet_segment_append(&record->part, json);
  if (!error)
    store->budget.total_bytes += growth;
  return note_failure(store, error);
}

/* Starts a part with the line, of a new record or of the one there is. */
static int begin_part(struct denet_store *store, const struct denet_line *line,
                      struct record *record) {
  int error = record ? 0 : add_record(store, line, &record);
  if (error)
    return error;
  finish_part(store, record);
  struct denet_buffer head = {0};
  error = denet_buffer_append(&head, line->json.bytes, line->json.length);
  keep_head(store, record, head);
  if (error) {
    /* Without its head no part can follow. */
    drop_record(store, record);
    return error;
  }
  return start_part(store, record);
}

static int write_line(struct denet_store *store, const struct denet_line *line) {
  struct record *record = find_record(store, line);
  if (line->kind == DENET_LINE_METADATA)
    return begin_part(store, line, record);
  if (!record)
    return line->kind == DENET_LINE_END ? 0 : DENET_GONE;
  int error = line->kind == DENET_LINE_END ? 0 : append_line(store, record, line->json);
  if (line->kind != DENET_LINE_SAMPLE) {
    finish_part(store, record);
    drop_record(store, record);
  }
  return error;
}

/* Safe names have no leading dot, which rules out "." and ".." too. */
static bool is_safe(const char *name) { return *name && *name != '.' && !strchr(name, '/'); }

int denet_store_write(struct denet_store *store, const struct denet_line *line,
                      struct denet_error *error) {
  if (!line->instance || !is_safe(line->instance))
    return denet_error_set(error, -EINVAL, "\"%s\" is no name for a folder",
                           line->instance ? line->instance : "");
  int outcome = write_line(store, line);
  if (outcome >= 0)
    return outcome;
  errno = -outcome;
  return denet_error_set(error, outcome, "cannot write to %s/%s/%s: %m", store->folder, store->host,
                         line->instance);
}

void denet_store_resume(struct denet_store *store) {
  store->refusal = 0;
  store->batch++;
  denet_closep(&store->looked_folder);
}

uint64_t denet_store_total_bytes(const struct denet_store *store) {
  return store->budget.total_bytes;
}

static int try_file(int folder) {
  /* One that a crash left. */
  unlinkat(folder, PROBE_NAME, 0);
  DENET_CLOSE int fd =
      openat(folder, PROBE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd < 0)
    return errno == ENOSPC || errno == EDQUOT ? 0 : -errno;
  unlinkat(folder, PROBE_NAME, 0);
  return 0;
}

int denet_store_check(const char *folder, struct denet_error *error) {
  DENET_CLOSE int fd = denet_dir_make(folder);
  int outcome = fd < 0 ? fd : try_file(fd);
  if (!outcome)
    return 0;
  errno = -outcome;
  return denet_error_set(error, outcome, "cannot make files in %s: %m", folder);
}

static void close_storep(struct denet_store **store) { denet_store_close(*store); }

/* Fills store as far as it gets. */
static int open_store(struct denet_store *store, const char *folder, const char *host) {
  TAILQ_INIT(&store->recent);
  store->host_lock = store->looked_folder = -1;
  denet_name_safe(denet_text_of(host), store->host);
  store->folder = strdup(folder);
  if (!store->folder)
    return -ENOMEM;
  DENET_CLOSE int folder_fd = denet_dir_make(folder);
  if (folder_fd < 0)
    return folder_fd;
  store->host_lock = denet_dir_open_below(folder_fd, store->host, true);
  if (store->host_lock < 0)
    return store->host_lock;
  /* Kept as long as the store, and ended by the kernel however the process ends. Where another one
   * has it, what looks torn may just be being written. */
  bool is_ours = !flock(store->host_lock, LOCK_EX | LOCK_NB);
  store->budget.limit_bytes = store->limits.total_bytes;
  store->budget.block_bytes = store->limits.block_bytes ? store->limits.block_bytes : 1;
  store->budget.shelf_files = store->limits.shelf_files;
  int error = denet_retention_init(&store->budget, folder);
  if (!error)
    error = denet_retention_scan(&store->budget, is_ours ? store->host : NULL);
  if (!error)
    denet_retention_make_room(&store->budget, 0);
  return error;
}

int denet_store_open(const char *folder, const char *host, const struct denet_store_limits *limits,
                     struct denet_error *error, struct denet_store **out_store) {
  DENET_CLEANUP(close_storep) struct denet_store *store = calloc(1, sizeof(*store));
  int outcome = -ENOMEM;
  if (store) {
    store->limits = *limits;
    outcome = open_store(store, folder, host);
  }
  if (outcome) {
    errno = -outcome;
    return denet_error_set(error, outcome, "cannot keep files in %s: %m", folder);
  }
  *out_store = DENET_TAKE(store);
  return 0;
}

void denet_store_close(struct denet_store *store) {
  if (!store)
    return;
  /* A node of the tree begins with the pointer to its record. */
  while (store->records)
    drop_record(store, *(struct record **)store->records);
  denet_retention_done(&store->budget);
  denet_closep(&store->looked_folder);
  denet_closep(&store->host_lock);
  free(store->folder);
  free(store);
}
