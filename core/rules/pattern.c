#include "core/rules/pattern.h"

#include "core/rules/regex.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct denet_pattern {
  enum denet_pattern_kind kind;
  char *text;                /* owned */
  struct denet_regex *regex; /* owned; NULL for the other kinds */
  size_t groups;             /* of the regex; 0 for the other kinds */
};

/* Returns the end of a [:class:], [.symbol.] or [=equivalence=] inside brackets; NULL if text,
 * which starts with '[', is none of them. */
static const char *skip_bracket_class(const char *text) {
  const char closing[] = {text[1], ']', '\0'};
  if (text[1] == ':') {
    const char *end = text + 2 + strspn(text + 2, "abcdefghijklmnopqrstuvwxyz");
    return strncmp(end, closing, 2) == 0 ? end + 2 : NULL;
  }
  if (text[1] != '.' && text[1] != '=')
    return NULL;
  const char *end = strstr(text + 2, closing);
  return end ? end + 2 : NULL;
}

/* Returns the byte behind the ']' that closes the '[' at text; NULL if there is none. In a glob '!'
 * may stand for '^', and a backslash escapes the next byte. */
static const char *skip_bracket(const char *text, bool is_glob) {
  const char *cursor = text + 1;
  if (*cursor == '^' || (is_glob && *cursor == '!'))
    cursor++;
  /* A ']' in the first place is a member, not the end. */
  for (const char *first = cursor; *cursor != '\0'; cursor++) {
    if (*cursor == ']' && cursor != first)
      return cursor + 1;
    const char *end = *cursor == '[' ? skip_bracket_class(cursor) : NULL;
    if (end)
      cursor = end - 1;
    else if (is_glob && *cursor == '\\' && cursor[1] != '\0')
      cursor++;
  }
  return NULL;
}

/* Returns the first ')' without a '(' in text, which compiles, or NULL. The C library takes it for
 * an ordinary character; TRE allocates memory without end for some ("\\\\)"). */
static const char *find_unmatched(const char *text) {
  size_t depth = 0;
  while (*text) {
    if (*text == ')' && depth-- == 0)
      return text;
    depth += *text == '(';
    if (*text == '[')
      text = skip_bracket(text, false);
    else
      text += *text == '\\' ? 2 : 1;
    if (!text)
      break;
  }
  return NULL;
}

/* Refuses text, which does not compile, and cuts it. regcomp() does not tell where it stopped: the
 * longest prefix that compiles ends right before the error. */
static int refuse_regex(char *text, const char *reason, struct denet_error *error) {
  regex_t regex;
  size_t length = strlen(text);
  do
    text[--length] = '\0';
  while (length > 0 && regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0);
  if (length > 0)
    regfree(&regex);
  return denet_error_set(error, -EINVAL, "%s at character %zu", reason, length + 1);
}

/* Compiles the text with the C library first, which is stricter than TRE and says what is wrong.
 * Cuts the text if it is refused. */
static int compile_regex(char *text, struct denet_error *error, struct denet_pattern *pattern) {
  regex_t regex;
  char reason[128];
  int status = regcomp(&regex, text, REG_EXTENDED);
  if (status == REG_ESPACE)
    return denet_error_set(error, -ENOMEM, "out of memory");
  if (status) {
    regerror(status, &regex, reason, sizeof(reason));
    return refuse_regex(text, reason, error);
  }
  regfree(&regex);
  const char *unmatched = find_unmatched(text);
  if (unmatched)
    return denet_error_set(error, -EINVAL, "Unmatched ) at character %zu",
                           (size_t)(unmatched - text) + 1);
  status = denet_regex_new(text, &pattern->groups, &pattern->regex);
  if (status == -ENOMEM)
    return denet_error_set(error, -ENOMEM, "out of memory");
  if (status == -ENOTSUP)
    return denet_error_set(error, -EINVAL, "A reference back to a group, such as \\1");
  return status ? denet_error_set(error, -EINVAL, "A regular expression that is not supported") : 0;
}

/* fnmatch() takes a wrong glob literally or never matches it, which would hide a typing error. */
static int check_glob(const char *text, struct denet_error *error) {
  const char *next;
  for (const char *cursor = text; *cursor != '\0'; cursor = next) {
    next = *cursor == '[' ? skip_bracket(cursor, true) : cursor + 1;
    if (*cursor == '\\')
      next = cursor[1] != '\0' ? cursor + 2 : NULL;
    if (!next)
      return denet_error_set(error, -EINVAL, "%s at character %zu",
                             *cursor == '[' ? "Unclosed [" : "Nothing behind \\",
                             (size_t)(cursor - text) + 1);
  }
  return 0;
}

int denet_pattern_new(enum denet_pattern_kind kind, const char *text, struct denet_error *error,
                      struct denet_pattern **out_pattern) {
  if (text[0] == '\0')
    return denet_error_set(error, -EINVAL, "Empty pattern at character 1");
  DENET_FREE struct denet_pattern *pattern = calloc(1, sizeof(*pattern));
  DENET_FREE char *copy = strdup(text);
  if (!pattern || !copy)
    return denet_error_set(error, -ENOMEM, "out of memory");
  int rc = 0;
  if (kind == DENET_PATTERN_REGEX)
    rc = compile_regex(copy, error, pattern);
  if (kind == DENET_PATTERN_GLOB)
    rc = check_glob(copy, error);
  if (rc)
    return rc;
  pattern->kind = kind;
  pattern->text = DENET_TAKE(copy);
  *out_pattern = DENET_TAKE(pattern);
  return 0;
}

void denet_pattern_free(struct denet_pattern *pattern) {
  if (!pattern)
    return;
  denet_regex_free(pattern->regex);
  free(pattern->text);
  free(pattern);
}

size_t denet_pattern_groups(const struct denet_pattern *pattern) { return pattern->groups; }

/* Searches a long text at its beginning and at its end. */
static bool find_regex(const struct denet_regex *regex, struct denet_text text,
                       struct denet_captures *captures, size_t first) {
  size_t length = strnlen(text.bytes, text.length), half = DENET_PATTERN_TEXT / 2;
  struct denet_text whole = {text.bytes, length}, start = {text.bytes, half};
  if (length <= DENET_PATTERN_TEXT)
    return denet_regex_finds(regex, whole, DENET_REGEX_WHOLE, captures, first);
  struct denet_text end = {text.bytes + length - half, half};
  return denet_regex_finds(regex, start, DENET_REGEX_NO_END, captures, first) ||
         denet_regex_finds(regex, end, DENET_REGEX_NO_START, captures, first);
}

bool denet_pattern_matches(const struct denet_pattern *pattern, struct denet_text text,
                           struct denet_captures *captures, size_t first) {
  if (!text.bytes)
    return false;
  switch (pattern->kind) {
  case DENET_PATTERN_EXACT:
    return strcmp(pattern->text, text.bytes) == 0;
  case DENET_PATTERN_GLOB:
    return fnmatch(pattern->text, text.bytes, 0) == 0;
  case DENET_PATTERN_REGEX:
    return find_regex(pattern->regex, text, captures, first);
  }
  return false;
}
