/* How a file begins, grows and is followed by the next segment. */
#include "tests/unit/store_scene.h"

START_TEST(a_process_has_one_file_in_the_order_of_its_lines) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 12, DENET_LINE_METADATA, "{\"cmd\":[]}");
  expect_write(&scene, 12, DENET_LINE_SAMPLE, "{\"n\":1}");
  expect_write(&scene, 12, DENET_LINE_LAST, "{\"n\":2}");
  expect_file(&scene, WEB "12-1000.jsonl", "{\"cmd\":[]}\n{\"n\":1}\n{\"n\":2}\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 27);
  end(&scene);
}
END_TEST

START_TEST(an_end_finishes_a_file_and_is_no_line_of_it) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 12, DENET_LINE_METADATA, HEADER);
  expect_write(&scene, 12, DENET_LINE_SAMPLE, LINE);
  expect_write(&scene, 12, DENET_LINE_END, "");
  expect_file(&scene, WEB "12-1000.jsonl", HEADER "\n" LINE "\n");
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
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  ck_assert_int_eq(fcntl(FD_SETSIZE, F_GETFD) >= 0, descriptor_limits[_i].is_high);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
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

START_TEST(metadata_of_an_open_key_starts_the_next_segment) {
  struct scene scene = begin(no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, "{\"cmd\":[\"sh\"]}");
  expect_write(&scene, 1, DENET_LINE_METADATA, "{\"cmd\":[\"ls\"]}");
  expect_write(&scene, 1, DENET_LINE_SAMPLE, "{}");
  expect_file(&scene, WEB "1-1000.jsonl", "{\"cmd\":[\"sh\"]}\n");
  expect_file(&scene, WEB "1-1000_0002.jsonl", "{\"cmd\":[\"ls\"]}\n{}\n");
  end(&scene);
}
END_TEST

/* As long as eight headers: such a line lets a segment be full. */
#define LONG_LINE                                                                                  \
  "{\"kind\":\"sample\",\"pad\":\""                                                                \
  "................................................................................"               \
  "................................................................................\"}"
#define LONG_FILE_BYTES (sizeof(HEADER "\n" LONG_LINE "\n") - 1)

START_TEST(a_full_segment_is_followed_by_one_with_the_same_header) {
  struct scene scene = begin((struct limits){.file_bytes = LONG_FILE_BYTES});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  for (int i = 0; i < 3; i++)
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LONG_LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LONG_LINE "\n");
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LONG_LINE "\n");
  expect_file(&scene, WEB "1-1000_0003.jsonl", HEADER "\n" LONG_LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * LONG_FILE_BYTES);
  end(&scene);
}
END_TEST

/* With the least limits the lines of a segment have so many bytes when it is full. */
static const struct {
  struct limits limits;
  size_t header_bytes, least_bytes;
} worths[] = {
    {{.file_bytes = 1}, sizeof(HEADER), 8 * sizeof(HEADER)},
    {{.total_bytes = 1}, sizeof(HEADER), 8 * sizeof(HEADER)},
    {{.file_bytes = 1}, 4000, 8 * 4000},
    {{.file_bytes = 1}, 30000, 32 << 10},
    {{.total_bytes = 1}, 100000, 32 << 10},
};

START_TEST(a_segment_is_not_full_before_its_lines_are_worth_its_header) {
  struct scene scene = begin(worths[_i].limits);
  size_t length = worths[_i].header_bytes - 1, bytes = 0;
  DENET_FREE char *header = malloc(length + 1);
  snprintf(header, length + 1, "{\"kind\":\"metadata\"%*s", (int)(length - 18), "}");
  expect_write(&scene, 1, DENET_LINE_METADATA, header);
  for (; bytes < worths[_i].least_bytes; bytes += sizeof(LINE))
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  ck_assert(!exists(&scene, WEB "1-1000_0002.jsonl"));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  DENET_FREE char *expected = NULL;
  ck_assert_int_gt(asprintf(&expected, "%s\n%s\n", header, LINE), 0);
  expect_file(&scene, WEB "1-1000_0002.jsonl", expected);
  end(&scene);
}
END_TEST

START_TEST(each_segment_is_in_the_folder_of_its_day) {
  struct scene scene = begin((struct limits){.file_bytes = LONG_FILE_BYTES});
  now_ms = DAY_MS + 86399999;
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  now_ms = DAY_MS + 86400000;
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LONG_LINE);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LONG_LINE);
  now_ms = UINT64_C(1709208000000); /* 2024-02-29 12:00 */
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LONG_LINE "\n");
  expect_file(&scene, HOST "/web/2023-11-15/1-1000_0002.jsonl", HEADER "\n" LONG_LINE "\n");
  expect_file(&scene, HOST "/web/2024-02-29/1-1000_0003.jsonl", HEADER "\n");
  end(&scene);
}
END_TEST

START_TEST(a_closed_segment_is_found_in_its_folder_on_another_day) {
  struct scene scene = begin((struct limits){.open_files = 1});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  now_ms = DAY_MS + 86400000;
  expect_write(&scene, 2, DENET_LINE_METADATA, HEADER);
  denet_store_resume(scene.store);
  expect_write(&scene, 1, DENET_LINE_LAST, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, a_process_has_one_file_in_the_order_of_its_lines);
  ADD_TEST(suite, an_end_finishes_a_file_and_is_no_line_of_it);
  ADD_TABLE(suite, descriptors_that_select_can_take_are_left_to_others, descriptor_limits);
  ADD_TEST(suite, a_line_without_its_metadata_is_gone);
  ADD_TEST(suite, metadata_of_an_open_key_starts_the_next_segment);
  ADD_TEST(suite, a_full_segment_is_followed_by_one_with_the_same_header);
  ADD_TABLE(suite, a_segment_is_not_full_before_its_lines_are_worth_its_header, worths);
  ADD_TEST(suite, each_segment_is_in_the_folder_of_its_day);
  ADD_TEST(suite, a_closed_segment_is_found_in_its_folder_on_another_day);
}
