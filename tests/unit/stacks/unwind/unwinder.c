#include "tests/unit/snapshot.h"

#include <fnmatch.h>

/* Asserts that the frames are these, in order and without a gap between the first and the last of
 * them. Each is a pattern. Frames of libc below and above may be any. */
static void assert_frames(const char *frames, const char *const *patterns) {
  char copy[16384];
  snprintf(copy, sizeof(copy), "%s", frames);
  size_t wanted = 0;
  for (char *rest = copy, *line; patterns[wanted] && (line = strsep(&rest, "\n"));) {
    bool matches = fnmatch(patterns[wanted], line, 0) == 0;
    ck_assert_msg(matches || wanted == 0, "%s is not in its place in:\n%s", patterns[wanted],
                  frames);
    wanted += matches ? 1 : 0;
  }
  ck_assert_msg(!patterns[wanted], "%s is not in:\n%s", patterns[wanted], frames);
}

#define UPPER "wait_for_ever", "tenth", "ninth"
#define LOWER "sixth", "fifth", "fourth", "third", "second", "first", "main"
#define NAMELESS "chain_stripped+0x*"
#define NAMELESS_4 NAMELESS, NAMELESS, NAMELESS, NAMELESS

static const struct {
  const char *program, *argument, *frames[16];
} chains[] = {
    {"chain",
     "",
     {"*read*", "wait_for_ever (chain.c:*)", "tenth (chain.c:*)", "ninth (chain.c:*)",
      "future::poll (chain.c:*)", "shop::Till<int>::open(std::* const&) (chain.c:*)",
      "sixth (chain.c:*)", "fifth (chain.c:*)", "fourth (chain.c:*)", "third (chain.c:*)",
      "second (chain.c:*)", "first (chain.c:*)", "main (chain.c:*)"}},
    {"chain_plain", "", {"*read*", UPPER, "future::poll", "shop::Till<int>::open(*", LOWER}},
    {"chain_plain", "sleep", {"clock_nanosleep*", "*nanosleep*", "*usleep*", "tenth", "ninth"}},
    {"chain_plain",
     "signal",
     {"*read*", "wait_for_ever", "handle_signal", "__restore_rt", "*kill*", "*raise*",
      "send_signal", "tenth", "ninth"}},
    {"chain_plain", "deep20", {"*read*", "wait_for_ever", "recurse", "recurse", "recurse"}},
    {"chain_no_pie", "", {"*read*", UPPER, "future::poll", "*", LOWER}},
    {"chain_static", "", {"*read*", UPPER, "*", "*", "sixth", "fifth"}},
    {"chain_static_pie", "", {"*read*", UPPER, "*", "*", "sixth", "fifth"}},
    {"chain_debug_frame",
     "",
     {"*read*", "wait_for_ever (chain.c:*)", "tenth (chain.c:*)", "ninth (chain.c:*)", "*", "*",
      "sixth (chain.c:*)", "fifth (chain.c:*)", "fourth*", "third*", "second*", "first*",
      "main (chain.c:*)"}},
    /* No tables of its own: by frame pointers, and by tables again behind them. */
    {"chain_frame_pointer", "", {"*read*", UPPER, "future::poll", "*", LOWER, "__libc_start*"}},
    {"chain_stripped", "", {"*read*", NAMELESS_4, NAMELESS_4, NAMELESS_4, "*libc_start*"}},
    {"computed",
     "",
     {"*read*", "wait_for_ever", "by_sum", "by_difference", "by_shift", "by_comparison",
      "by_constant", "by_memory", "by_base_pointer", "main", "*libc_start*"}},
};

START_TEST(every_frame_has_its_name) {
  struct field field = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, chains[_i].program, chains[_i].argument);
  take_snapshot(&field, 65536);
  tell(unwinder, &field.snapshot, &frames);
  stop(&field);
  if (getenv("SHOW"))
    fprintf(stderr, "== %s %s\n%s", chains[_i].program, chains[_i].argument, frames.bytes);
  assert_frames(frames.bytes, chains[_i].frames);
  ck_assert_ptr_null(strstr(frames.bytes, DENET_TRUNCATED));
  ck_assert_ptr_nonnull(strstr(frames.bytes, "_start"));
  denet_unwinder_free(unwinder);
}
END_TEST

void add_cases(Suite *suite) { ADD_TABLE(suite, every_frame_has_its_name, chains); }
