#include "core/store.h"

#include "core/buffer.h"
#include "core/cleanup.h"
#include "tests/unit.h"

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

static const struct denet_store_limits no_limits = {PLENTY, PLENTY, 16};

/* A folder of the test's own, and the store in it. */
struct scene {
  char top[64];
  char folder[96]; /* <top>/records, which the store makes */
  struct denet_store *store;
  struct denet_error error;
};

static void open_again(struct scene *scene, struct denet_store_limits limits) {
  denet_store_close(scene->store);
  scene->store = NULL;
  int error = denet_store_open(scene->folder, HOST, &limits, &scene->error, &scene->store);
  ck_assert_msg(!error, "%s", scene->error.text);
}

static void set_top(struct scene *scene) {
  strcpy(scene->top, "/tmp/denet-store-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(scene->top));
  snprintf(scene->folder, sizeof(scene->folder), "%s/records", scene->top);
}

static struct scene begin(struct denet_store_limits limits) {
  struct scene scene = {0};
  umask(022);
  set_top(&scene);
  open_again(&scene, limits);
  return scene;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status;
  (void)type;
  (void)walk;
  return remove(path);
}

static void remove_tree(const char *path) { nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

static void end(struct scene *scene) {
  denet_store_close(scene->store);
  remove_tree(scene->top);
}

typedef char path[512];

/* Of what is below the store's folder. */
static const char *path_of(const struct scene *scene, const char *relative, path out_path) {
  snprintf(out_path, sizeof(path), "%s/%s", scene->folder, relative);
  return out_path;
}

static bool exists(const struct scene *scene, const char *relative) {
  struct stat status;
  path full;
  return !lstat(path_of(scene, relative, full), &status);
}

static void write_file(const struct scene *scene, const char *relative, const char *text) {
  path full;
  FILE *file = fopen(path_of(scene, relative, full), "w");
  ck_assert_msg(file != NULL, "%s: %m", full);
  fputs(text, file);
  fclose(file);
}

static void set_age(const struct scene *scene, const char *relative, time_t seconds) {
  path full;
  time_t changed = time(NULL) - seconds;
  struct timespec times[] = {{changed, 0}, {changed, 0}};
  ck_assert_int_eq(utimensat(AT_FDCWD, path_of(scene, relative, full), times, 0), 0);
}

static void make_folder(const struct scene *scene, const char *relative) {
  path full;
  ck_assert_int_eq(mkdir(path_of(scene, relative, full), 0755), 0);
}

static void expect_file(const struct scene *scene, const char *relative, const char *expected) {
  path full;
  DENET_CLOSE int fd = open(path_of(scene, relative, full), O_RDONLY);
  ck_assert_msg(fd >= 0, "%s: %m", full);
  struct denet_buffer content = {0};
  ck_assert_int_eq(denet_buffer_read(&content, fd, 1 << 20), 0);
  ck_assert_str_eq(denet_buffer_text(&content).bytes, expected);
  denet_buffer_done(&content);
}

static int write_key(struct scene *scene, const char *instance, pid_t pid,
                     enum denet_line_kind kind, const char *json) {
  struct denet_line line = {
      .kind = kind, .instance = instance, .pid = pid, .t0_ms = 1000, .json = denet_text_of(json)};
  return denet_store_write(scene->store, &line, &scene->error);
}

static void expect_write(struct scene *scene, pid_t pid, enum denet_line_kind kind,
                         const char *json) {
  int error = write_key(scene, "web", pid, kind, json);
  ck_assert_msg(!error, "%d %s", error, scene->error.text);
}

/* A finished file of HEAD and LINE. */
#define FILE_BYTES (sizeof(HEAD "\n" LINE "\n") - 1)
static void write_whole(struct scene *scene, pid_t pid) {
  expect_write(scene, pid, DENET_LINE_METADATA, HEAD);
  expect_write(scene, pid, DENET_LINE_LAST, LINE);
}

/* Writes while no file may be longer than that, as on a full disk. Nothing of Check's in between:
 * it keeps its own messages in a file. */
static int write_limited(struct scene *scene, rlim_t file_bytes, pid_t pid,
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

START_TEST(a_process_has_one_file_in_the_order_of_its_lines) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 12, DENET_LINE_METADATA, "{\"cmd\":[]}");
  expect_write(&scene, 12, DENET_LINE_SAMPLE, "{\"n\":1}");
  expect_write(&scene, 12, DENET_LINE_LAST, "{\"n\":2}");
  expect_file(&scene, HOST "/web/12-1000.jsonl", "{\"cmd\":[]}\n{\"n\":1}\n{\"n\":2}\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 27);
  end(&scene);
}
END_TEST

START_TEST(a_line_without_its_metadata_is_gone) {
  struct scene scene = begin(no_limits);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_SAMPLE, LINE), DENET_GONE);
  write_whole(&scene, 1);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_SAMPLE, LINE), DENET_GONE);
  ck_assert_int_eq(write_key(&scene, "web", 2, DENET_LINE_LAST, LINE), DENET_GONE);
  ck_assert_int_eq(write_key(&scene, "db", 1, DENET_LINE_SAMPLE, LINE), DENET_GONE);
  end(&scene);
}
END_TEST

START_TEST(metadata_of_an_open_key_starts_the_next_part) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, "{\"cmd\":[\"sh\"]}");
  expect_write(&scene, 1, DENET_LINE_METADATA, "{\"cmd\":[\"ls\"]}");
  expect_write(&scene, 1, DENET_LINE_SAMPLE, "{}");
  expect_file(&scene, HOST "/web/1-1000.jsonl", "{\"cmd\":[\"sh\"]}\n");
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", "{\"cmd\":[\"ls\"]}\n{}\n");
  end(&scene);
}
END_TEST

/* As long as eight heads: such a line makes a part worth its head. */
#define LONG_LINE                                                                                  \
  "{\"kind\":\"sample\",\"pad\":\""                                                                \
  "................................................................................"               \
  "................................................................................\"}"
#define LONG_FILE_BYTES (sizeof(HEAD "\n" LONG_LINE "\n") - 1)

START_TEST(a_full_part_is_followed_by_one_with_the_same_head) {
  struct scene scene = begin((struct denet_store_limits){LONG_FILE_BYTES, PLENTY, 16});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  for (int i = 0; i < 3; i++)
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LONG_LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LONG_LINE "\n");
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", HEAD "\n" LONG_LINE "\n");
  expect_file(&scene, HOST "/web/1-1000_0003.jsonl", HEAD "\n" LONG_LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * LONG_FILE_BYTES);
  end(&scene);
}
END_TEST

static const struct denet_store_limits tiny_limits[] = {{1, PLENTY, 16}, {PLENTY, 1, 16}};

START_TEST(a_part_is_not_full_before_its_lines_are_eight_times_its_head) {
  struct scene scene = begin(tiny_limits[_i]);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  for (size_t bytes = 0; bytes < 8 * sizeof(HEAD); bytes += sizeof(LINE)) {
    ck_assert(!exists(&scene, HOST "/web/1-1000_0002.jsonl"));
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  }
  ck_assert(!exists(&scene, HOST "/web/1-1000_0002.jsonl"));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

/* A metadata line of length bytes, owned by the caller: what a hostile command line makes. */
static char *make_head(size_t length) {
  char *head = malloc(length + 1);
  ck_assert_ptr_nonnull(head);
  memset(head, 'x', length);
  static const char start[] = "{\"kind\":\"metadata\",\"cmd\":[\"";
  memcpy(head, start, sizeof(start) - 1);
  strcpy(head + length - 3, "\"]}");
  return head;
}

#define LONG_HEAD_BYTES 100000
/* What stands in for a long metadata line that nobody has any more. */
#define STAND_IN "{\"kind\":\"metadata\",\"pid\":1,\"cmd\":[],\"executable\":\"\",\"t0_ms\":1000}"

/* Expects a file of the head and the line. */
static void expect_headed(const struct scene *scene, const char *name, const char *head,
                          const char *line) {
  DENET_FREE char *expected = NULL;
  ck_assert_int_gt(asprintf(&expected, "%s\n%s\n", head, line), 0);
  expect_file(scene, name, expected);
}

START_TEST(a_long_head_is_not_written_again_before_as_many_bytes_of_lines) {
  struct scene scene = begin(tiny_limits[_i]);
  DENET_FREE char *head = make_head(LONG_HEAD_BYTES);
  expect_write(&scene, 1, DENET_LINE_METADATA, head);
  for (size_t bytes = 0; bytes <= LONG_HEAD_BYTES; bytes += sizeof(LONG_LINE))
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LONG_LINE);
  ck_assert(!exists(&scene, HOST "/web/1-1000_0002.jsonl"));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_headed(&scene, HOST "/web/1-1000_0002.jsonl", head, LINE);
  end(&scene);
}
END_TEST

/* Fills the part with a line that is as long as the head. */
static void fill_part(struct scene *scene, pid_t pid) {
  DENET_FREE char *line = make_head(LONG_HEAD_BYTES);
  expect_write(scene, pid, DENET_LINE_SAMPLE, line);
}

static const unsigned file_limits[] = {1, 16};

START_TEST(a_long_head_heads_every_part) {
  struct scene scene = begin((struct denet_store_limits){1, PLENTY, file_limits[_i]});
  DENET_FREE char *head = make_head(LONG_HEAD_BYTES);
  for (pid_t pid = 1; pid <= 2; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, head);
  for (int round = 0; round < 2; round++)
    for (pid_t pid = 1; pid <= 2; pid++)
      fill_part(&scene, pid);
  for (pid_t pid = 1; pid <= 2; pid++)
    expect_write(&scene, pid, DENET_LINE_LAST, LINE);
  expect_headed(&scene, HOST "/web/1-1000.jsonl", head, head);
  expect_headed(&scene, HOST "/web/2-1000_0002.jsonl", head, head);
  expect_headed(&scene, HOST "/web/1-1000_0003.jsonl", head, LINE);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store),
                    2 * (5 * (LONG_HEAD_BYTES + 1) + sizeof(LINE)));
  end(&scene);
}
END_TEST

START_TEST(a_long_head_is_read_back_from_a_file_that_was_removed) {
  struct scene scene = begin(no_limits);
  DENET_FREE char *head = make_head(LONG_HEAD_BYTES);
  expect_write(&scene, 1, DENET_LINE_METADATA, head);
  remove_tree(scene.folder);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_headed(&scene, HOST "/web/1-1000_0002.jsonl", head, LINE);
  end(&scene);
}
END_TEST

/* What others do to a file whose head is needed afterwards. */
static void remove_file(const char *file) { ck_assert_int_eq(remove(file), 0); }
static void cut_to_nothing(const char *file) { ck_assert_int_eq(truncate(file, 0), 0); }
static void cut_the_head(const char *file) { ck_assert_int_eq(truncate(file, 5000), 0); }

static void cut_and_stretch(const char *file) {
  cut_the_head(file);
  ck_assert_int_eq(truncate(file, 3L * LONG_HEAD_BYTES), 0);
}

static void put_other_lines(const char *file) {
  FILE *stream = fopen(file, "w");
  ck_assert_ptr_nonnull(stream);
  for (int i = 0; i < LONG_HEAD_BYTES; i++)
    fputs("{}\n", stream);
  fclose(stream);
}

static void (*const harms[])(const char *) = {remove_file, cut_to_nothing, cut_the_head,
                                              cut_and_stretch, put_other_lines};

START_TEST(a_long_head_that_is_lost_has_a_stand_in) {
  /* One descriptor, which the other key has. */
  struct scene scene = begin((struct denet_store_limits){PLENTY, PLENTY, 1});
  path full;
  DENET_FREE char *head = make_head(LONG_HEAD_BYTES);
  expect_write(&scene, 1, DENET_LINE_METADATA, head);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEAD);
  harms[_i](path_of(&scene, HOST "/web/1-1000.jsonl", full));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_headed(&scene, HOST "/web/1-1000_0002.jsonl", STAND_IN, LINE);
  end(&scene);
}
END_TEST

START_TEST(a_long_head_that_failed_heads_the_file_later) {
  struct scene scene = begin(no_limits);
  DENET_FREE char *head = make_head(LONG_HEAD_BYTES);
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_METADATA, head), 0);
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_SAMPLE, LINE), 0);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_headed(&scene, HOST "/web/1-1000.jsonl", head, LINE);
  end(&scene);
}
END_TEST

START_TEST(of_heads_that_failed_only_some_megabytes_wait) {
  struct scene scene = begin(no_limits);
  DENET_FREE char *head = make_head(900000);
  for (int round = 0; round < 2; round++)
    for (pid_t pid = 7; pid > 0; pid--)
      ck_assert_int_lt(write_limited(&scene, 5, pid, DENET_LINE_METADATA, head), 0);
  for (pid_t pid = 1; pid <= 7; pid++)
    expect_write(&scene, pid, DENET_LINE_SAMPLE, LINE);
  expect_headed(&scene, HOST "/web/7-1000.jsonl", head, LINE);
  expect_headed(&scene, HOST "/web/4-1000.jsonl", head, LINE);
  expect_headed(&scene, HOST "/web/1-1000.jsonl", STAND_IN, LINE);
  end(&scene);
}
END_TEST

START_TEST(a_line_fits_behind_a_head_that_is_too_long) {
  struct scene scene = begin((struct denet_store_limits){1, PLENTY, 16});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\n");
  ck_assert(!exists(&scene, HOST "/web/1-1000_0002.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(the_second_run_starts_a_new_part) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  open_again(&scene, no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, "{}");
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n");
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", "{}\n");
  end(&scene);
}
END_TEST

START_TEST(the_second_run_goes_behind_the_latest_part) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web");
  write_file(&scene, HOST "/web/1-1000_0007.jsonl", "{}\n");
  write_file(&scene, HOST "/web/1-10005_0009.jsonl", "{}\n");
  write_file(&scene, HOST "/web/1-1000_99999999999999999999.jsonl", "{}\n");
  open_again(&scene, no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  expect_file(&scene, HOST "/web/1-1000_0008.jsonl", HEAD "\n");
  end(&scene);
}
END_TEST

static const char *const unsafe_names[] = {"",     ".",         "..",     "../web",
                                           "/etc", "web/../..", ".probe", "web/1"};

START_TEST(an_unsafe_instance_is_refused) {
  struct scene scene = begin(no_limits);
  const char *name = unsafe_names[_i];
  ck_assert_int_eq(write_key(&scene, name, 1, DENET_LINE_METADATA, HEAD), -EINVAL);
  ck_assert_ptr_nonnull(strstr(scene.error.text, name));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  end(&scene);
}
END_TEST

START_TEST(the_name_of_the_host_is_made_safe) {
  struct scene scene = {0};
  set_top(&scene);
  ck_assert_int_eq(denet_store_open(scene.folder, "../a/b", &no_limits, &scene.error, &scene.store),
                   0);
  write_whole(&scene, 1);
  ck_assert(exists(&scene, "_._a_b/web/1-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(files_and_folders_are_not_for_everybody) {
  struct scene scene = begin(no_limits);
  write_whole(&scene, 1);
  static const struct {
    const char *name;
    mode_t mode;
  } expected[] = {{"", S_IFDIR | 0750},
                  {HOST, S_IFDIR | 0750},
                  {HOST "/web", S_IFDIR | 0750},
                  {HOST "/web/1-1000.jsonl", S_IFREG | 0640}};
  for (size_t i = 0; i < DENET_COUNT_OF(expected); i++) {
    path full;
    struct stat status;
    ck_assert_int_eq(stat(path_of(&scene, expected[i].name, full), &status), 0);
    ck_assert_uint_eq(status.st_mode, expected[i].mode);
  }
  end(&scene);
}
END_TEST

/* Puts a symbolic link at name that leads out of the store's folder. */
static void plant(struct scene *scene, const char *name, const char *target) {
  path link, full;
  snprintf(full, sizeof(full), "%s/%s", scene->top, target);
  ck_assert_int_eq(symlink(full, path_of(scene, name, link)), 0);
}

START_TEST(a_planted_symlink_is_not_followed) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web");
  plant(&scene, HOST "/web/1-1000.jsonl", "victim");
  write_whole(&scene, 1);
  expect_file(&scene, "../records/" HOST "/web/1-1000_0002.jsonl", HEAD "\n" LINE "\n");
  ck_assert(!exists(&scene, "../victim"));
  end(&scene);
}
END_TEST

static const char *const planted_folders[] = {HOST, HOST "/web"};

START_TEST(a_planted_symlink_to_a_folder_is_not_followed) {
  struct scene scene = begin(no_limits);
  path full;
  make_folder(&scene, "../victim");
  make_folder(&scene, "../victim/web");
  rmdir(path_of(&scene, planted_folders[_i], full));
  plant(&scene, planted_folders[_i], "victim");
  ck_assert_int_lt(write_key(&scene, "web", 1, DENET_LINE_METADATA, HEAD), 0);
  ck_assert(!exists(&scene, "../victim/1-1000.jsonl"));
  ck_assert(!exists(&scene, "../victim/web/1-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(the_oldest_finished_file_goes_first) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 3 * FILE_BYTES, 16});
  for (pid_t pid = 1; pid <= 4; pid++)
    write_whole(&scene, pid);
  ck_assert(!exists(&scene, HOST "/web/1-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2-1000.jsonl"));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * FILE_BYTES);
  write_whole(&scene, 5);
  ck_assert(!exists(&scene, HOST "/web/2-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/3-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(of_an_earlier_run_the_longest_unchanged_goes_first) {
  struct scene scene = begin(no_limits);
  for (pid_t pid = 1; pid <= 3; pid++)
    write_whole(&scene, pid);
  set_age(&scene, HOST "/web/1-1000.jsonl", 10);
  set_age(&scene, HOST "/web/2-1000.jsonl", 1000);
  set_age(&scene, HOST "/web/3-1000.jsonl", 100);
  open_again(&scene, (struct denet_store_limits){PLENTY, 2 * FILE_BYTES, 16});
  ck_assert(!exists(&scene, HOST "/web/2-1000.jsonl"));
  write_whole(&scene, 4);
  ck_assert(!exists(&scene, HOST "/web/3-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/1-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(many_finished_files_go_in_order) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 70 * FILE_BYTES, 16});
  for (pid_t pid = 1000; pid < 1500; pid++)
    write_whole(&scene, pid);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 70 * FILE_BYTES);
  ck_assert(!exists(&scene, HOST "/web/1429-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/1430-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(an_open_file_is_never_removed) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, FILE_BYTES, 1});
  for (pid_t pid = 1; pid <= 3; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, HEAD);
  for (pid_t pid = 1; pid <= 3; pid++)
    expect_write(&scene, pid, DENET_LINE_SAMPLE, LINE);
  for (pid_t pid = 1; pid <= 3; pid++) {
    char name[64];
    snprintf(name, sizeof(name), HOST "/web/%d-1000.jsonl", pid);
    expect_file(&scene, name, HEAD "\n" LINE "\n");
  }
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * FILE_BYTES);
  end(&scene);
}
END_TEST

START_TEST(open_files_alone_do_not_outgrow_the_total) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 20 * FILE_BYTES, 16});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEAD);
  for (int i = 0; i < 100; i++) {
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
    expect_write(&scene, 2, DENET_LINE_SAMPLE, LINE);
    ck_assert_uint_le(denet_store_total_bytes(scene.store), 20 * FILE_BYTES);
  }
  end(&scene);
}
END_TEST

START_TEST(an_empty_instance_folder_goes_and_comes_back) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, FILE_BYTES, 16});
  ck_assert_int_eq(write_key(&scene, "old", 1, DENET_LINE_METADATA, HEAD), 0);
  ck_assert_int_eq(write_key(&scene, "old", 1, DENET_LINE_LAST, LINE), 0);
  write_whole(&scene, 2);
  ck_assert(!exists(&scene, HOST "/old"));
  ck_assert_int_eq(write_key(&scene, "old", 3, DENET_LINE_METADATA, HEAD), 0);
  ck_assert(exists(&scene, HOST "/old/3-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(only_record_files_count_and_go) {
  static const char *const others[] = {"top.jsonl", HOST "/up.jsonl", HOST "/web/notes.txt",
                                       HOST "/web/.jsonl", HOST "/web/deep/1-1.jsonl"};
  struct scene scene = begin(no_limits);
  write_whole(&scene, 1);
  make_folder(&scene, HOST "/web/deep");
  for (size_t i = 0; i < DENET_COUNT_OF(others); i++)
    write_file(&scene, others[i], "not ours");
  write_file(&scene, "../victim", "0123456789");
  plant(&scene, HOST "/web/2-1.jsonl", "victim");
  open_again(&scene, no_limits);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  open_again(&scene, (struct denet_store_limits){PLENTY, 1, 16});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  ck_assert(!exists(&scene, HOST "/web/1-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2-1.jsonl"));
  for (size_t i = 0; i < DENET_COUNT_OF(others); i++)
    ck_assert(exists(&scene, others[i]));
  end(&scene);
}
END_TEST

START_TEST(a_finished_file_that_changed_is_left_alone) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, FILE_BYTES, 16});
  write_whole(&scene, 1);
  write_file(&scene, HOST "/web/1-1000.jsonl", "somebody's");
  write_whole(&scene, 2);
  expect_file(&scene, HOST "/web/1-1000.jsonl", "somebody's");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  end(&scene);
}
END_TEST

static unsigned count_descriptors(void) {
  unsigned count = 0;
  DIR *entries = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(entries);
  while (readdir(entries))
    count++;
  closedir(entries);
  return count;
}

static const unsigned descriptor_limits[] = {0, 1, 7};

START_TEST(more_keys_than_descriptors_lose_nothing) {
  unsigned limit = descriptor_limits[_i];
  struct scene scene = begin((struct denet_store_limits){PLENTY, PLENTY, limit});
  unsigned before = count_descriptors();
  for (pid_t pid = 1; pid <= 50; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, "{}");
  for (int round = 0; round < 3; round++)
    for (pid_t pid = 1; pid <= 50; pid++)
      expect_write(&scene, pid, DENET_LINE_SAMPLE, "{}");
  ck_assert_uint_eq(count_descriptors() - before, limit ? limit : 1);
  for (pid_t pid = 1; pid <= 50; pid++) {
    char name[64];
    snprintf(name, sizeof(name), HOST "/web/%d-1000.jsonl", pid);
    expect_file(&scene, name, "{}\n{}\n{}\n{}\n");
  }
  end(&scene);
}
END_TEST

/* One whose write ends short, and one that cannot write a byte. */
static const size_t limits_of_failure[] = {FILE_BYTES - 5, sizeof(HEAD)};

START_TEST(a_failed_write_leaves_whole_lines) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  ck_assert_int_lt(write_limited(&scene, limits_of_failure[_i], 1, DENET_LINE_SAMPLE, LINE), 0);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), sizeof(HEAD));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(metadata_that_failed_heads_the_file_later) {
  struct scene scene = begin(no_limits);
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_METADATA, HEAD), 0);
  ck_assert(!exists(&scene, HOST "/web/1-1000.jsonl"));
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_SAMPLE, LINE), 0);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_removed_directory_comes_back) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  remove_tree(scene.folder);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", HEAD "\n" LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  remove_tree(scene.folder);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEAD);
  expect_file(&scene, HOST "/web/2-1000.jsonl", HEAD "\n");
  end(&scene);
}
END_TEST

START_TEST(a_file_that_was_moved_away_is_followed_by_the_next_part) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, PLENTY, 1});
  path from, to;
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEAD);
  rename(path_of(&scene, HOST "/web/1-1000.jsonl", from),
         path_of(&scene, HOST "/web/1-1000.jsonl.1", to));
  write_file(&scene, HOST "/web/1-1000.jsonl", "new\n");
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", "new\n");
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_file_that_was_cut_is_followed_by_the_next_part) {
  struct scene scene = begin(no_limits);
  path full;
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  ck_assert_int_eq(truncate(path_of(&scene, HOST "/web/1-1000.jsonl", full), 0), 0);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000_0002.jsonl", HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(the_check_makes_the_folder_and_leaves_nothing_in_it) {
  struct scene scene = {0};
  set_top(&scene);
  strcat(scene.folder, "/a/b/");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), 0);
  ck_assert_int_eq(rmdir(scene.folder), 0);
  end(&scene);
}
END_TEST

START_TEST(a_folder_that_cannot_be_is_named) {
  struct scene scene = {0};
  set_top(&scene);
  FILE *file = fopen(scene.folder, "w");
  fclose(file);
  strcat(scene.folder, "/below");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  scene.error.text[0] = '\0';
  ck_assert_int_eq(denet_store_open(scene.folder, HOST, &no_limits, &scene.error, &scene.store),
                   -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, a_process_has_one_file_in_the_order_of_its_lines);
  ADD_TEST(suite, a_line_without_its_metadata_is_gone);
  ADD_TEST(suite, metadata_of_an_open_key_starts_the_next_part);
  ADD_TEST(suite, a_full_part_is_followed_by_one_with_the_same_head);
  ADD_TEST(suite, a_line_fits_behind_a_head_that_is_too_long);
  ADD_TABLE(suite, a_part_is_not_full_before_its_lines_are_eight_times_its_head, tiny_limits);
  ADD_TABLE(suite, a_long_head_is_not_written_again_before_as_many_bytes_of_lines, tiny_limits);
  ADD_TABLE(suite, a_long_head_heads_every_part, file_limits);
  ADD_TEST(suite, a_long_head_is_read_back_from_a_file_that_was_removed);
  ADD_TABLE(suite, a_long_head_that_is_lost_has_a_stand_in, harms);
  ADD_TEST(suite, a_long_head_that_failed_heads_the_file_later);
  ADD_TEST(suite, of_heads_that_failed_only_some_megabytes_wait);
  ADD_TEST(suite, the_second_run_starts_a_new_part);
  ADD_TEST(suite, the_second_run_goes_behind_the_latest_part);
  ADD_TABLE(suite, an_unsafe_instance_is_refused, unsafe_names);
  ADD_TEST(suite, the_name_of_the_host_is_made_safe);
  ADD_TEST(suite, files_and_folders_are_not_for_everybody);
  ADD_TEST(suite, a_planted_symlink_is_not_followed);
  ADD_TABLE(suite, a_planted_symlink_to_a_folder_is_not_followed, planted_folders);
  ADD_TEST(suite, the_oldest_finished_file_goes_first);
  ADD_TEST(suite, of_an_earlier_run_the_longest_unchanged_goes_first);
  ADD_TEST(suite, many_finished_files_go_in_order);
  ADD_TEST(suite, an_open_file_is_never_removed);
  ADD_TEST(suite, open_files_alone_do_not_outgrow_the_total);
  ADD_TEST(suite, an_empty_instance_folder_goes_and_comes_back);
  ADD_TEST(suite, only_record_files_count_and_go);
  ADD_TEST(suite, a_finished_file_that_changed_is_left_alone);
  ADD_TABLE(suite, more_keys_than_descriptors_lose_nothing, descriptor_limits);
  ADD_TABLE(suite, a_failed_write_leaves_whole_lines, limits_of_failure);
  ADD_TEST(suite, metadata_that_failed_heads_the_file_later);
  ADD_TEST(suite, a_removed_directory_comes_back);
  ADD_TEST(suite, a_file_that_was_moved_away_is_followed_by_the_next_part);
  ADD_TEST(suite, a_file_that_was_cut_is_followed_by_the_next_part);
  ADD_TEST(suite, the_check_makes_the_folder_and_leaves_nothing_in_it);
  ADD_TEST(suite, a_folder_that_cannot_be_is_named);
}
