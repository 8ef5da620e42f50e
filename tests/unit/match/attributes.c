/* What of a process is known to the rules, whatever its source answers. */
#include "core/match/attributes.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#define SECOND UINT64_C(1000000000)
#define ALL ((1u << DENET_FIELDS) - 1)
#define BIT(field) (1u << DENET_FIELD_##field)

/* What the source and the directory service answer. */
static struct {
  int outcomes[3]; /* by enum denet_text_kind */
  int uid_outcome, user_outcome;
  const char *arguments, *cgroup;
  size_t argument_bytes;
  unsigned look_ups; /* of the user's name */
  uint64_t now_ns;
} host;

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  denet_buffer_clear(out);
  if (host.outcomes[kind])
    return host.outcomes[kind];
  if (kind == DENET_TEXT_ARGUMENTS)
    return denet_buffer_append(out, host.arguments, host.argument_bytes);
  return denet_buffer_append_string(out, kind == DENET_TEXT_CGROUP ? host.cgroup : "/bin/app");
}

static int read_uid(struct denet_source *source, const struct denet_process *process,
                    uid_t *out_uid) {
  *out_uid = 7;
  return host.uid_outcome;
}

static int find_user(void *context, uid_t uid, char *out, size_t size) {
  host.look_ups++;
  snprintf(out, size, "user%u", (unsigned)uid);
  return host.user_outcome;
}

static uint64_t read_clock(void *context) { return host.now_ns; }

static struct denet_source source = {.read_text = read_text, .read_uid = read_uid};
static const struct denet_env env = {.boot_ns = read_clock, .user_name = find_user};
static struct denet_process process = {.pid = 42, .name = "app"};
static struct denet_attributes_reader reader;
static struct denet_attributes attributes;

static int read_all(void) {
  reader.source = &source;
  reader.env = &env;
  return denet_attributes_read(&reader, &process, ALL, &attributes);
}

/* What the source answers, and the fields that come of it. */
static const struct {
  const char *arguments;
  size_t argument_bytes;
  const char *cgroup;
  const char *fields[DENET_FIELDS];
} texts[] = {
    {"/bin/app\0-x",
     sizeof("/bin/app\0-x") - 1,
     "/system.slice/app.service",
     {"app", "/bin/app -x", "/bin/app", "user7", "app.service", "", "", "",
      "/system.slice/app.service"}},
    {"app: \0x \0\t\n",
     sizeof("app: \0x \0\t\n") - 1,
     "/",
     {"app", "app:  x", "/bin/app", "user7", "", "", "", "", "/"}},
    {"  ", 2, "/", {"app", " ", "/bin/app", "user7", "", "", "", "", "/"}},
    {"", 0, "/", {"app", "[app]", "/bin/app", "user7", "", "", "", "", "/"}},
};

static void begin(int row) {
  host.arguments = texts[row].arguments;
  host.argument_bytes = texts[row].argument_bytes;
  host.cgroup = texts[row].cgroup;
}

START_TEST(all_fields_are_read_and_without_arguments_or_unit_there_are_texts_all_the_same) {
  begin(_i);
  ck_assert_int_eq(read_all(), 0);
  for (unsigned f = 0; f < DENET_FIELD_PID_FILE; f++)
    ck_assert_str_eq(attributes.field[f].bytes, texts[_i].fields[f]);
  ck_assert_uint_eq(attributes.uid, 7);
  ck_assert_int_eq(attributes.pid, 42);
  denet_attributes_reader_done(&reader);
}
END_TEST

/* Outcomes of the source, and what comes of them. */
static const struct {
  int arguments, executable, cgroup, uid; /* outcomes */
  bool has_ended;                         /* the process */
  int outcome;
  unsigned absent, stalled, gone;
} outcomes[] = {
    {DENET_LATER, 0, 0, 0, false, 0, BIT(COMMAND_LINE), BIT(COMMAND_LINE), 0},
    {0, DENET_LATER, 0, 0, false, 0, BIT(EXECUTABLE), BIT(EXECUTABLE), 0},
    {0, 0, DENET_LATER, 0, false, 0, DENET_CGROUP_FIELDS, DENET_CGROUP_FIELDS, 0},
    {0, -EACCES, 0, 0, false, 0, BIT(EXECUTABLE), 0, 0},
    {0, 0, -EACCES, 0, false, 0, DENET_CGROUP_FIELDS, 0, 0},
    {0, 0, 0, -EACCES, false, 0, BIT(USER), 0, 0},
    {DENET_GONE, 0, 0, 0, true, 0, BIT(COMMAND_LINE), 0, BIT(COMMAND_LINE)},
    {DENET_GONE, 0, 0, 0, false, DENET_GONE, 0, 0, 0},
    {-EMFILE, 0, 0, 0, false, -EMFILE, 0, 0, 0},
    {0, 0, -EIO, 0, true, -EIO, 0, 0, 0},
    {0, 0, 0, -EINTR, false, -EINTR, 0, 0, 0},
};

START_TEST(outcome_decides_what_is_absent) {
  begin(0);
  host.outcomes[DENET_TEXT_ARGUMENTS] = outcomes[_i].arguments;
  host.outcomes[DENET_TEXT_EXECUTABLE] = outcomes[_i].executable;
  host.outcomes[DENET_TEXT_CGROUP] = outcomes[_i].cgroup;
  host.uid_outcome = outcomes[_i].uid;
  process.ended = outcomes[_i].has_ended;
  ck_assert_int_eq(read_all(), outcomes[_i].outcome);
  if (!outcomes[_i].outcome) {
    for (unsigned f = 0; f < DENET_FIELD_PID_FILE; f++)
      ck_assert_int_eq(!attributes.field[f].bytes, outcomes[_i].absent >> f & 1);
    ck_assert_uint_eq(attributes.stalled, outcomes[_i].stalled);
    ck_assert_uint_eq(attributes.gone, outcomes[_i].gone);
  }
}
END_TEST

/* How long a name, or the failure to find one, is kept. */
static const struct {
  int outcome;
  uint64_t later_ns;
  unsigned look_ups;
} ages[] = {
    {0, 59 * SECOND, 1},
    {0, 61 * SECOND, 2},
    {-ENOENT, SECOND / 2, 1},
    {-ENOENT, SECOND, 2},
};

START_TEST(name_of_a_user_is_looked_up_once_in_a_while) {
  begin(0);
  host.now_ns = SECOND;
  host.user_outcome = ages[_i].outcome;
  ck_assert_int_eq(read_all(), 0);
  ck_assert_str_eq(attributes.field[DENET_FIELD_USER].bytes, ages[_i].outcome ? "7" : "user7");
  ck_assert_uint_eq(attributes.uid, 7);
  host.now_ns += ages[_i].later_ns;
  ck_assert_int_eq(read_all(), 0);
  ck_assert_uint_eq(host.look_ups, ages[_i].look_ups);
  ck_assert_str_eq(attributes.field[DENET_FIELD_UNIT].bytes, "app.service");
}
END_TEST

START_TEST(metadata_does_not_wait_for_a_directory_service_that_does_not_answer) {
  begin(0);
  host.user_outcome = _i ? -ENOMEM : -EAGAIN;
  ck_assert_int_eq(read_all(), host.user_outcome);
  reader.takes_numbers = true;
  ck_assert_int_eq(read_all(), _i ? -ENOMEM : 0);
  ck_assert(_i || !strcmp(attributes.field[DENET_FIELD_USER].bytes, "7"));
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, all_fields_are_read_and_without_arguments_or_unit_there_are_texts_all_the_same,
            texts);
  ADD_TABLE(suite, outcome_decides_what_is_absent, outcomes);
  ADD_TABLE(suite, name_of_a_user_is_looked_up_once_in_a_while, ages);
  add_loop_case(suite, "names", metadata_does_not_wait_for_a_directory_service_that_does_not_answer,
                2);
}
