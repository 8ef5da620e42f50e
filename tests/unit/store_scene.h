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
#define HEAD "{\"kind\":\"metadata\"}"
#define LINE "{\"kind\":\"sample\",\"n\":1}"

static const struct denet_store_limits no_limits = {PLENTY, PLENTY, 16, 0, 0};

/* A folder of the test's own, and the store in it. */
struct scene {
  char top[64];
  char folder[96]; /* <top>/records, which the store makes */
  struct denet_store *store;
  struct denet_error error;
};

static inline void open_again(struct scene *scene, struct denet_store_limits limits) {
  denet_store_close(scene->store);
  scene->store = NULL;
  int error = denet_store_open(scene->folder, HOST, &limits, &scene->error, &scene->store);
  ck_assert_msg(!error, "%s", scene->error.text);
}

static inline void set_top(struct scene *scene) {
  strcpy(scene->top, "/tmp/denet-store-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(scene->top));
  snprintf(scene->folder, sizeof(scene->folder), "%s/records", scene->top);
}

static inline struct scene begin(struct denet_store_limits limits) {
  struct scene scene = {0};
  umask(022);
  set_top(&scene);
  open_again(&scene, limits);
  return scene;
}

static inline int remove_entry(const char *path, const struct stat *status, int type,
                               struct FTW *walk) {
  (void)status;
  (void)type;
  (void)walk;
  return remove(path);
}

static inline void remove_tree(const char *path) {
  nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void end(struct scene *scene) {
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

static inline void write_file(const struct scene *scene, const char *relative, const char *text) {
  path full;
  FILE *file = fopen(path_of(scene, relative, full), "w");
  ck_assert_msg(file != NULL, "%s: %m", full);
  fputs(text, file);
  fclose(file);
}

static inline void set_age(const struct scene *scene, const char *relative, time_t seconds) {
  path full;
  time_t changed = time(NULL) - seconds;
  struct timespec times[] = {{changed, 0}, {changed, 0}};
  ck_assert_int_eq(utimensat(AT_FDCWD, path_of(scene, relative, full), times, 0), 0);
}

static inline void make_folder(const struct scene *scene, const char *relative) {
  path full;
  ck_assert_int_eq(mkdir(path_of(scene, relative, full), 0755), 0);
}

static inline void expect_file(const struct scene *scene, const char *relative,
                               const char *expected) {
  path full;
  DENET_CLOSE int fd = open(path_of(scene, relative, full), O_RDONLY);
  ck_assert_msg(fd >= 0, "%s: %m", full);
  struct denet_buffer content = {0};
  ck_assert_int_eq(denet_buffer_read(&content, fd, 1 << 20), 0);
  ck_assert_str_eq(denet_buffer_text(&content).bytes, expected);
  denet_buffer_done(&content);
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

/* A finished file of HEAD and LINE. */
#define FILE_BYTES (sizeof(HEAD "\n" LINE "\n") - 1)
static inline void write_whole(struct scene *scene, pid_t pid) {
  expect_write(scene, pid, DENET_LINE_METADATA, HEAD);
  expect_write(scene, pid, DENET_LINE_LAST, LINE);
}

/* Writes while no file may be longer than that, as on a full disk. Nothing of Check's in between:
 * it keeps its own messages in a file. */
static inline int try_limited(struct scene *scene, rlim_t file_bytes, pid_t pid,
                              enum denet_line_kind kind, const char *json) {
  struct rlimit before, limited;
  getrlimit(RLIMIT_FSIZE, &before);
  limited = before;
  limited.rlim_cur = file_bytes;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limited);
  int error = write_key(scene, "web", pid, kind, json);
  setrlimit(RLIMIT_FSIZE, &before);
  return error;
}

/* The same, with what a failure led to being over afterwards. */
static inline int write_limited(struct scene *scene, rlim_t file_bytes, pid_t pid,
                                enum denet_line_kind kind, const char *json) {
  int error = try_limited(scene, file_bytes, pid, kind, json);
  denet_store_resume(scene->store);
  return error;
}
