#include "core/rules/pattern.h"

#include "core/rules/regex.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define IGNORES_CASE "(?i)" /* at the head of a regex */

struct denet_pattern {
  enum denet_pattern_kind kind; /* DENET_PATTERN_REGEX for each regex */
  char *text;                   /* owned */
  struct denet_regex *regex;    /* owned; NULL for the other kinds */
  size_t groups;                /* of the regex; 0 for the other kinds */
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

/* Refuses text, which does not compile, and cuts it. head is the number of bytes before text in the
 * configuration. regcomp() does not tell where it stopped: the longest prefix that compiles ends
 * right before the error. */
static int refuse_regex(char *text, size_t head, const char *reason, struct denet_error *error) {
  regex_t regex;
  size_t length = strlen(text);
  do
    text[--length] = '\0';
  while (length > 0 && regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0);
  if (length > 0)
    regfree(&regex);
  return denet_error_set(error, -EINVAL, "%s at character %zu", reason, head + length + 1);
}

/* Compiles the text behind the head with the C library first, which is stricter than TRE and says
 * what is wrong. Cuts the text if it is refused. */
static int compile_regex(char *text, size_t head, bool ignores_case, struct denet_error *error,
                         struct denet_pattern *pattern) {
  regex_t regex;
  char reason[128];
  text += head;
  int status = regcomp(&regex, text, REG_EXTENDED);
  if (status == REG_ESPACE)
    return denet_error_set(error, -ENOMEM, "out of memory");
  if (status) {
    regerror(status, &regex, reason, sizeof(reason));
    return refuse_regex(text, head, reason, error);
  }
  regfree(&regex);
  const char *unmatched = find_unmatched(text);
  if (unmatched)
    return denet_error_set(error, -EINVAL, "Unmatched ) at character %zu",
                           head + (size_t)(unmatched - text) + 1);
  status = denet_regex_new(text, ignores_case, &pattern->groups, &pattern->regex);
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
  bool is_regex = kind == DENET_PATTERN_REGEX || kind == DENET_PATTERN_REGEX_ANY_CASE;
  size_t head =
      is_regex && !strncmp(text, IGNORES_CASE, strlen(IGNORES_CASE)) ? strlen(IGNORES_CASE) : 0;
  if (text[head] == '\0')
    return denet_error_set(error, -EINVAL, "Empty pattern at character %zu", head + 1);
  DENET_FREE struct denet_pattern *pattern = calloc(1, sizeof(*pattern));
  DENET_FREE char *copy = strdup(text);
  if (!pattern || !copy)
    return denet_error_set(error, -ENOMEM, "out of memory");
  int rc = 0;
  if (is_regex)
    rc = compile_regex(copy, head, head || kind == DENET_PATTERN_REGEX_ANY_CASE, error, pattern);
  if (kind == DENET_PATTERN_GLOB)
    rc = check_glob(copy, error);
  if (rc)
    return rc;
  pattern->kind = is_regex ? DENET_PATTERN_REGEX : kind;
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

const char *denet_pattern_literal(const struct denet_pattern *pattern) {
  bool is_glob = pattern->kind == DENET_PATTERN_GLOB;
  return pattern->regex || (is_glob && strpbrk(pattern->text, "*?[\\")) ? NULL : pattern->text;
}

size_t denet_pattern_groups(const struct denet_pattern *pattern) { return pattern->groups; }

/* Moves a group from the joined halves of a long text to the text. */
static void move_group(struct denet_text *group, const char *joined, struct denet_text text) {
  size_t half = DENET_PATTERN_TEXT / 2, gap = text.length - DENET_PATTERN_TEXT - 1;
  size_t start = (size_t)(group->bytes - joined), end = start + group->length;
  start += start > half ? gap : 0;
  end += end > half ? gap : 0;
  *group = (struct denet_text){text.bytes + start, end - start};
}

static bool find_regex(const struct denet_pattern *pattern, struct denet_text text,
                       struct denet_captures *captures, size_t first) {
  size_t half = DENET_PATTERN_TEXT / 2;
  char joined[DENET_PATTERN_TEXT + 1];
  text.length = strnlen(text.bytes, text.length);
  if (text.length <= DENET_PATTERN_TEXT)
    return denet_regex_finds(pattern->regex, text, captures, first);
  memcpy(joined, text.bytes, half);
  joined[half] = '\1';
  memcpy(joined + half + 1, text.bytes + text.length - half, half);
  struct denet_text halves = {joined, sizeof(joined)};
  if (!denet_regex_finds(pattern->regex, halves, captures, first))
    return false;
  size_t end = captures ? first + pattern->groups : 0;
  for (size_t i = first; i < end && i < DENET_CAPTURES; i++)
    if (captures->group[i].bytes)
      move_group(&captures->group[i], joined, text);
  return true;
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
  default:
    return find_regex(pattern, text, captures, first);
  }
}
