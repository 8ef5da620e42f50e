/* What a line does to the files, whatever happens to them meanwhile. */
#include "tests/unit/store_scene.h"

/* A store with the open file of process 1, which has its header. */
static struct scene begin_with_file(struct limits limits) {
  struct scene scene = begin(limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  return scene;
}

START_TEST(the_second_run_starts_a_new_segment) {
  struct scene scene = begin_with_file(no_limits);
  open_again(&scene, no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, "{}");
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n");
  expect_file(&scene, WEB "1-1000_0002.jsonl", "{}\n");
  end(&scene);
}
END_TEST

START_TEST(the_second_run_goes_after_the_latest_segment) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web/" DAY);
  write_file(&scene, WEB "1-1000_0007.jsonl", "{}\n");
  write_file(&scene, WEB "1-10005_0009.jsonl", "{}\n");
  write_file(&scene, WEB "1-1000_99999999999999999999.jsonl", "{}\n");
  open_again(&scene, no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  expect_file(&scene, WEB "1-1000_0008.jsonl", HEADER "\n");
  end(&scene);
}
END_TEST

static const char *const unsafe_names[] = {"",     ".",         "..",     "../web",
                                           "/etc", "web/../..", ".probe", "web/1"};

START_TEST(an_unsafe_instance_is_refused) {
  struct scene scene = begin(no_limits);
  const char *name = unsafe_names[_i];
  ck_assert_int_eq(write_key(&scene, name, 1, DENET_LINE_METADATA, HEADER), -EINVAL);
  ck_assert_ptr_nonnull(strstr(scene.error.text, name));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  end(&scene);
}
END_TEST

START_TEST(the_name_of_the_host_is_made_safe) {
  struct scene scene = begin_closed();
  ck_assert_int_eq(try_open(&scene, "../a/b", no_limits, &scene.store), 0);
  write_whole(&scene, 1);
  ck_assert(exists(&scene, "_._a_b/web/" DAY "/1-1000.jsonl"));
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
                  {WEB, S_IFDIR | 0750},
                  {WEB "1-1000.jsonl", S_IFREG | 0640}};
  for (size_t i = 0; i < DENET_COUNT_OF(expected); i++) {
    path full;
    struct stat status;
    ck_assert_int_eq(stat(path_of(&scene, expected[i].name, full), &status), 0);
    ck_assert_uint_eq(status.st_mode, expected[i].mode);
  }
  end(&scene);
}
END_TEST

START_TEST(a_planted_symlink_is_not_followed) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web/" DAY);
  plant(&scene, WEB "1-1000.jsonl", "victim");
  write_whole(&scene, 1);
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LINE "\n");
  ck_assert(!exists(&scene, "../victim"));
  end(&scene);
}
END_TEST

static const char *const planted_folders[] = {HOST, HOST "/web"};

START_TEST(a_planted_symlink_to_a_folder_is_not_followed) {
  struct scene scene = begin(no_limits);
  path full;
  make_folder(&scene, "../victim/web/" DAY);
  rmdir(path_of(&scene, planted_folders[_i], full));
  plant(&scene, planted_folders[_i], "victim");
  ck_assert_int_lt(write_key(&scene, "web", 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert(!exists(&scene, "../victim/1-1000.jsonl"));
  ck_assert(!exists(&scene, "../victim/web/1-1000.jsonl"));
  end(&scene);
}
END_TEST

static const unsigned descriptor_limits[] = {1, 7};

START_TEST(more_keys_than_descriptors_lose_nothing) {
  unsigned limit = descriptor_limits[_i];
  struct scene scene = begin((struct limits){.open_files = limit});
  unsigned before = count_descriptors();
  for (pid_t pid = 1; pid <= 50; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, "{}");
  for (int round = 0; round < 3; round++)
    for (pid_t pid = 1; pid <= 50; pid++)
      expect_write(&scene, pid, DENET_LINE_SAMPLE, "{}");
  denet_store_resume(scene.store);
  ck_assert_uint_eq(count_descriptors() - before, limit);
  for (pid_t pid = 1; pid <= 50; pid++) {
    char name[64];
    snprintf(name, sizeof(name), WEB "%d-1000.jsonl", pid);
    expect_file(&scene, name, "{}\n{}\n{}\n{}\n");
  }
  end(&scene);
}
END_TEST

/* One whose write ends short, and one that cannot write a byte. */
static const size_t limits_of_failure[] = {FILE_BYTES - 5, sizeof(HEADER)};

START_TEST(a_failed_write_leaves_whole_lines) {
  struct scene scene = begin_with_file(no_limits);
  ck_assert_int_lt(write_limited(&scene, limits_of_failure[_i], 1, DENET_LINE_SAMPLE, LINE), 0);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), sizeof(HEADER));
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(metadata_that_failed_begins_the_file_later) {
  struct scene scene = begin(no_limits);
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert(!exists(&scene, WEB "1-1000.jsonl"));
  ck_assert_int_lt(write_limited(&scene, 5, 1, DENET_LINE_SAMPLE, LINE), 0);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_full_disk_is_left_alone_until_the_store_resumes) {
  struct scene scene = begin_with_file(no_limits);
  ck_assert_int_eq(try_limited(&scene, FILE_BYTES - 5, 1, DENET_LINE_SAMPLE, LINE), -ENOSPC);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_SAMPLE, LINE), -ENOSPC);
  ck_assert_int_eq(write_key(&scene, "web", 2, DENET_LINE_METADATA, HEADER), -ENOSPC);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  ck_assert(!exists(&scene, WEB "2-1000.jsonl"));
  denet_store_resume(scene.store);
  expect_write(&scene, 1, DENET_LINE_LAST, LINE);
  expect_write(&scene, 2, DENET_LINE_LAST, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  expect_file(&scene, WEB "2-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_process_that_ends_while_the_disk_is_full_is_forgotten) {
  struct scene scene = begin_with_file(no_limits);
  ck_assert_int_eq(try_limited(&scene, FILE_BYTES - 5, 1, DENET_LINE_SAMPLE, LINE), -ENOSPC);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_LAST, LINE), -ENOSPC);
  denet_store_resume(scene.store);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_SAMPLE, LINE), DENET_GONE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n");
  end(&scene);
}
END_TEST

/* Puts a file where a folder must be. */
static void put_in_the_way(const struct scene *scene, const char *name) {
  path full;
  remove_tree(path_of(scene, name, full));
  write_file(scene, name, "");
}

START_TEST(folders_that_cannot_be_made_are_not_tried_for_each_line) {
  struct scene scene = begin(no_limits);
  path full;
  put_in_the_way(&scene, HOST);
  ck_assert_int_eq(write_key(&scene, "web", 1, DENET_LINE_METADATA, HEADER), -ENOTDIR);
  ck_assert_int_eq(remove(path_of(&scene, HOST, full)), 0);
  ck_assert_int_eq(write_key(&scene, "db", 2, DENET_LINE_METADATA, HEADER), -ENOTDIR);
  ck_assert(!exists(&scene, HOST));
  denet_store_resume(scene.store);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(an_instance_that_fails_leaves_the_others_alone) {
  struct scene scene = begin(no_limits);
  put_in_the_way(&scene, HOST "/db");
  ck_assert_int_eq(write_key(&scene, "db", 1, DENET_LINE_METADATA, HEADER), -ENOTDIR);
  write_whole(&scene, 1);
  ck_assert_int_eq(write_key(&scene, "db", 1, DENET_LINE_SAMPLE, LINE), -ENOTDIR);
  end(&scene);
}
END_TEST

START_TEST(a_removed_directory_is_made_again) {
  struct scene scene = begin_with_file(no_limits);
  remove_tree(scene.folder);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  remove_tree(scene.folder);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEADER);
  expect_file(&scene, WEB "2-1000.jsonl", HEADER "\n");
  end(&scene);
}
END_TEST

START_TEST(a_file_that_was_moved_away_is_followed_by_the_next_segment) {
  struct scene scene = begin_with_file((struct limits){.open_files = 1});
  path from, to;
  expect_write(&scene, 2, DENET_LINE_METADATA, HEADER);
  rename(path_of(&scene, WEB "1-1000.jsonl", from), path_of(&scene, WEB "1-1000.jsonl.1", to));
  write_file(&scene, WEB "1-1000.jsonl", "new\n");
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl", "new\n");
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_file_that_was_renamed_while_it_was_open_gets_no_lines_for_long) {
  struct scene scene = begin_with_file(no_limits);
  path from, to;
  rename(path_of(&scene, WEB "1-1000.jsonl", from), path_of(&scene, WEB "1-1000.jsonl.1", to));
  for (int batch = 0; batch < 10; batch++)
    denet_store_resume(scene.store);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000.jsonl.1", HEADER "\n");
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(a_file_that_was_cut_is_followed_by_the_next_segment) {
  struct scene scene = begin_with_file(no_limits);
  path full;
  ck_assert_int_eq(truncate(path_of(&scene, WEB "1-1000.jsonl", full), 0), 0);
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  expect_file(&scene, WEB "1-1000_0002.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(the_check_makes_the_folder_and_leaves_nothing_in_it) {
  struct scene scene = begin_closed();
  strcat(scene.folder, "/a/b/");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), 0);
  ck_assert_int_eq(rmdir(scene.folder), 0);
  end(&scene);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_named_in_the_error) {
  struct scene scene = begin_closed();
  FILE *file = fopen(scene.folder, "w");
  fclose(file);
  strcat(scene.folder, "/below");
  ck_assert_int_eq(denet_store_check(scene.folder, &scene.error), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  scene.error.text[0] = '\0';
  ck_assert_int_eq(try_open(&scene, HOST, no_limits, &scene.store), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(scene.error.text, scene.folder));
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, the_second_run_starts_a_new_segment);
  ADD_TEST(suite, the_second_run_goes_after_the_latest_segment);
  ADD_TABLE(suite, an_unsafe_instance_is_refused, unsafe_names);
  ADD_TEST(suite, the_name_of_the_host_is_made_safe);
  ADD_TEST(suite, files_and_folders_are_not_for_everybody);
  ADD_TEST(suite, a_planted_symlink_is_not_followed);
  ADD_TABLE(suite, a_planted_symlink_to_a_folder_is_not_followed, planted_folders);
  ADD_TABLE(suite, more_keys_than_descriptors_lose_nothing, descriptor_limits);
  ADD_TABLE(suite, a_failed_write_leaves_whole_lines, limits_of_failure);
  ADD_TEST(suite, metadata_that_failed_begins_the_file_later);
  ADD_TEST(suite, a_full_disk_is_left_alone_until_the_store_resumes);
  ADD_TEST(suite, a_process_that_ends_while_the_disk_is_full_is_forgotten);
  ADD_TEST(suite, folders_that_cannot_be_made_are_not_tried_for_each_line);
  ADD_TEST(suite, an_instance_that_fails_leaves_the_others_alone);
  ADD_TEST(suite, a_removed_directory_is_made_again);
  ADD_TEST(suite, a_file_that_was_moved_away_is_followed_by_the_next_segment);
  ADD_TEST(suite, a_file_that_was_renamed_while_it_was_open_gets_no_lines_for_long);
  ADD_TEST(suite, a_file_that_was_cut_is_followed_by_the_next_segment);
  ADD_TEST(suite, the_check_makes_the_folder_and_leaves_nothing_in_it);
  ADD_TEST(suite, a_folder_that_cannot_be_made_is_named_in_the_error);
}
