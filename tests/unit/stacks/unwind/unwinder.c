#include "tests/unit/snapshot.h"

#include <fnmatch.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WHOLE_CHAIN "wait_for_ever\ntenth\nninth\nfuture::poll\n"
#define JIT_CHAIN "LazyCompile:~serve shop.js:7\nenter\nmain\n"

/* A process that is blocked, and maybe a directory with a copy of its program. */
struct scene {
  struct denet_unwinder *unwinder;
  struct field field;
  char dir[64], program[128], map[64]; /* map: of its just-in-time compiler */
};

static void run(const char *format, const char *first, const char *second) {
  char command[1024];
  snprintf(command, sizeof(command), "f='%s'; s='%s'; %s", first, second, format);
  ck_assert_int_eq(system(command), 0);
}

/* Copies a program into a directory of the scene, and starts nothing yet. */
static void copy_program(struct scene *scene, const char *program) {
  char from[512];
  strcpy(scene->dir, "/tmp/denet-unwinder-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(scene->dir));
  snprintf(scene->program, sizeof(scene->program), "%s/the program", scene->dir);
  snprintf(from, sizeof(from), "%s/%s", DENET_PROGRAMS, program);
  run("cp \"$f\" \"$s\"", from, scene->program);
}

/* Starts a program, takes its stack, and opens nothing yet. The scene is zeroed, or has an unwinder
 * that it shares with others. */
static void begin(struct scene *scene, const char *program, const char *argument) {
  if (!scene->unwinder)
    scene->unwinder = new_unwinder(BUDGET);
  start(&scene->field, program, argument);
  snprintf(scene->map, sizeof(scene->map), "/tmp/perf-%d.map", (int)scene->field.pid);
  take_snapshot(&scene->field, 65536);
}

/* Likewise, from a copy of the program. */
static void begin_copy(struct scene *scene, const char *program) {
  copy_program(scene, program);
  begin(scene, scene->program, "");
}

static void end(struct scene *scene) {
  stop(&scene->field);
  if (scene->unwinder)
    denet_unwinder_free(scene->unwinder);
  if (scene->dir[0])
    run("rm -rf \"$f\"", scene->dir, "");
  if (scene->map[0])
    unlink(scene->map);
}

static int open_process(const struct scene *scene) {
  return denet_unwinder_open_process(scene->unwinder, scene->field.snapshot.pid, 7, 1, 0, 0);
}

static void expect(const struct scene *scene, const char *has, const char *has_not) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  tell(scene->unwinder, &scene->field.snapshot, &frames);
  ck_assert_msg(strstr(frames.bytes, has) != NULL, "%s is not in:\n%s", has, frames.bytes);
  ck_assert_msg(!has_not || !strstr(frames.bytes, has_not), "%s is in:\n%s", has_not, frames.bytes);
}

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
  struct scene scene = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  begin(&scene, chains[_i].program, chains[_i].argument);
  tell(scene.unwinder, &scene.field.snapshot, &frames);
  end(&scene);
  assert_frames(frames.bytes, chains[_i].frames);
  ck_assert_ptr_null(strstr(frames.bytes, DENET_TRUNCATED));
  ck_assert_ptr_nonnull(strstr(frames.bytes, "_start"));
}
END_TEST

/* --- Files and processes that change between the stack and the look at it --- */

/* What happens to a program before its stack is looked at. A file that is executed cannot be
 * written to (ETXTBSY), but a library can; here the process has ended. Were the file mapped this
 * would be a SIGBUS. */
static const struct {
  const char *command, *frames;
  bool is_opened, is_unwound, is_stopped; /* before the command */
} changes[] = {
    {"rm \"$f\"", WHOLE_CHAIN, false, false, false},
    {"cp /bin/sh \"$f.new\" && mv \"$f.new\" \"$f\"", WHOLE_CHAIN, false, false, false},
    {"rm \"$f\" && mkfifo \"$f\"", WHOLE_CHAIN, false, false, false},
    {"rm \"$f\"", WHOLE_CHAIN, true, false, true},
    {"truncate -s 4096 \"$f\"", "the program+0x", true, false, true},
    {"truncate -s 4096 \"$f\"", WHOLE_CHAIN, true, true, true}, /* what was read stays good */
};

START_TEST(executable_may_be_changed_and_its_process_may_exit) {
  struct scene scene = {0};
  begin_copy(&scene, "chain_plain");
  if (changes[_i].is_opened)
    ck_assert_int_eq(open_process(&scene), 0);
  if (changes[_i].is_unwound)
    expect(&scene, WHOLE_CHAIN, DENET_TRUNCATED);
  if (changes[_i].is_stopped)
    stop(&scene.field);
  run(changes[_i].command, scene.program, "");
  scene.field.snapshot.registers[0]++; /* no dependency */
  bool is_whole = strcmp(changes[_i].frames, WHOLE_CHAIN) == 0;
  expect(&scene, changes[_i].frames, is_whole ? DENET_TRUNCATED : NULL);
  end(&scene);
}
END_TEST

START_TEST(process_that_exited_before_it_was_opened_has_addresses) {
  struct scene scene = {0};
  begin(&scene, "chain_plain", "");
  stop(&scene.field);
  ck_assert_int_eq(open_process(&scene), -ESRCH);
  expect(&scene, "0x", "chain");
  expect(&scene, DENET_TRUNCATED, NULL);
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).processes, 0);
  end(&scene);
}
END_TEST

START_TEST(fork_that_has_exited_has_its_parents_files) {
  struct scene scene = {0};
  pid_t gone = fork();
  if (gone == 0)
    _exit(0);
  ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
  begin(&scene, "chain_plain", "");
  struct denet_unwinder *unwinder = scene.unwinder;
  pid_t parent = scene.field.pid;
  ck_assert_int_eq(open_process(&scene), 0);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, gone, 8, 1, parent, 9), -ESRCH);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, gone, 8, 1, parent, 7), 0);
  stop(&scene.field);
  denet_unwinder_close_process(unwinder, parent, 7);
  scene.field.snapshot.pid = gone;
  scene.field.snapshot.start_ns = 8;
  expect(&scene, WHOLE_CHAIN, DENET_TRUNCATED);
  denet_unwinder_close_process(unwinder, gone, 8);
  ck_assert_uint_eq(denet_unwinder_stats(unwinder).processes, 0);
  end(&scene);
}
END_TEST

START_TEST(after_an_exec_the_mappings_are_read_again) {
  static const struct {
    uint64_t exec_id, mappings_read;
    const char *has, *has_not;
  } steps[] = {{1, 1, WHOLE_CHAIN, NULL},
               {2, 2, WHOLE_CHAIN, NULL},
               {1, 2, "0x", "tenth"}}; /* a late one: its mappings are gone */
  struct scene scene = {0};
  begin(&scene, "chain_plain", "");
  for (size_t i = 0; i < DENET_COUNT_OF(steps); i++) {
    scene.field.snapshot.exec_id = steps[i].exec_id;
    expect(&scene, steps[i].has, steps[i].has_not);
    ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).mappings_read, steps[i].mappings_read);
  }
  end(&scene);
}
END_TEST

START_TEST(equal_stack_is_not_unwound_again) {
  struct scene scene = {0};
  begin(&scene, "chain_plain", "");
  for (int i = 0; i < 5; i++)
    expect(&scene, WHOLE_CHAIN, DENET_TRUNCATED);
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).unwound, 1);
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).cache_hits, 4);
  ck_assert_uint_gt(denet_unwinder_stats(scene.unwinder).cache_bytes, 0);

  /* The frames depend on the return addresses on the stack, and on few other words. */
  uint64_t *words = (uint64_t *)scene.field.stack;
  words[0] ^= 1;
  expect(&scene, WHOLE_CHAIN, DENET_TRUNCATED);
  size_t changed = 0;
  for (size_t i = 1; i < 24; i++) {
    uint64_t before = denet_unwinder_stats(scene.unwinder).unwound;
    words[i] ^= 1;
    expect(&scene, "read", NULL);
    changed += denet_unwinder_stats(scene.unwinder).unwound - before;
    words[i] ^= 1;
  }
  ck_assert_uint_gt(changed, 1);
  ck_assert_uint_lt(changed, 20);
  denet_unwinder_close_process(scene.unwinder, scene.field.snapshot.pid, 7);
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).cache_bytes, 0);
  end(&scene);
}
END_TEST

START_TEST(stack_that_the_snapshot_does_not_hold_is_truncated) {
  struct scene scene = {0};
  begin(&scene, "chain_plain", "deep120");
  take_snapshot(&scene.field, 8192);
  ck_assert_uint_eq(scene.field.snapshot.stack_bytes, 8192);
  for (int i = 0; i < 2; i++)
    expect(&scene, "recurse\n" DENET_TRUNCATED "\n", "tenth");
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).cache_hits, 1);
  /* More of the same stack has more frames. */
  take_snapshot(&scene.field, 65536);
  expect(&scene, "recurse\n", NULL);
  ck_assert_uint_eq(denet_unwinder_stats(scene.unwinder).cache_hits, 1);
  scene.field.snapshot.stack_bytes = 0;
  expect(&scene, DENET_TRUNCATED, "tenth");
  end(&scene);
}
END_TEST

START_TEST(code_of_a_jit_compiler_has_the_name_it_was_given) {
  struct scene scene = {0};
  begin(&scene, "jit", _i ? "nameless" : NULL);
  expect(&scene, _i ? "wait_for_ever\n0x" : "wait_for_ever\n" JIT_CHAIN, DENET_TRUNCATED);
  expect(&scene, "\nenter\nmain\n", DENET_TRUNCATED);
  end(&scene);
}
END_TEST

/* Adds 400,000 lines of 40 bytes. */
#define ADD_NAMES                                                                                  \
  "awk 'BEGIN { for (i = 0; i < 400000; i++) "                                                     \
  "printf \"%x 1 a-name-as-long-as-names-are\\n\", 4096 + i }' >>\"$f\""
#define LARGE 5 /* of them are more than all may have */

START_TEST(names_of_jit_compilers_take_memory_within_bounds) {
  static struct scene scenes[LARGE];
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  uint64_t most = 0;
  for (int i = 0; i < LARGE; i++) {
    scenes[i].unwinder = unwinder;
    begin(&scenes[i], "jit", NULL);
    run(ADD_NAMES, scenes[i].map, "");
    expect(&scenes[i], "LazyCompile:~serve shop.js:7\n", NULL);
    uint64_t bytes = denet_unwinder_stats(unwinder).space_bytes;
    ck_assert_uint_le(bytes, DENET_ADDRESS_SPACES_MOST);
    most = bytes > most ? bytes : most;
  }
  ck_assert_uint_gt(most, DENET_ADDRESS_SPACES_MOST / 2);
  ck_assert_uint_lt(denet_unwinder_stats(unwinder).processes, LARGE);
  for (int i = 0; i < LARGE; i++) {
    denet_unwinder_close_process(unwinder, scenes[i].field.pid, 7);
    scenes[i].unwinder = NULL;
    end(&scenes[i]);
  }
  ck_assert_uint_eq(denet_unwinder_stats(unwinder).space_bytes, 0);
  denet_unwinder_free(unwinder);
}
END_TEST

/* Starts the scene's program in a container: pids, mounts and a root of its own. The program is in
 * a file system that only it sees, and its pid there is 1. */
static void start_in_container(struct scene *scene) {
  struct field *field = &scene->field;
  int ends[2];
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  field->pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  ck_assert_int_ge(field->pid, 0);
  if (field->pid == 0) {
    char command[512];
    dup2(ends[0], 0);
    snprintf(command, sizeof(command),
             "cd '%s' && mount --make-rprivate / && mkdir root && mount -t tmpfs none root && "
             "mkdir root/tmp && cp '%s' root/jit",
             scene->dir, scene->program);
    if (system(command) == 0 && chdir(scene->dir) == 0 && chroot("root") == 0 && chdir("/") == 0)
      execl("/jit", "/jit", NULL);
    _exit(127);
  }
  close(ends[0]);
  field->input = ends[1];
  wait_until_blocked(field->pid);
}

START_TEST(files_of_a_container_are_its_own) {
  struct scene scene = {.unwinder = new_unwinder(BUDGET)};
  copy_program(&scene, "jit");
  start_in_container(&scene);
  take_snapshot(&scene.field, 65536);
  expect(&scene, "wait_for_ever\n" JIT_CHAIN, DENET_TRUNCATED);
  end(&scene);
}
END_TEST

START_TEST(code_that_was_mapped_later_is_found) {
  struct scene scene = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  begin(&scene, "jit", "late");
  ck_assert_int_eq(open_process(&scene), 0);
  ck_assert_int_eq(write(scene.field.input, "", 1), 1);
  /* The mappings and the map of names are read again at most once a second. */
  for (int tries = 0; tries < 400; tries++) {
    wait_a_little();
    wait_until_blocked(scene.field.pid);
    take_snapshot(&scene.field, 65536);
    tell(scene.unwinder, &scene.field.snapshot, &frames);
    if (strstr(frames.bytes, JIT_CHAIN))
      break;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  ck_assert_ptr_nonnull(strstr(frames.bytes, JIT_CHAIN));
  ck_assert_uint_ge(denet_unwinder_stats(scene.unwinder).mappings_read, 2);
  ck_assert_uint_le(denet_unwinder_stats(scene.unwinder).mappings_read, 6);
  end(&scene);
}
END_TEST

/* Without CAP_SYS_ADMIN and CAP_CHECKPOINT_RESTORE map_files is closed. */
static void give_up_map_files(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
  data[CAP_SYS_ADMIN / 32].effective &= ~(1u << CAP_SYS_ADMIN % 32);
  data[CAP_CHECKPOINT_RESTORE / 32].effective &= ~(1u << CAP_CHECKPOINT_RESTORE % 32);
  ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

START_TEST(files_are_found_by_their_paths_too) {
  struct scene scene = {0};
  int status;
  begin_copy(&scene, "chain_plain");
  if (_i == 1) /* then /proc/PID/exe has it */
    unlink(scene.program);
  pid_t child = fork(); /* another test needs what this one gives up */
  if (child == 0) {
    give_up_map_files();
    expect(&scene, WHOLE_CHAIN, DENET_TRUNCATED);
    _exit(0);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_int_eq(status, 0);
  end(&scene);
}
END_TEST

/* Two or three of the programs fit in with all that is read of them, all five do not. */
#define SMALL_BUDGET 400000u
#define COPIES 5

START_TEST(small_budget_is_kept_to) {
  static struct scene scenes[COPIES];
  struct denet_unwinder *unwinder = new_unwinder(SMALL_BUDGET);
  for (int i = 0; i < COPIES; i++) {
    scenes[i].unwinder = unwinder;
    begin_copy(&scenes[i], "chain_static");
  }
  for (unsigned round = 0; round < 3 * COPIES; round++) {
    struct scene *scene = &scenes[round % COPIES];
    scene->field.snapshot.exec_id = round; /* its mappings are read anew */
    expect(scene, "wait_for_ever\ntenth\n", DENET_TRUNCATED);
    ck_assert_uint_le(denet_unwinder_stats(unwinder).symbol_bytes, SMALL_BUDGET);
    ck_assert_uint_gt(denet_unwinder_stats(unwinder).symbol_bytes, SMALL_BUDGET / 5);
  }
  ck_assert_uint_gt(denet_unwinder_stats(unwinder).symbol_bytes, SMALL_BUDGET / 2);
  for (int i = 0; i < COPIES; i++) {
    scenes[i].unwinder = NULL;
    end(&scenes[i]);
  }
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(any_registers_and_any_stack_break_nothing) {
  struct scene scene = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  begin(&scene, "chain_plain", "signal");
  take_snapshot(&scene.field, 8192);
  uint64_t random = 88172645463325252u, *words = (uint64_t *)scene.field.stack;
  for (int round = 0; round < 20000; round++) {
    struct denet_snapshot snapshot = scene.field.snapshot;
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    size_t at = random % 1024;
    uint64_t before = words[at];
    words[at] = round % 2 ? random : words[random >> 32 & 1023];
    if (round % 5 == 0)
      snapshot.registers[random >> 20 & 15] = words[random >> 40 & 1023];
    if (round % 7 == 0)
      snapshot.registers[DENET_PROGRAM_COUNTER] += random >> 50;
    if (round % 9 == 0)
      snapshot.stack_bytes = random >> 10 & 8191;
    denet_buffer_clear(&frames);
    ck_assert_int_eq(denet_unwinder_append_frames(scene.unwinder, &snapshot, &frames), 0);
    ck_assert_uint_gt(frames.length, 0);
    words[at] = before;
  }
  end(&scene);
}
END_TEST

void add_cases(Suite *suite) {
  static const char both[2];
  ADD_TABLE(suite, every_frame_has_its_name, chains);
  ADD_TABLE(suite, executable_may_be_changed_and_its_process_may_exit, changes);
  ADD_TEST(suite, process_that_exited_before_it_was_opened_has_addresses);
  ADD_TEST(suite, fork_that_has_exited_has_its_parents_files);
  ADD_TEST(suite, after_an_exec_the_mappings_are_read_again);
  ADD_TEST(suite, equal_stack_is_not_unwound_again);
  ADD_TEST(suite, stack_that_the_snapshot_does_not_hold_is_truncated);
  ADD_TABLE(suite, code_of_a_jit_compiler_has_the_name_it_was_given, both);
  ADD_TEST(suite, names_of_jit_compilers_take_memory_within_bounds);
  ADD_TEST(suite, files_of_a_container_are_its_own);
  ADD_TEST(suite, code_that_was_mapped_later_is_found);
  ADD_TABLE(suite, files_are_found_by_their_paths_too, both);
  ADD_TEST(suite, small_budget_is_kept_to);
  ADD_TEST(suite, any_registers_and_any_stack_break_nothing);
}
