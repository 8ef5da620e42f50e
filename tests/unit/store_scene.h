/* A store in a folder of its own, for the tests of stores. */
#pragma once

#include "core/store/store.h"

#include "core/util/buffer.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define HOST "h1"
#define PLENTY (UINT64_C(1) << 40)
#define HEADER "{\"kind\":\"metadata\"}"
#define LINE "{\"kind\":\"sample\",\"n\":1}"

/* The day of all files, unless a test sets the clock. */
#define DAY "2023-11-14"
#define DAY_MS UINT64_C(1699920000000)
#define WEB HOST "/web/" DAY "/"

static uint64_t now_ms = DAY_MS;

static inline uint64_t read_now(void) { return now_ms; }

/* Of a store; 0 means much of it. */
struct limits {
  uint64_t file_bytes, total_bytes;
  unsigned open_files, block_bytes;
};

static const struct limits no_limits = {0};

/* A folder of the test's own, and the store in it. */
struct scene {
  char top[64];
  char folder[96]; /* <top>/records, which the store makes */
  struct denet_store *store;
  struct denet_error error;
};

/* Opens another store in the folder. */
static inline int try_open(struct scene *scene, const char *host, struct limits limits,
                           struct denet_store **out_store) {
  const struct denet_store_settings settings = {
      .path = scene->folder,
      .host = host,
      .file_bytes = limits.file_bytes ? limits.file_bytes : PLENTY,
      .total_bytes = limits.total_bytes ? limits.total_bytes : PLENTY,
      .open_files = limits.open_files ? limits.open_files : 16,
      .block_bytes = limits.block_bytes ? limits.block_bytes : 1,
      .unix_ms = read_now,
  };
  return denet_store_open(&settings, &scene->error, out_store);
}

static inline void open_again(struct scene *scene, struct limits limits) {
  denet_store_close(scene->store);
  scene->store = NULL;
  int error = try_open(scene, HOST, limits, &scene->store);
  ck_assert_msg(!error, "%s", scene->error.text);
}

/* The folder is not made yet, and there is no store. */
static inline struct scene begin_closed(void) {
  struct scene closed = {.top = "/tmp/denet-store-XXXXXX"};
  umask(022);
  ck_assert_ptr_nonnull(mkdtemp(closed.top));
  snprintf(closed.folder, sizeof(closed.folder), "%s/records", closed.top);
  return closed;
}

static inline struct scene begin(struct limits limits) {
  struct scene opened = begin_closed();
  open_again(&opened, limits);
  return opened;
}

static inline int remove_entry(const char *path, const struct stat *status, int type,
                               struct FTW *walk) {
  return remove(path);
}

static inline void remove_tree(const char *path) {
  nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void end_scene(struct scene *scene) {
  denet_store_close(scene->store);
  remove_tree(scene->top);
}

typedef char path[512];

/* Of what is below the store's folder. */
static inline const char *path_of(const struct scene *scene, const char *relative, path out_path) {
  snprintf(out_path, sizeof(path), "%s/%s", scene->folder, relative);
  return out_path;
}

static inline bool exists(const struct scene *scene, const char *relative) {
  struct stat status;
  path full;
  return !lstat(path_of(scene, relative, full), &status);
}

/* Makes the folders above a path. */
static inline void make_parents(const char *full) {
  path folder;
  for (const char *slash = full; (slash = strchr(slash + 1, '/'));) {
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - full), full);
    mkdir(folder, 0755);
  }
}

static inline void expect_file(const struct scene *scene, const char *relative,
                               const char *expected) {
  path full;
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer content = {0};
  path_of(scene, relative, full);
  ck_assert_msg(!denet_buffer_read_path(&content, AT_FDCWD, full, 1 << 20), "%s: %m", full);
  ck_assert_str_eq(denet_buffer_text(&content).bytes, expected);
}

static inline int write_key(struct scene *scene, const char *instance, pid_t pid,
                            enum denet_line_kind kind, const char *json) {
  struct denet_line line = {
      .kind = kind, .instance = instance, .pid = pid, .t0_ms = 1000, .json = denet_text_of(json)};
  return denet_store_write(scene->store, &line, &scene->error);
}

static inline void expect_write(struct scene *scene, pid_t pid, enum denet_line_kind kind,
                                const char *json) {
  int error = write_key(scene, "web", pid, kind, json);
  ck_assert_msg(!error, "%d %s", error, scene->error.text);
}

/* A finished file of HEADER and LINE. */
#define FILE_BYTES (sizeof(HEADER "\n" LINE "\n") - 1)
static inline void write_whole(struct scene *scene, pid_t pid) {
  expect_write(scene, pid, DENET_LINE_METADATA, HEADER);
  expect_write(scene, pid, DENET_LINE_LAST, LINE);
}

/* Writes while no file may be longer than that, as on a full disk. Nothing of Check's in between:
 * it keeps its own messages in a file. */
static inline int try_limited(struct scene *scene, rlim_t file_bytes, const char *instance,
                              pid_t pid, enum denet_line_kind kind, const char *json) {
  struct rlimit before, limited;
  getrlimit(RLIMIT_FSIZE, &before);
  limited = before;
  limited.rlim_cur = file_bytes;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limited);
  int error = write_key(scene, instance, pid, kind, json);
  setrlimit(RLIMIT_FSIZE, &before);
  return error;
}
