/* The writer as a face in one process uses it: settings and a log go in, lines come out as files.
 */
#include "core/store/writer.h"

#include "tests/unit/store_scene.h"

#include <glob.h>
#include <stdatomic.h>

#define SECOND UINT64_C(1000000000)

/* What a writer has logged, one sentence a line, with the severity before it; 0: an error. */
static struct {
  _Atomic unsigned count;
  char text[4096];
} logged;

static void keep_sentence(void *context, enum denet_severity severity, const char *sentence) {
  size_t length = strlen(logged.text);
  snprintf(logged.text + length, sizeof(logged.text) - length, "%d %s\n",
           (int)severity - DENET_SEVERITY_ERROR, sentence);
  ck_assert_ptr_eq(context, &logged);
  logged.count++;
}

static struct denet_writer *new_writer(uint64_t queue_bytes) {
  const struct denet_log log = {keep_sentence, &logged};
  struct denet_writer *writer = NULL;
  ck_assert_int_eq(denet_writer_new(queue_bytes, &log, &writer), 0);
  return writer;
}

static struct denet_error start_error;

static int start(struct denet_writer *writer, const char *folder) {
  const struct denet_store_settings settings = {
      .path = folder, .host = HOST, .file_bytes = PLENTY, .total_bytes = PLENTY};
  return denet_writer_start(writer, &settings, 3600 * SECOND, &start_error);
}

static int push(struct denet_writer *writer, pid_t pid, enum denet_line_kind kind,
                const char *json) {
  const struct denet_line line = {
      .kind = kind, .instance = "web", .pid = pid, .t0_ms = 1000, .json = denet_text_of(json)};
  return denet_writer_push(writer, &line);
}

/* The file is made today, whenever that is. */
static const char *find_file(const struct scene *scene) {
  static path name;
  glob_t found;
  path_of(scene, HOST "/web/*/1-1000.jsonl", name);
  ck_assert_int_eq(glob(name, 0, NULL, &found), 0);
  snprintf(name, sizeof(name), "%s", found.gl_pathv[0] + strlen(scene->folder) + 1);
  globfree(&found);
  return name;
}

START_TEST(lines_pushed_before_and_after_the_start_are_in_their_files) {
  struct scene scene = begin_closed();
  struct denet_writer *writer = new_writer(1 << 20);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert_int_eq(denet_writer_flush(writer, SECOND), 0);
  ck_assert_int_eq(start(writer, scene.folder), 0);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, LINE), 0);
  ck_assert_int_eq(denet_writer_flush(writer, 60 * SECOND), 0);
  expect_file(&scene, find_file(&scene), HEADER "\n" LINE "\n");
  ck_assert_int_eq(push(writer, 1, DENET_LINE_LAST, LINE), 0);
  ck_assert_uint_eq(denet_writer_lost_count(writer), 0);
  ck_assert(denet_writer_stop(writer, 60));
  expect_file(&scene, find_file(&scene), HEADER "\n" LINE "\n" LINE "\n");
  ck_assert_str_eq(logged.text, "");
  end_scene(&scene);
}
END_TEST

START_TEST(a_writer_that_cannot_start_takes_no_lines_and_stops_at_once) {
  struct scene scene = begin_closed();
  struct denet_writer *writer = new_writer(1 << 20), *without_path = new_writer(1 << 20),
                      *not_started = new_writer(1024);
  fclose(fopen(scene.folder, "w")); /* in the way */
  ck_assert_int_eq(push(writer, 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert_int_eq(start(writer, scene.folder), -ENOTDIR);
  ck_assert_ptr_nonnull(strstr(start_error.text, scene.folder));
  ck_assert_int_eq(start(without_path, NULL), -EINVAL);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, LINE), ENOENT);
  ck_assert_int_eq(push(without_path, 1, DENET_LINE_METADATA, HEADER), ENOENT);
  ck_assert(denet_writer_stop(writer, 60));
  ck_assert(denet_writer_stop(without_path, 60));
  ck_assert_int_eq(push(not_started, 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert(denet_writer_stop(not_started, 60));
  ck_assert(denet_writer_stop(NULL, 60));
  ck_assert_str_eq(logged.text, "");
  end_scene(&scene);
}
END_TEST

START_TEST(drops_are_logged_once_and_counted_at_the_end) {
  struct scene scene = begin_closed();
  struct denet_writer *writer = new_writer(1024);
  static char oversize[2048] = "";
  memset(oversize, 'x', sizeof(oversize) - 1);
  while (!push(writer, 1, DENET_LINE_SAMPLE, LINE))
    continue;
  ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, LINE), ENOBUFS);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, oversize), EMSGSIZE);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, oversize), EMSGSIZE);
  while (!push(writer, 1, DENET_LINE_END, "")) /* one that is dropped is no line */
    continue;
  ck_assert_uint_eq(logged.count, 2);
  ck_assert_ptr_nonnull(strstr(logged.text, "1 the queue is full"));
  ck_assert_ptr_nonnull(strstr(logged.text, "1 the queue is too small for a line of 2047 bytes"));
  ck_assert_int_eq(start(writer, scene.folder), 0);
  ck_assert(denet_writer_stop(writer, 60));
  ck_assert_ptr_nonnull(strstr(logged.text, "1 2 lines were dropped\n"));
  ck_assert_ptr_nonnull(strstr(logged.text, "1 2 lines were too long for the queue\n"));
  end_scene(&scene);
}
END_TEST

START_TEST(lines_that_cannot_be_written_are_logged_once_and_counted) {
  struct scene scene = begin_closed();
  struct denet_writer *writer = new_writer(1 << 20);
  ck_assert_int_eq(start(writer, scene.folder), 0);
  for (int i = 0; i < 3; i++) { /* without metadata */
    ck_assert_int_eq(push(writer, 1, DENET_LINE_SAMPLE, LINE), 0);
    ck_assert_int_eq(denet_writer_flush(writer, 60 * SECOND), 0);
  }
  ck_assert_uint_eq(denet_writer_lost_count(writer), 3);
  ck_assert(denet_writer_stop(writer, 60));
  ck_assert_str_eq(logged.text, "0 lines are being lost: process 1 of web has no file\n"
                                "0 3 lines were lost\n");
  end_scene(&scene);
}
END_TEST

START_TEST(metadata_that_the_store_keeps_is_not_lost) {
  struct scene scene = begin_closed();
  struct denet_writer *writer = new_writer(1 << 20);
  path in_the_way;
  ck_assert_int_eq(start(writer, scene.folder), 0);
  fclose(fopen(path_of(&scene, HOST "/web", in_the_way), "w"));
  ck_assert_int_eq(push(writer, 1, DENET_LINE_METADATA, HEADER), 0);
  ck_assert_int_eq(denet_writer_flush(writer, 60 * SECOND), 0);
  ck_assert_int_eq(remove(in_the_way), 0);
  ck_assert_int_eq(push(writer, 1, DENET_LINE_LAST, LINE), 0);
  ck_assert(denet_writer_stop(writer, 60));
  expect_file(&scene, find_file(&scene), HEADER "\n" LINE "\n");
  ck_assert_uint_eq(logged.count, 1); /* that lines are being lost */
  end_scene(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, lines_pushed_before_and_after_the_start_are_in_their_files);
  ADD_TEST(suite, a_writer_that_cannot_start_takes_no_lines_and_stops_at_once);
  ADD_TEST(suite, drops_are_logged_once_and_counted_at_the_end);
  ADD_TEST(suite, lines_that_cannot_be_written_are_logged_once_and_counted);
  ADD_TEST(suite, metadata_that_the_store_keeps_is_not_lost);
}
