/* What becomes of a process's files, and of the process, between its stack and the look at it. */
#include "tests/unit/snapshot.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* A folder of the test's own, with a copy of a program in it. */
struct place {
  char folder[64], program[128];
};

static void run(const char *format, const char *first, const char *second) {
  char command[1024];
  snprintf(command, sizeof(command), "f='%s'; s='%s'; %s", first, second, format);
  ck_assert_int_eq(system(command), 0);
}

static struct place new_place(const char *program) {
  struct place place = {.folder = "/tmp/denet-unwinder-XXXXXX"};
  ck_assert_ptr_nonnull(mkdtemp(place.folder));
  snprintf(place.program, sizeof(place.program), "%s/the program", place.folder);
  char from[512];
  snprintf(from, sizeof(from), "%s/%s", DENET_PROGRAMS, program);
  run("cp \"$f\" \"$s\"", from, place.program);
  return place;
}

static void remove_place(const struct place *place) { run("rm -rf \"$f\"", place->folder, ""); }

/* A field that runs place's program, with its stack. */
static void start_there(struct field *field, const struct place *place) {
  memset(field, 0, sizeof(*field));
  start_in(field, NULL, place->program, "");
  take_snapshot(field, 65536);
}

static void assert_told(struct denet_unwinder *unwinder, const struct denet_snapshot *snapshot,
                        const char *has, const char *has_not) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  tell(unwinder, snapshot, &frames);
  ck_assert_msg(strstr(frames.bytes, has) != NULL, "%s is not in:\n%s", has, frames.bytes);
  ck_assert_msg(!has_not || !strstr(frames.bytes, has_not), "%s is in:\n%s", has_not, frames.bytes);
}

#define WHOLE_CHAIN "wait_for_ever\ntenth\nninth\nfuture::poll\n"

START_TEST(the_executable_may_be_deleted) {
  struct place place = new_place("chain_plain");
  struct field field;
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_there(&field, &place);
  unlink(place.program);
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  stop(&field);
  denet_unwinder_free(unwinder);
  remove_place(&place);
}
END_TEST

START_TEST(another_program_in_the_executable_s_place_is_not_asked) {
  struct place place = new_place("chain_plain");
  struct field field;
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_there(&field, &place);
  run("cp /bin/sh \"$f.new\" && mv \"$f.new\" \"$f\"", place.program, "");
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  stop(&field);
  denet_unwinder_free(unwinder);
  remove_place(&place);
}
END_TEST

START_TEST(a_fifo_in_the_executable_s_place_does_not_stop_us) {
  struct place place = new_place("chain_plain");
  struct field field;
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_there(&field, &place);
  unlink(place.program);
  ck_assert_int_eq(mkfifo(place.program, 0600), 0);
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  stop(&field);
  denet_unwinder_free(unwinder);
  remove_place(&place);
}
END_TEST

/* Whoever may write to a file that is executed cannot (ETXTBSY), but a library is not guarded; here
 * the process has ended. Were the file mapped this would be a SIGBUS. */
START_TEST(a_file_that_is_cut_short_after_we_met_breaks_nothing) {
  struct place place = new_place("chain_plain");
  struct field field;
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_there(&field, &place);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, field.pid, 7, 1, 0, 0), 0);
  if (_i == 1) /* what was read before stays good */
    assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  stop(&field);
  ck_assert_int_eq(truncate(place.program, 4096), 0);
  field.snapshot.registers[0]++; /* decides nothing */
  assert_told(unwinder, &field.snapshot, _i ? WHOLE_CHAIN : "the program+0x", NULL);
  denet_unwinder_free(unwinder);
  remove_place(&place);
}
END_TEST

START_TEST(a_process_that_we_met_may_exit) {
  struct place place = new_place("chain_plain");
  struct field field;
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_there(&field, &place);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, field.pid, 7, 1, 0, 0), 0);
  stop(&field);
  remove_place(&place);
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(a_process_that_nobody_met_is_told_by_addresses) {
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "chain_plain", "");
  take_snapshot(&field, 65536);
  stop(&field);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, field.snapshot.pid, 7, 1, 0, 0), -ESRCH);
  assert_told(unwinder, &field.snapshot, "0x", "chain");
  assert_told(unwinder, &field.snapshot, DENET_TRUNCATED, NULL);
  ck_assert_uint_eq(stats_of(unwinder).processes, 0);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(a_fork_that_has_exited_has_its_parent_s_files) {
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  pid_t gone = fork();
  if (gone == 0)
    _exit(0);
  ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
  start(&field, "chain_plain", "");
  take_snapshot(&field, 65536);
  pid_t parent = field.pid;
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, parent, 7, 1, 0, 0), 0);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, gone, 8, 1, parent, 9), -ESRCH);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, gone, 8, 1, parent, 7), 0);
  stop(&field);
  denet_unwinder_close_process(unwinder, parent, 7);
  field.snapshot.pid = gone;
  field.snapshot.start_ns = 8;
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  denet_unwinder_close_process(unwinder, gone, 8);
  ck_assert_uint_eq(stats_of(unwinder).processes, 0);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(after_an_exec_the_mappings_are_read_again) {
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "chain_plain", "");
  take_snapshot(&field, 65536);
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, NULL);
  ck_assert_uint_eq(stats_of(unwinder).mappings_read, 1);
  field.snapshot.exec_id = 2;
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, NULL);
  ck_assert_uint_eq(stats_of(unwinder).mappings_read, 2);
  field.snapshot.exec_id = 1; /* a late one: its mappings are gone */
  assert_told(unwinder, &field.snapshot, "0x", "tenth");
  ck_assert_uint_eq(stats_of(unwinder).mappings_read, 2);
  stop(&field);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(an_equal_stack_is_not_walked_again) {
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "chain_plain", "");
  take_snapshot(&field, 65536);
  for (int i = 0; i < 5; i++)
    assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  ck_assert_uint_eq(stats_of(unwinder).unwound, 1);
  ck_assert_uint_eq(stats_of(unwinder).cache_hits, 4);
  ck_assert_uint_gt(stats_of(unwinder).cache_bytes, 0);

  /* Of a word on the stack that is no return address nothing depends; of one that is, all. */
  uint64_t *words = (uint64_t *)field.stack;
  words[0] ^= 1;
  assert_told(unwinder, &field.snapshot, WHOLE_CHAIN, DENET_TRUNCATED);
  size_t changed = 0;
  for (size_t i = 1; i < 24; i++) {
    uint64_t before = stats_of(unwinder).unwound;
    words[i] ^= 1;
    assert_told(unwinder, &field.snapshot, "read", NULL);
    changed += stats_of(unwinder).unwound - before;
    words[i] ^= 1;
  }
  ck_assert_uint_gt(changed, 1);
  ck_assert_uint_lt(changed, 20);
  stop(&field);
  denet_unwinder_close_process(unwinder, field.snapshot.pid, 7);
  ck_assert_uint_eq(stats_of(unwinder).cache_bytes, 0);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(what_the_snapshot_does_not_hold_is_truncated) {
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "chain_plain", "deep120");
  take_snapshot(&field, 8192);
  ck_assert_uint_eq(field.snapshot.stack_bytes, 8192);
  for (int i = 0; i < 2; i++)
    assert_told(unwinder, &field.snapshot, "recurse\n" DENET_TRUNCATED "\n", "tenth");
  ck_assert_uint_eq(stats_of(unwinder).truncated, 2);
  ck_assert_uint_eq(stats_of(unwinder).cache_hits, 1);
  /* More of the same stack shows more. */
  take_snapshot(&field, 65536);
  assert_told(unwinder, &field.snapshot, "recurse\n", NULL);
  ck_assert_uint_eq(stats_of(unwinder).cache_hits, 1);
  field.snapshot.stack_bytes = 0;
  assert_told(unwinder, &field.snapshot, DENET_TRUNCATED, "tenth");
  stop(&field);
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(code_of_a_jit_compiler_has_the_name_it_was_given) {
  struct field field = {0};
  char map[64];
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "jit", _i ? "nameless" : NULL);
  snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)field.pid);
  take_snapshot(&field, 65536);
  assert_told(unwinder, &field.snapshot,
              _i ? "wait_for_ever\n0x"
                 : "wait_for_ever\nLazyCompile:~serve shop.js:7\nenter\nmain\n",
              DENET_TRUNCATED);
  assert_told(unwinder, &field.snapshot, "\nenter\nmain\n", DENET_TRUNCATED);
  stop(&field);
  unlink(map);
  denet_unwinder_free(unwinder);
}
END_TEST

#define MAP_LINES 400000 /* of 40 bytes */
#define LARGE 5          /* of them are more than all may have */

static void add_names(pid_t pid) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)pid);
  FILE *map = fopen(path, "ae");
  ck_assert_ptr_nonnull(map);
  for (int i = 0; i < MAP_LINES; i++)
    fprintf(map, "%x 1 a-name-as-long-as-names-are\n", 0x1000 + i);
  ck_assert_int_eq(fclose(map), 0);
}

START_TEST(names_of_jit_compilers_take_memory_within_bounds) {
  static struct field fields[LARGE];
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  uint64_t most = 0;
  for (int i = 0; i < LARGE; i++) {
    start(&fields[i], "jit", NULL);
    add_names(fields[i].pid);
    take_snapshot(&fields[i], 65536);
    assert_told(unwinder, &fields[i].snapshot, "LazyCompile:~serve shop.js:7\n", NULL);
    uint64_t bytes = stats_of(unwinder).space_bytes;
    ck_assert_uint_le(bytes, DENET_ADDRESS_SPACES_MOST);
    most = bytes > most ? bytes : most;
  }
  ck_assert_uint_gt(most, DENET_ADDRESS_SPACES_MOST / 2);
  ck_assert_uint_lt(stats_of(unwinder).processes, LARGE);
  for (int i = 0; i < LARGE; i++) {
    char map[64];
    snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)fields[i].pid);
    denet_unwinder_close_process(unwinder, fields[i].pid, fields[i].snapshot.start_ns);
    stop(&fields[i]);
    unlink(map);
  }
  ck_assert_uint_eq(stats_of(unwinder).space_bytes, 0);
  denet_unwinder_free(unwinder);
}
END_TEST

/* A container: pids, mounts and a root of its own. The program is in a file system that nobody else
 * sees, and its pid in there is 1. */
static void start_in_container(struct field *field, const struct place *place) {
  int ends[2];
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  field->pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  ck_assert_int_ge(field->pid, 0);
  if (field->pid == 0) {
    char command[512];
    dup2(ends[0], 0);
    snprintf(command, sizeof(command),
             "mount --make-rprivate / && mkdir '%s/root' && mount -t tmpfs none '%s/root' && "
             "mkdir '%s/root/tmp' && cp '%s' '%s/root/jit'",
             place->folder, place->folder, place->folder, place->program, place->folder);
    if (system(command) == 0 && chdir(place->folder) == 0 && chroot("root") == 0 && chdir("/") == 0)
      execl("/jit", "/jit", NULL);
    _exit(127);
  }
  close(ends[0]);
  field->input = ends[1];
  wait_until_blocked(field->pid);
}

START_TEST(a_container_s_files_are_its_own) {
  struct place place = new_place("jit");
  struct field field = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start_in_container(&field, &place);
  take_snapshot(&field, 65536);
  assert_told(unwinder, &field.snapshot,
              "wait_for_ever\nLazyCompile:~serve shop.js:7\nenter\nmain\n", DENET_TRUNCATED);
  stop(&field);
  denet_unwinder_free(unwinder);
  remove_place(&place);
}
END_TEST

START_TEST(code_that_was_mapped_later_is_found) {
  struct field field = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  char map[64];
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "jit", "late");
  snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)field.pid);
  ck_assert_int_eq(denet_unwinder_open_process(unwinder, field.pid, 7, 1, 0, 0), 0);
  ck_assert_int_eq(write(field.input, "", 1), 1);
  /* The mappings are read again at most once a second, and so is the map of names. */
  for (int tries = 0; tries < 400; tries++) {
    wait_a_little();
    wait_until_blocked(field.pid);
    take_snapshot(&field, 65536);
    tell(unwinder, &field.snapshot, &frames);
    if (strstr(frames.bytes, "shop.js:7\nenter\nmain\n"))
      break;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  ck_assert_ptr_nonnull(strstr(frames.bytes, "LazyCompile:~serve shop.js:7\nenter\nmain\n"));
  ck_assert_uint_ge(stats_of(unwinder).mappings_read, 2);
  ck_assert_uint_le(stats_of(unwinder).mappings_read, 6);
  stop(&field);
  unlink(map);
  denet_unwinder_free(unwinder);
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
  struct place place = new_place("chain_plain");
  struct field field;
  int status;
  start_there(&field, &place);
  if (_i == 1) /* then /proc/PID/exe has it */
    unlink(place.program);
  pid_t child = fork(); /* another test needs what this one gives up */
  if (child == 0) {
    DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
    struct denet_unwinder *unwinder = new_unwinder(BUDGET);
    give_up_map_files();
    tell(unwinder, &field.snapshot, &frames);
    _exit(strstr(frames.bytes, WHOLE_CHAIN) && !strstr(frames.bytes, DENET_TRUNCATED) ? 0 : 1);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_int_eq(status, 0);
  stop(&field);
  remove_place(&place);
}
END_TEST

/* Two or three of the programs fit in with all that is read of them, all five do not. */
#define SMALL_BUDGET 400000u
#define COPIES 5

START_TEST(a_small_budget_is_kept_to) {
  static struct field fields[COPIES];
  struct place places[COPIES];
  struct denet_unwinder *unwinder = new_unwinder(SMALL_BUDGET);
  for (int i = 0; i < COPIES; i++) {
    places[i] = new_place("chain_static");
    start_there(&fields[i], &places[i]);
  }
  for (unsigned round = 0; round < 3 * COPIES; round++) {
    struct denet_snapshot *snapshot = &fields[round % COPIES].snapshot;
    snapshot->exec_id = round; /* what was known of it is read anew */
    assert_told(unwinder, snapshot, "wait_for_ever\ntenth\n", DENET_TRUNCATED);
    ck_assert_uint_le(stats_of(unwinder).symbol_bytes, SMALL_BUDGET);
    ck_assert_uint_gt(stats_of(unwinder).symbol_bytes, SMALL_BUDGET / 5);
  }
  ck_assert_uint_gt(stats_of(unwinder).symbol_bytes, SMALL_BUDGET / 2);
  for (int i = 0; i < COPIES; i++) {
    stop(&fields[i]);
    remove_place(&places[i]);
  }
  denet_unwinder_free(unwinder);
}
END_TEST

START_TEST(any_registers_and_any_stack_break_nothing) {
  struct field field = {0};
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer frames = {0};
  struct denet_unwinder *unwinder = new_unwinder(BUDGET);
  start(&field, "chain_plain", "signal");
  take_snapshot(&field, 8192);
  uint64_t random = 88172645463325252u, *words = (uint64_t *)field.stack;
  struct denet_snapshot whole = field.snapshot;
  for (int round = 0; round < 20000; round++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    field.snapshot = whole;
    size_t place = random % 1024;
    uint64_t before = words[place];
    words[place] = round % 2 ? random : words[random >> 32 & 1023];
    if (round % 5 == 0)
      field.snapshot.registers[random >> 20 & 15] = words[random >> 40 & 1023];
    if (round % 7 == 0)
      field.snapshot.registers[16] += random >> 50;
    if (round % 9 == 0)
      field.snapshot.stack_bytes = random >> 10 & 8191;
    denet_buffer_clear(&frames);
    ck_assert_int_eq(denet_unwinder_append_frames(unwinder, &field.snapshot, &frames), 0);
    ck_assert_uint_gt(frames.length, 0);
    words[place] = before;
  }
  stop(&field);
  denet_unwinder_free(unwinder);
}
END_TEST

void add_cases(Suite *suite) {
  static const char both[2];
  ADD_TEST(suite, the_executable_may_be_deleted);
  ADD_TEST(suite, another_program_in_the_executable_s_place_is_not_asked);
  ADD_TEST(suite, a_fifo_in_the_executable_s_place_does_not_stop_us);
  ADD_TABLE(suite, a_file_that_is_cut_short_after_we_met_breaks_nothing, both);
  ADD_TEST(suite, a_process_that_we_met_may_exit);
  ADD_TEST(suite, a_process_that_nobody_met_is_told_by_addresses);
  ADD_TEST(suite, a_fork_that_has_exited_has_its_parent_s_files);
  ADD_TEST(suite, after_an_exec_the_mappings_are_read_again);
  ADD_TEST(suite, an_equal_stack_is_not_walked_again);
  ADD_TEST(suite, what_the_snapshot_does_not_hold_is_truncated);
  ADD_TABLE(suite, code_of_a_jit_compiler_has_the_name_it_was_given, both);
  ADD_TEST(suite, names_of_jit_compilers_take_memory_within_bounds);
  ADD_TEST(suite, a_container_s_files_are_its_own);
  ADD_TEST(suite, code_that_was_mapped_later_is_found);
  ADD_TABLE(suite, files_are_found_by_their_paths_too, both);
  ADD_TEST(suite, a_small_budget_is_kept_to);
  ADD_TEST(suite, any_registers_and_any_stack_break_nothing);
}
