/* How a file begins, grows and is followed by the next part. */
#include "tests/unit/store_scene.h"

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

START_TEST(an_end_finishes_a_file_and_is_no_line_of_it) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 12, DENET_LINE_METADATA, HEAD);
  expect_write(&scene, 12, DENET_LINE_SAMPLE, LINE);
  expect_write(&scene, 12, DENET_LINE_END, "");
  expect_file(&scene, HOST "/web/12-1000.jsonl", HEAD "\n" LINE "\n");
  ck_assert_int_eq(write_key(&scene, "web", 12, DENET_LINE_SAMPLE, LINE), DENET_GONE);
  expect_write(&scene, 12, DENET_LINE_END, "");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  end(&scene);
}
END_TEST

static const struct {
  rlim_t limit;
  bool is_high;
} descriptor_limits[] = {{FD_SETSIZE + 1, true}, {FD_SETSIZE, false}};

START_TEST(descriptors_that_select_can_take_are_left_to_others) {
  struct rlimit before;
  struct scene scene = begin(no_limits);
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit limit = {descriptor_limits[_i].limit, before.rlim_max};
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  ck_assert_int_eq(fcntl(FD_SETSIZE, F_GETFD) >= 0, descriptor_limits[_i].is_high);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\n");
  setrlimit(RLIMIT_NOFILE, &before);
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
  struct scene scene = begin((struct denet_store_limits){LONG_FILE_BYTES, PLENTY, 16, 0, 0});
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

static const struct denet_store_limits tiny_limits[] = {{1, PLENTY, 16, 0, 0},
                                                        {PLENTY, 1, 16, 0, 0}};

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
  struct scene scene = begin((struct denet_store_limits){1, PLENTY, file_limits[_i], 0, 0});
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
  struct scene scene = begin((struct denet_store_limits){PLENTY, PLENTY, 1, 0, 0});
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
  struct scene scene = begin((struct denet_store_limits){1, PLENTY, 16, 0, 0});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\n");
  ck_assert(!exists(&scene, HOST "/web/1-1000_0002.jsonl"));
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, a_process_has_one_file_in_the_order_of_its_lines);
  ADD_TEST(suite, an_end_finishes_a_file_and_is_no_line_of_it);
  ADD_TABLE(suite, descriptors_that_select_can_take_are_left_to_others, descriptor_limits);
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
}
