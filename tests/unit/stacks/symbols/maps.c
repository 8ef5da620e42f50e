#include "core/stacks/symbols/maps.h"

#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#define PROGRAM                                                                                    \
  "55d0c0e4b000-55d0c0e4c000 r-xp 00001000 fe:01 1234567                    /usr/bin/a b\n"
#define LIBRARY "7f0000001000-7f0000002000 r-xp 00026000 00:2d 42 /usr/lib/libc.so.6\n"

static void parse(const char *text, struct denet_maps *maps) {
  ck_assert_int_eq(denet_maps_parse(denet_text_of(text), maps), 0);
}

START_TEST(line_becomes_a_mapping) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0};
  parse(PROGRAM LIBRARY, &maps);
  ck_assert_uint_eq(maps.count, 2);
  const struct denet_mapping *first = &maps.all[0];
  ck_assert_uint_eq(first->start, 0x55d0c0e4b000);
  ck_assert_uint_eq(first->end, 0x55d0c0e4c000);
  ck_assert_uint_eq(first->offset, 0x1000);
  ck_assert_uint_eq(first->device, UINT64_C(0xfe) << 32 | 1);
  ck_assert_uint_eq(first->inode, 1234567);
  ck_assert_str_eq(denet_mapping_path(&maps, first), "/usr/bin/a b");
  ck_assert_ptr_eq(denet_maps_find(&maps, 0x55d0c0e4b000), first);
  ck_assert_ptr_eq(denet_maps_find(&maps, 0x55d0c0e4bfff), first);
  ck_assert_ptr_null(denet_maps_find(&maps, 0x55d0c0e4c000));
  ck_assert_ptr_null(denet_maps_find(&maps, 0));
  ck_assert_ptr_eq(denet_maps_find(&maps, 0x7f0000001800), &maps.all[1]);
  ck_assert_ptr_null(denet_maps_find(&maps, UINT64_MAX));
}
END_TEST

#define AT "1000-2000 r-xp 00000000 fe:01 7 "

static const struct {
  const char *line, *path, *name;
} paths[] = {
    {AT "/bin/sh", "/bin/sh", "sh"},
    {AT "/bin/sh\n", "/bin/sh", "sh"},
    {AT "/tmp/a b  c\n", "/tmp/a b  c", "a b  c"},
    {AT "/tmp/x (deleted)\n", "/tmp/x (deleted)", "x"},
    {AT "/tmp/x\\012y\n", "/tmp/x\ny", "x?y"},
    {AT "/tmp/x\\013\\01\n", "/tmp/x\\013\\01", "x\\013\\01"},
    {AT "/memfd:jit (deleted)\n", "/memfd:jit (deleted)", "memfd:jit"},
    {AT "/\x01\x7f\xff\n", "/\x01\x7f\xff", "??\xff"},
    {AT "/tmp/\n", "/tmp/", ""},
    {"1000-2000 r-xp 00000000 00:00 0 \n", "", ""},
    {"1000-2000 r-xp 00000000 00:00 0                          [vdso]\n", "[vdso]", "[vdso]"},
};

START_TEST(paths_are_as_they_were) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0};
  char name[DENET_MAPPING_NAME_MOST + 1];
  parse(paths[_i].line, &maps);
  ck_assert_uint_eq(maps.count, 1);
  ck_assert_str_eq(denet_mapping_path(&maps, &maps.all[0]), paths[_i].path);
  denet_mapping_name(&maps, &maps.all[0], name);
  ck_assert_str_eq(name, paths[_i].name);
}
END_TEST

static const char *const malformed[] = {
    "",
    "\n",
    "1000-2000 r--p 00000000 fe:01 7 /not/executable\n",
    "2000-1000 r-xp 00000000 fe:01 7 /backwards\n",
    "1000-1000 r-xp 00000000 fe:01 7 /empty\n",
    "-2000 r-xp 00000000 fe:01 7 /x\n",
    "1000 r-xp 00000000 fe:01 7 /x\n",
    "1000-2000",
    "1000-2000 r-x",
    "1000-2000 r-xp 00000000 fe:01",
    "1000-2000 r-xp 00000000 fe:01 7",
    "1000-2000 r-xp 00000000 fe-01 7 /x\n",
    "1000-2000 r-xp 0000000g fe:01 7 /x\n",
    "11112222333344445-211112222333344445 r-xp 00000000 fe:01 7 /above 64 bits\n",
    "1000-2000 r-xp 00000000 fe:01 99999999999999999999 /x\n",
    "1000-2000 r-xp 00000000 1ffffffff:01 7 /x\n",
};

START_TEST(malformed_lines_are_skipped) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0};
  parse(malformed[_i], &maps);
  ck_assert_uint_eq(maps.count, 0);
  ck_assert_ptr_null(denet_maps_find(&maps, 0x1000));
}
END_TEST

START_TEST(second_text_replaces_the_first) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0}, copy = {0};
  parse(PROGRAM LIBRARY, &maps);
  ck_assert_int_eq(denet_maps_copy(&maps, &copy), 0);
  /* What overlaps or goes back is skipped. */
  parse("2000-3000 r-xp 00000000 fe:01 7 /a\n2800-3800 r-xp 00000000 fe:01 7 /b\n"
        "1000-1800 r-xp 00000000 fe:01 7 /c\n3000-4000 r-xp 00000000 fe:01 7 /d\n",
        &maps);
  ck_assert_uint_eq(maps.count, 2);
  ck_assert_str_eq(denet_mapping_path(&maps, denet_maps_find(&maps, 0x3000)), "/d");
  ck_assert_uint_eq(copy.count, 2);
  ck_assert_str_eq(denet_mapping_path(&copy, &copy.all[1]), "/usr/lib/libc.so.6");
}
END_TEST

START_TEST(number_of_mappings_is_bounded) {
  DENET_CLEANUP(denet_maps_done) struct denet_maps maps = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
  for (unsigned i = 0; i < DENET_MAPS_MOST + 10; i++) {
    char line[64];
    snprintf(line, sizeof(line), "%x000-%x000 r-xp 00000000 00:00 0 \n", i + 1, i + 2);
    ck_assert_int_eq(denet_buffer_append_string(&text, line), 0);
  }
  ck_assert_int_eq(denet_maps_parse(denet_buffer_text(&text), &maps), 0);
  ck_assert_uint_eq(maps.count, DENET_MAPS_MOST);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TEST(suite, line_becomes_a_mapping);
  ADD_TABLE(suite, paths_are_as_they_were, paths);
  ADD_TABLE(suite, malformed_lines_are_skipped, malformed);
  ADD_TEST(suite, second_text_replaces_the_first);
  ADD_TEST(suite, number_of_mappings_is_bounded);
}
