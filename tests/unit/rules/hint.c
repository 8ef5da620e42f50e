#include "core/rules/hint.h"

#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <string.h>

#define CANNOT "nothing matches it: "
#define PATH CANNOT "it is compared with the whole path, which begins with /; "
#define SUFFIX CANNOT "a unit ends in .service, .scope, .socket, .mount or .swap; "
#define NAME CANNOT "it is compared with the process's name, which has no path; "
#define TILDE                                                                                      \
  CANNOT                                                                                           \
  "nothing can be before the beginning ^, and this condition is a regular expression without ~; "

/* A line, and the warning behind its key and value; NULL if there is none. */
static const struct {
  struct denet_setting line;
  const char *hint;
} hints[] = {
    {STRING("Unit", "nginx"), SUFFIX "Unit \"nginx.service\" is probably meant"},
    {STRING("Unit", "*nginx"), SUFFIX "Unit \"*nginx.service\" is probably meant"},
    {STRING("Unit", "!nginx"),
     "it excludes nothing: a unit ends in .service, .scope, .socket, .mount or .swap; "
     "Unit \"!nginx.service\" is probably meant"},
    {STRING("Unit", "/system.slice/a.service"),
     CANNOT "the name of a unit has no /; Unit \"a.service\" is probably meant"},
    {STRING("Unit", "a.slice"),
     CANNOT "a slice is no unit of a process; Cgroup \"*/a.slice/*\" is probably meant"},
    {STRING("Unit", "nginx.service"), NULL},
    {STRING("Unit", "nginx*"), NULL},
    {STRING("Unit", "nginx.s*e"), NULL},
    {STRING("Unit", "*[ep]"), NULL},
    {STRING("Unit", "*.sc\\ope"), NULL},
    {STRING("Executable", "nginx"), PATH "Executable \"*/nginx\" is probably meant"},
    {STRING("Executable", "/usr/sbin/"),
     CANNOT "no path ends in /; Executable \"/usr/sbin/*\" is probably meant"},
    {STRING("Executable", "*/nginx"), NULL},
    {STRING("Executable", "[/]usr*"), NULL},
    {STRING("Cgroup", "system.slice/*"), PATH "Cgroup \"/system.slice/*\" is probably meant"},
    {STRING("Cgroup", "/"), NULL},
    {STRING("CommandLine", "~^x"), TILDE "CommandLine \"^x\" is probably meant"},
    {STRING("CommandLine", "~/x"), NULL},
    {STRING("Comm", "/usr/sbin/nginx"), NAME "Comm \"nginx\" is probably meant"},
    {STRING("Comm", "/usr/bin/some/systemd-journald"),
     NAME "Comm \"systemd-journal\" is probably meant"},
    {STRING("Comm", "/"), NULL},
    {STRING("Comm", "kworker/0:1"), NULL},
    {STRING("Comm", "kworker/R-evts"), NULL},
    {STRING("Comm", "kworker/0:0H-events_highpri"),
     CANNOT "ps(1) appends the work, the name of a kernel worker has none; Comm \"kworker/0:0H\" "
            "is probably meant"},
    {STRING("Comm", "(?i)nginx"),
     CANNOT "it is an exact name, and a regular expression begins with ~; Comm \"~inginx\" is "
            "probably meant"},
    {STRING("Comm", "[kthreadd]"),
     CANNOT "ps(1) adds the brackets, the process's name has none; Comm \"kthreadd\" is probably "
            "meant"},
    {STRING("PidFile", "/run/x/"), NULL},
};

START_TEST(condition_that_no_process_can_meet_is_a_warning_with_a_remedy) {
  DENET_CLEANUP(denet_rule_done) struct denet_rule rule;
  struct denet_error error = {""};
  const char *hint = hints[_i].hint;
  ck_assert_int_eq(denet_rule_init(&rule, "rule", &error), 0);
  ck_assert_int_eq(denet_rule_set(&rule, &hints[_i].line, &error), 0);
  ck_assert_uint_eq(rule.condition_count, 1);
  const char *found = hint ? strstr(error.text, hint) : NULL;
  ck_assert_str_eq(found ? found : error.text, hint ? hint : "");
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, condition_that_no_process_can_meet_is_a_warning_with_a_remedy, hints);
}
