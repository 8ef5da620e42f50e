#include "core/rules/hint.h"

#include "core/model/process.h"

#include <string.h>

#define WILDCARDS "*?[]\\"

static bool ends(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Returns whether a text that ends like a unit can match the glob. */
static bool can_match_unit(const char *glob) {
  const char *tail = glob + strlen(glob);
  while (tail > glob && !strchr(WILDCARDS, tail[-1]))
    tail--;
  for (const char *const *suffix = denet_unit_suffixes; *suffix; suffix++)
    if (ends(tail, *suffix) || (tail > glob && ends(*suffix, tail)))
      return true;
  return false;
}

/* Returns the work in the name of a kernel worker, which ps(1) shows and the kernel's name does not
 * have: "-events" of "kworker/0:1-events"; NULL: there is none. */
static const char *find_work(const char *name) {
  static const char prefix[] = "kworker/";
  const char *id = name + strlen(prefix);
  return strncmp(name, prefix, strlen(prefix)) != 0 || *id == 'R' ? NULL : strpbrk(id, "+-");
}

void denet_hint_write(const struct denet_condition *condition, enum denet_pattern_kind kind,
                      const struct denet_setting *setting, struct denet_error *error) {
  enum denet_field field = condition->field;
  const char *text = setting->string, *slash = strrchr(text, '/');
  const char *reason = NULL, *key = setting->key, *before = "", *after = "";
  int length = (int)strnlen(text, 100); /* of what was meant, as far as it is shown */
  bool is_unit = field == DENET_FIELD_UNIT && kind == DENET_PATTERN_GLOB;
  bool is_path = field == DENET_FIELD_EXECUTABLE || field == DENET_FIELD_CGROUP;
  bool is_name = field == DENET_FIELD_COMM && kind == DENET_PATTERN_EXACT;
  if (field == DENET_FIELD_COMMAND_LINE && !strncmp(text, "~^", 2)) {
    reason = "nothing can be before the beginning ^, and this condition is a regular expression "
             "without ~";
    text++;
    length--;
  } else if (is_name && text[0] == '/') {
    reason = "it is compared with the process's name, which has no path";
    text = slash + 1;
    length = (int)strnlen(text, DENET_COMM_BYTES - 1);
  } else if (is_name && !strncmp(text, "(?i)", strlen("(?i)"))) {
    reason = "it is an exact name, and a regular expression begins with ~";
    before = "~i";
    text += strlen("(?i)");
    length = (int)strnlen(text, 100);
  } else if (is_name && find_work(text)) {
    reason = "ps(1) appends the work, the name of a kernel worker has none";
    length = (int)(find_work(text) - text);
  } else if (is_name && text[0] == '[' && ends(text, "]")) {
    reason = "ps(1) adds the brackets, the process's name has none";
    text++;
    length -= 2;
  } else if (is_path && kind == DENET_PATTERN_GLOB && !strchr("/" WILDCARDS, text[0])) {
    reason = "it is compared with the whole path, which begins with /";
    before = field == DENET_FIELD_CGROUP ? "/" : "*/";
  } else if (is_path && kind == DENET_PATTERN_GLOB && slash > text && !slash[1]) {
    reason = "no path ends in /";
    after = "*";
  } else if (is_unit && ends(text, ".slice")) {
    reason = "a slice is no unit of a process";
    key = "Cgroup";
    before = text[0] == '/' ? "" : "*/";
    after = "/*";
  } else if (is_unit && (slash || !can_match_unit(text))) {
    reason = slash ? "the name of a unit has no /"
                   : "a unit ends in .service, .scope, .socket, .mount or .swap";
    text = slash ? slash + 1 : text;
    length = (int)strnlen(text, 100);
    after = can_match_unit(text) ? "" : ".service";
  }
  if (reason && length > 0)
    denet_setting_refuse(setting, error, "%s: %s; %s \"%s%s%.*s%s\" is probably meant",
                         condition->negated ? "it excludes nothing" : "nothing matches it", reason,
                         key, condition->negated ? "!" : "", before, length, text, after);
}
