/* Instances with thousands of finished files, and what a crash leaves in files. */
#include "tests/unit/store_scene.h"

#include <dirent.h>

/* Entries of a folder that begin with no dot. */
static unsigned count_entries(const struct scene *scene, const char *relative) {
  path full;
  unsigned count = 0;
  DIR *entries = opendir(path_of(scene, relative, full));
  ck_assert_msg(entries != NULL, "%s: %m", full);
  for (struct dirent *entry; (entry = readdir(entries));)
    count += entry->d_name[0] != '.';
  closedir(entries);
  return count;
}

static void write_wholes(struct scene *scene, pid_t first, pid_t last) {
  for (pid_t pid = first; pid <= last; pid++)
    write_whole(scene, pid);
}

/* Ten files stand for the thousand. */
static const struct denet_store_limits tens = {PLENTY, PLENTY, 16, 10, 0};

START_TEST(a_thousand_finished_files_stay_in_the_folder) {
  struct scene scene = begin(no_limits);
  write_wholes(&scene, 1, 1000);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 1000);
  write_wholes(&scene, 1001, 1001);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 1001);
  ck_assert(exists(&scene, HOST "/web/000001/1-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(older_finished_files_are_in_numbered_folders) {
  struct scene scene = begin(tens);
  expect_write(&scene, 9999, DENET_LINE_METADATA, HEAD);
  write_wholes(&scene, 1, 35);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 10 + 1 + 3);
  ck_assert(exists(&scene, HOST "/web/9999-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/26-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/000001/1-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/000002/11-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/000003/25-1000.jsonl"));
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000001"), 10);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000002"), 10);
  expect_file(&scene, HOST "/web/000001/7-1000.jsonl", HEAD "\n" LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 35 * FILE_BYTES + sizeof(HEAD));
  end(&scene);
}
END_TEST

START_TEST(files_in_numbered_folders_go_first_and_empty_folders_with_them) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 15 * FILE_BYTES, 16, 10, 0});
  write_wholes(&scene, 1, 24);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000001"), 1);
  ck_assert(exists(&scene, HOST "/web/000001/10-1000.jsonl"));
  write_wholes(&scene, 25, 25);
  ck_assert(!exists(&scene, HOST "/web/000001"));
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 15 * FILE_BYTES);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000002"), 5);
  open_again(&scene, (struct denet_store_limits){PLENTY, 1, 16, 10, 0});
  ck_assert(!exists(&scene, HOST "/web"));
  end(&scene);
}
END_TEST

START_TEST(the_second_run_goes_on_in_the_latest_numbered_folder) {
  struct scene scene = begin(tens);
  write_wholes(&scene, 1, 21);
  open_again(&scene, tens);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 21 * FILE_BYTES);
  write_wholes(&scene, 22, 35);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000001"), 10);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000002"), 10);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000003"), 5);
  end(&scene);
}
END_TEST

/* Whether the store is opened again in between. */
static const bool restarts[] = {false, true};

START_TEST(a_part_follows_one_that_was_moved) {
  struct scene scene = begin(tens);
  write_whole(&scene, 1);
  write_whole(&scene, 1);
  write_wholes(&scene, 2, 15);
  ck_assert(exists(&scene, HOST "/web/000001/1-1000_0002.jsonl"));
  if (restarts[_i])
    open_again(&scene, tens);
  expect_write(&scene, 1, DENET_LINE_METADATA, HEAD);
  ck_assert(exists(&scene, HOST "/web/1-1000_0003.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(parts_are_found_among_many) {
  struct scene scene = begin(tens);
  write_wholes(&scene, 1, 300);
  write_wholes(&scene, 1, 300);
  for (pid_t pid = 1; pid <= 300; pid++) {
    char name[64];
    expect_write(&scene, pid, DENET_LINE_METADATA, HEAD);
    snprintf(name, sizeof(name), HOST "/web/%d-1000_0003.jsonl", pid);
    ck_assert(exists(&scene, name));
  }
  end(&scene);
}
END_TEST

START_TEST(a_folder_that_was_crowded_before_is_tidied_bit_by_bit) {
  struct scene scene = begin(tens);
  make_folder(&scene, HOST "/web");
  for (pid_t pid = 1; pid <= 13; pid++) {
    char name[64];
    snprintf(name, sizeof(name), HOST "/web/%d-1000.jsonl", pid);
    write_file(&scene, name, HEAD "\n" LINE "\n");
    set_age(&scene, name, 10000 - pid);
  }
  open_again(&scene, tens);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 13);
  write_wholes(&scene, 101, 101);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000001"), 2);
  write_wholes(&scene, 102, 104);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 10 + 1);
  ck_assert(exists(&scene, HOST "/web/000001/7-1000.jsonl"));
  end(&scene);
}
END_TEST

/* What may stand in the way of moving the file of process 1. */
static void take_its_name(const struct scene *scene) {
  make_folder(scene, HOST "/web/000001");
  write_file(scene, HOST "/web/000001/1-1000.jsonl", "somebody's");
}

static void take_the_folders_name(const struct scene *scene) {
  write_file(scene, HOST "/web/000001", "somebody's");
}

static void plant_a_link(const struct scene *scene) {
  path full;
  make_folder(scene, "../victim");
  ck_assert_int_eq(symlink("../../../victim", path_of(scene, HOST "/web/000001", full)), 0);
}

static void append_to_it(const struct scene *scene) {
  write_file(scene, HOST "/web/1-1000.jsonl", HEAD "\n" LINE "\nmore");
}

static void (*const obstacles[])(const struct scene *scene) = {take_its_name, take_the_folders_name,
                                                               plant_a_link, append_to_it};

START_TEST(a_file_that_cannot_be_moved_stays_where_it_is) {
  struct scene scene = begin(tens);
  write_wholes(&scene, 1, 10);
  obstacles[_i](&scene);
  write_wholes(&scene, 11, 11);
  ck_assert(exists(&scene, HOST "/web/1-1000.jsonl"));
  ck_assert(!exists(&scene, "../victim/1-1000.jsonl"));
  write_wholes(&scene, 12, 13);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 13 * FILE_BYTES);
  end(&scene);
}
END_TEST

START_TEST(a_file_that_stayed_goes_in_its_turn) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 15 * FILE_BYTES, 16, 10, 0});
  write_wholes(&scene, 1, 10);
  take_the_folders_name(&scene);
  write_wholes(&scene, 11, 16);
  ck_assert(!exists(&scene, HOST "/web/1-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/2-1000.jsonl"));
  end(&scene);
}
END_TEST

START_TEST(what_others_removed_or_moved_away_is_passed_over) {
  struct scene scene = begin((struct denet_store_limits){PLENTY, 15 * FILE_BYTES, 16, 10, 0});
  path full;
  write_wholes(&scene, 1, 10);
  ck_assert_int_eq(remove(path_of(&scene, HOST "/web/1-1000.jsonl", full)), 0);
  write_wholes(&scene, 11, 12);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web/000001"), 1);
  remove_tree(path_of(&scene, HOST "/web/000001", full));
  write_wholes(&scene, 13, 18);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 15 * FILE_BYTES);
  ck_assert(!exists(&scene, HOST "/web/000001/3-1000.jsonl"));
  ck_assert(exists(&scene, HOST "/web/000001/4-1000.jsonl"));
  end(&scene);
}
END_TEST

static const char *const no_numbers[] = {"000000", "1",          "00001",  "0000001", "00001x",
                                         "-00001", "1000000000", "+00001", " 00001"};

START_TEST(a_folder_of_another_name_is_not_looked_into) {
  struct scene scene = begin(no_limits);
  char name[128];
  make_folder(&scene, HOST "/web");
  snprintf(name, sizeof(name), HOST "/web/%s", no_numbers[_i]);
  make_folder(&scene, name);
  strcat(name, "/1-1000.jsonl");
  write_file(&scene, name, HEAD "\n");
  open_again(&scene, (struct denet_store_limits){PLENTY, 1, 16, 0, 0});
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

START_TEST(a_file_of_another_name_is_not_ours) {
  struct scene scene = begin(no_limits);
  char name[128];
  make_folder(&scene, HOST "/web");
  snprintf(name, sizeof(name), HOST "/web/%s", strange_names[_i]);
  write_file(&scene, name, "torn");
  open_again(&scene, (struct denet_store_limits){PLENTY, 1, 16, 0, 0});
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  expect_file(&scene, name, "torn");
  end(&scene);
}
END_TEST

/* Where a crash may have left a file. */
static const char *const torn_names[] = {HOST "/web/1-1000.jsonl", HOST "/web/1-1000_0002.jsonl",
                                         HOST "/web/000001/1-1000.jsonl"};

static void make_torn(const struct scene *scene, const char *name) {
  make_folder(scene, HOST "/web");
  make_folder(scene, HOST "/web/000001");
  write_file(scene, name, HEAD "\n" LINE "\n{\"kind\":");
}

START_TEST(the_second_run_cuts_torn_tails_off) {
  struct scene scene = begin(no_limits);
  make_torn(&scene, torn_names[_i]);
  open_again(&scene, no_limits);
  expect_file(&scene, torn_names[_i], HEAD "\n" LINE "\n");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), FILE_BYTES);
  open_again(&scene, (struct denet_store_limits){PLENTY, 1, 16, 0, 0});
  ck_assert(!exists(&scene, torn_names[_i]));
  end(&scene);
}
END_TEST

START_TEST(a_file_without_a_whole_line_goes) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, HOST "/web");
  write_file(&scene, HOST "/web/1-1000.jsonl", "");
  write_file(&scene, HOST "/web/2-1000.jsonl", "{\"kind\":");
  open_again(&scene, no_limits);
  ck_assert_uint_eq(count_entries(&scene, HOST "/web"), 0);
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), 0);
  end(&scene);
}
END_TEST

START_TEST(what_another_store_may_be_writing_is_left_alone) {
  struct scene scene = begin(no_limits);
  struct denet_store *other = NULL;
  make_torn(&scene, torn_names[0]);
  ck_assert_int_eq(denet_store_open(scene.folder, HOST, &no_limits, &scene.error, &other), 0);
  denet_store_close(other);
  expect_file(&scene, torn_names[0], HEAD "\n" LINE "\n{\"kind\":");
  open_again(&scene, no_limits);
  expect_file(&scene, torn_names[0], HEAD "\n" LINE "\n");
  end(&scene);
}
END_TEST

START_TEST(files_of_other_hosts_are_left_alone) {
  struct scene scene = begin(no_limits);
  make_folder(&scene, "h2");
  make_folder(&scene, "h2/web");
  write_file(&scene, "h2/web/1-1000.jsonl", HEAD "\n{");
  open_again(&scene, no_limits);
  expect_file(&scene, "h2/web/1-1000.jsonl", HEAD "\n{");
  ck_assert_uint_eq(denet_store_total_bytes(scene.store), sizeof(HEAD) + 1);
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, a_thousand_finished_files_stay_in_the_folder);
  ADD_TEST(suite, older_finished_files_are_in_numbered_folders);
  ADD_TEST(suite, files_in_numbered_folders_go_first_and_empty_folders_with_them);
  ADD_TEST(suite, the_second_run_goes_on_in_the_latest_numbered_folder);
  ADD_TABLE(suite, a_part_follows_one_that_was_moved, restarts);
  ADD_TEST(suite, parts_are_found_among_many);
  ADD_TEST(suite, a_folder_that_was_crowded_before_is_tidied_bit_by_bit);
  ADD_TABLE(suite, a_file_that_cannot_be_moved_stays_where_it_is, obstacles);
  ADD_TEST(suite, a_file_that_stayed_goes_in_its_turn);
  ADD_TEST(suite, what_others_removed_or_moved_away_is_passed_over);
  ADD_TABLE(suite, a_folder_of_another_name_is_not_looked_into, no_numbers);
  ADD_TABLE(suite, a_file_of_another_name_is_not_ours, strange_names);
  ADD_TABLE(suite, the_second_run_cuts_torn_tails_off, torn_names);
  ADD_TEST(suite, a_file_without_a_whole_line_goes);
  ADD_TEST(suite, what_another_store_may_be_writing_is_left_alone);
  ADD_TEST(suite, files_of_other_hosts_are_left_alone);
}
