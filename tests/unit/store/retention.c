/* Which files count and are removed, which folders with them, and what a crash leaves in files. */
#include "tests/unit/store_scene.h"

static void write_wholes(struct scene *scene, pid_t first, pid_t last) {
  for (pid_t pid = first; pid <= last; pid++)
    write_whole(scene, pid);
}

/* Two files a day; processes 1 and 2 on the first one. */
static void write_days(struct scene *scene) {
  for (pid_t day = 0; day < 3; day++) {
    now_ms = DAY_MS + 86400000 * (uint64_t)day;
    write_wholes(scene, 2 * day + 1, 2 * day + 2);
  }
}

START_TEST(the_files_of_the_oldest_day_go_first_and_its_folder_with_them) {
  struct scene scene = begin((struct limits){.total_bytes = 6 * FILE_BYTES});
  write_days(&scene);
  write_wholes(&scene, 7, 7);
  ck_assert(!exists(&scene, HOST "/web/2023-11-14/1-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2023-11-14/2-1000.jsonl"));
  write_wholes(&scene, 8, 8);
  ck_assert(!exists(&scene, HOST "/web/2023-11-14"));
  ck_assert(exists(&scene, HOST "/web/2023-11-15/3-1000.jsonl"));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 6 * FILE_BYTES);
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert(!exists(&scene, HOST "/web"));
  ck_assert(exists(&scene, HOST));
  end(&scene);
}
END_TEST

START_TEST(a_file_is_made_though_its_folder_was_removed_to_make_room) {
  struct scene scene = begin((struct limits){.total_bytes = FILE_BYTES});
  write_whole(&scene, 1);
  write_whole(&scene, 2);
  ck_assert(!exists(&scene, WEB "1-1000.jsonl"));
  expect_file(&scene, WEB "2-1000.jsonl", HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(an_empty_folder_of_another_host_goes) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, "h2/web/" DAY);
  write_file(&scene, "h2/web/" DAY "/1-1000.jsonl", HEADER "\n");
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert(!exists(&scene, "h2"));
  end(&scene);
}
END_TEST

/* Folders of the files of earlier versions. */
static const char *const old_folders[] = {HOST "/web", HOST "/web/000001", HOST "/web/1000000"};

START_TEST(files_of_earlier_versions_count_and_go_and_are_never_moved) {
  struct scene scene = begin(no_limits);
  char name[64], next[64];
  make_folder(&scene, old_folders[_i]);
  snprintf(name, sizeof(name), "%s/1-1000.jsonl", old_folders[_i]);
  snprintf(next, sizeof(next), "%s/1-1000_0002.jsonl", old_folders[_i]);
  write_file(&scene, name, HEADER "\n" LINE "\n");
  write_file(&scene, next, HEADER "\n" LINE "\n{\"torn");
  set_age(&scene, name, 1000);
  set_age(&scene, next, 10);
  open_again(&scene, (struct limits){.total_bytes = 3 * FILE_BYTES});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 2 * FILE_BYTES);
  write_whole(&scene, 1);
  ck_assert(exists(&scene, WEB "1-1000_0003.jsonl"));
  ck_assert(exists(&scene, name));
  write_whole(&scene, 2);
  ck_assert(!exists(&scene, name));
  expect_file(&scene, next, HEADER "\n" LINE "\n");
  write_whole(&scene, 3);
  ck_assert(!exists(&scene, next));
  ck_assert(!exists(&scene, old_folders[_i]) || !strcmp(old_folders[_i], HOST "/web"));
  end(&scene);
}
END_TEST

/* A page of lines, and a little. */
#define LONG_LINES (4096 / sizeof(LINE) + 1)

START_TEST(files_take_whole_blocks_of_the_disk) {
  struct limits limits = {.total_bytes = UINT64_C(4) * 4096, .block_bytes = 4096};
  struct scene scene = begin(limits);
  write_whole(&scene, 1);
  write_whole(&scene, 2);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 2 * 4096);
  expect_write(&scene, 3, DENET_LINE_METADATA, HEADER);
  for (size_t i = 0; i < LONG_LINES; i++)
    expect_write(&scene, 3, DENET_LINE_SAMPLE, LINE);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 4 * 4096);
  ck_assert(exists(&scene, WEB "1-1000.jsonl"));
  expect_write(&scene, 3, DENET_LINE_LAST, LINE);
  open_again(&scene, limits);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 4 * 4096);
  write_whole(&scene, 4);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 4 * 4096);
  ck_assert(!exists(&scene, WEB "1-1000.jsonl"));
  ck_assert(exists(&scene, WEB "2-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(many_open_files_have_a_block_each_at_least) {
  struct limits limits = {.total_bytes = UINT64_C(4) * 4096, .block_bytes = 4096};
  struct scene scene = begin(limits);
  for (pid_t pid = 1; pid <= 8; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, HEADER);
  for (size_t i = 0; i < LONG_LINES; i++) {
    ck_assert(!exists(&scene, WEB "1-1000_0002.jsonl"));
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  }
  expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
  ck_assert(exists(&scene, WEB "1-1000_0002.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(of_an_earlier_run_the_longest_unchanged_goes_first) {
  struct scene scene = begin(no_limits);
  for (pid_t pid = 1; pid <= 3; pid++)
    write_whole(&scene, pid);
  set_age(&scene, WEB "1-1000.jsonl", 10);
  set_age(&scene, WEB "2-1000.jsonl", 1000);
  set_age(&scene, WEB "3-1000.jsonl", 100);
  open_again(&scene, (struct limits){.total_bytes = 2 * FILE_BYTES});
  ck_assert(!exists(&scene, WEB "2-1000.jsonl"));
  write_whole(&scene, 4);
  ck_assert(!exists(&scene, WEB "3-1000.jsonl"));
  ck_assert(exists(&scene, WEB "1-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(many_finished_files_go_in_order) {
  struct scene scene = begin((struct limits){.total_bytes = 70 * FILE_BYTES});
  for (pid_t pid = 1000; pid < 1500; pid++)
    write_whole(&scene, pid);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 70 * FILE_BYTES);
  ck_assert(!exists(&scene, WEB "1429-1000.jsonl"));
  ck_assert(exists(&scene, WEB "1430-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(an_open_file_is_never_removed) {
  struct scene scene = begin((struct limits){.total_bytes = FILE_BYTES, .open_files = 1});
  for (pid_t pid = 1; pid <= 3; pid++)
    expect_write(&scene, pid, DENET_LINE_METADATA, HEADER);
  for (pid_t pid = 1; pid <= 3; pid++)
    expect_write(&scene, pid, DENET_LINE_SAMPLE, LINE);
  for (pid_t pid = 1; pid <= 3; pid++) {
    char name[64];
    snprintf(name, sizeof(name), WEB "%d-1000.jsonl", pid);
    expect_file(&scene, name, HEADER "\n" LINE "\n");
  }
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 3 * FILE_BYTES);
  end(&scene);
}
END_TEST

START_TEST(open_files_alone_do_not_outgrow_the_total) {
  struct scene scene = begin((struct limits){.total_bytes = 20 * FILE_BYTES});
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  expect_write(&scene, 2, DENET_LINE_METADATA, HEADER);
  for (int i = 0; i < 100; i++) {
    expect_write(&scene, 1, DENET_LINE_SAMPLE, LINE);
    expect_write(&scene, 2, DENET_LINE_SAMPLE, LINE);
    ck_assert_uint_le(denet_store_total_bytes(scene.store), 20 * FILE_BYTES);
  }
  end(&scene);
}
END_TEST

START_TEST(only_files_of_these_names_count_and_go) {
  static const char *const others[] = {"top.jsonl", HOST "/up.jsonl", WEB "notes.txt", WEB ".jsonl",
                                       HOST "/web/deep/1-1.jsonl"};
  struct scene scene = begin(no_limits);
  write_whole(&scene, 1);
  make_folder(&scene, HOST "/web/deep");
  for (size_t i = 0; i < DENET_COUNT_OF(others); i++)
    write_file(&scene, others[i], "not ours");
  write_file(&scene, "../victim", "0123456789");
  plant(&scene, WEB "2-1.jsonl", "victim");
  open_again(&scene, no_limits);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  ck_assert(!exists(&scene, WEB "1-1000.jsonl"));
  ck_assert(exists(&scene, WEB "2-1.jsonl"));
  for (size_t i = 0; i < DENET_COUNT_OF(others); i++)
    ck_assert(exists(&scene, others[i]));
  end(&scene);
}
END_TEST

START_TEST(a_finished_file_that_changed_is_left_alone) {
  struct scene scene = begin((struct limits){.total_bytes = FILE_BYTES});
  write_whole(&scene, 1);
  write_file(&scene, WEB "1-1000.jsonl", "somebody's");
  write_whole(&scene, 2);
  expect_file(&scene, WEB "1-1000.jsonl", "somebody's");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  end(&scene);
}
END_TEST

/* Whether the store is opened again in between. */
static const bool restarts[] = {false, true};

START_TEST(numbers_go_on_from_day_to_day) {
  struct scene scene = begin(no_limits);
  write_whole(&scene, 1);
  now_ms += 86400000;
  write_whole(&scene, 1);
  now_ms += 86400000;
  if (restarts[_i])
    open_again(&scene, no_limits);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEADER);
  ck_assert(exists(&scene, HOST "/web/2023-11-15/1-1000_0002.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2023-11-16/1-1000_0003.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(segments_are_found_among_many) {
  struct scene scene = begin(no_limits);
  write_wholes(&scene, 1, 300);
  write_wholes(&scene, 1, 300);
  for (pid_t pid = 1; pid <= 300; pid++) {
    char name[64];
    expect_write(&scene, pid, DENET_LINE_METADATA, HEADER);
    snprintf(name, sizeof(name), WEB "%d-1000_0003.jsonl", pid);
    ck_assert(exists(&scene, name));
  }
  end(&scene);
}
END_TEST

START_TEST(what_others_removed_or_moved_away_is_skipped) {
  struct scene scene = begin((struct limits){.total_bytes = 6 * FILE_BYTES});
  path full;
  write_days(&scene);
  ck_assert_int_eq(remove(path_of(&scene, HOST "/web/2023-11-14/1-1000.jsonl", full)), 0);
  remove_tree(path_of(&scene, HOST "/web/2023-11-15", full));
  write_wholes(&scene, 7, 11);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 6 * FILE_BYTES);
  ck_assert(!exists(&scene, HOST "/web/2023-11-14"));
  ck_assert(!exists(&scene, HOST "/web/2023-11-16/5-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2023-11-16/6-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(a_link_in_place_of_a_day_is_not_followed) {
  struct scene scene = begin((struct limits){.total_bytes = FILE_BYTES});
  path from, to;
  write_whole(&scene, 1);
  denet_store_resume(scene.store);
  rename(path_of(&scene, HOST "/web/" DAY, from), path_of(&scene, "../victim", to));
  ck_assert_int_eq(symlink(to, from), 0);
  ck_assert_int_lt(write_key(&scene, "web", 2, DENET_LINE_METADATA, HEADER), 0);
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  ck_assert(exists(&scene, "../victim/1-1000.jsonl"));
  ck_assert(!exists(&scene, "../victim/2-1000.jsonl"));
  end(&scene);
}
END_TEST

static const char *const other_folders[] = {
    "1",        "00001",       "00001x",     "-00001",     "100000000000", "+00001",     " 00001",
    "2023-1-1", "2023-11-140", "20231-1-14", "2023-11-1x", "2023/11/14",   "x023-11-14", ".000001"};

START_TEST(a_folder_of_another_name_is_not_looked_into) {
  struct scene scene = begin(no_limits);
  char name[128];
  snprintf(name, sizeof(name), HOST "/web/%s", other_folders[_i]);
  make_folder(&scene, name);
  strcat(name, "/1-1000.jsonl");
  write_file(&scene, name, HEADER "\n");
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  ck_assert(exists(&scene, name));
  end(&scene);
}
END_TEST

static const char *const strange_names[] = {
    "notes.jsonl",         "1.jsonl",       "-1000.jsonl",      "-1-1000.jsonl",
    "1-1000_0001.jsonl",   "01-1.jsonl",    "1-1000_.jsonl",    "1-1000_2.jsonl",
    "1-1000_0000.jsonl",   "1-1000.jsonl1", "1-1000_0002jsonl", "0-1000.jsonl",
    "9999999999-1.jsonl",  "+1-1.jsonl",    " 1-1.jsonl",       "1- 1.jsonl",
    "1-1_9999999999.jsonl"};

START_TEST(a_file_of_another_name_neither_counts_nor_is_repaired) {
  struct scene scene = begin(no_limits);
  char name[128];
  make_folder(&scene, HOST "/web/" DAY);
  snprintf(name, sizeof(name), WEB "%s", strange_names[_i]);
  write_file(&scene, name, "torn");
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  expect_file(&scene, name, "torn");
  end(&scene);
}
END_TEST

/* Where a crash may have left a file. */
static const char *const torn_names[] = {WEB "1-1000.jsonl", WEB "1-1000_0002.jsonl",
                                         HOST "/web/1-1000.jsonl"};

static void make_torn(const struct scene *scene, const char *name) {
  make_folder(scene, HOST "/web/" DAY);
  write_file(scene, name, HEADER "\n" LINE "\n{\"kind\":");
}

START_TEST(the_second_run_cuts_torn_ends_off) {
  struct scene scene = begin(no_limits);
  make_torn(&scene, torn_names[_i]);
  open_again(&scene, no_limits);
  expect_file(&scene, torn_names[_i], HEADER "\n" LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  open_again(&scene, (struct limits){.total_bytes = 1});
  ck_assert(!exists(&scene, torn_names[_i]));
  end(&scene);
}
END_TEST

START_TEST(a_file_without_a_whole_line_goes) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web/" DAY);
  write_file(&scene, WEB "1-1000.jsonl", "");
  write_file(&scene, WEB "2-1000.jsonl", "{\"kind\":");
  open_again(&scene, no_limits);
  ck_assert(!exists(&scene, WEB "1-1000.jsonl"));
  ck_assert(!exists(&scene, WEB "2-1000.jsonl"));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  end(&scene);
}
END_TEST

START_TEST(what_another_store_may_be_writing_is_left_alone) {
  struct scene scene = begin(no_limits);
  struct denet_store *other = NULL;
  make_torn(&scene, torn_names[0]);
  ck_assert_int_eq(try_open(&scene, HOST, no_limits, &other), 0);
  denet_store_close(other);
  expect_file(&scene, torn_names[0], HEADER "\n" LINE "\n{\"kind\":");
  open_again(&scene, no_limits);
  expect_file(&scene, torn_names[0], HEADER "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(files_of_other_hosts_are_left_alone) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, "h2/web/" DAY);
  write_file(&scene, "h2/web/" DAY "/1-1000.jsonl", HEADER "\n{");
  open_again(&scene, no_limits);
  expect_file(&scene, "h2/web/" DAY "/1-1000.jsonl", HEADER "\n{");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), sizeof(HEADER) + 1);
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, the_files_of_the_oldest_day_go_first_and_its_folder_with_them);
  ADD_TEST(suite, a_file_is_made_though_its_folder_was_removed_to_make_room);
  ADD_TEST(suite, an_empty_folder_of_another_host_goes);
  ADD_TEST(suite, files_take_whole_blocks_of_the_disk);
  ADD_TEST(suite, many_open_files_have_a_block_each_at_least);
  ADD_TEST(suite, of_an_earlier_run_the_longest_unchanged_goes_first);
  ADD_TEST(suite, many_finished_files_go_in_order);
  ADD_TEST(suite, an_open_file_is_never_removed);
  ADD_TEST(suite, open_files_alone_do_not_outgrow_the_total);
  ADD_TEST(suite, only_files_of_these_names_count_and_go);
  ADD_TEST(suite, a_finished_file_that_changed_is_left_alone);
  ADD_TABLE(suite, files_of_earlier_versions_count_and_go_and_are_never_moved, old_folders);
  ADD_TABLE(suite, numbers_go_on_from_day_to_day, restarts);
  ADD_TEST(suite, segments_are_found_among_many);
  ADD_TEST(suite, what_others_removed_or_moved_away_is_skipped);
  ADD_TEST(suite, a_link_in_place_of_a_day_is_not_followed);
  ADD_TABLE(suite, a_folder_of_another_name_is_not_looked_into, other_folders);
  ADD_TABLE(suite, a_file_of_another_name_neither_counts_nor_is_repaired, strange_names);
  ADD_TABLE(suite, the_second_run_cuts_torn_ends_off, torn_names);
  ADD_TEST(suite, a_file_without_a_whole_line_goes);
  ADD_TEST(suite, what_another_store_may_be_writing_is_left_alone);
  ADD_TEST(suite, files_of_other_hosts_are_left_alone);
}
