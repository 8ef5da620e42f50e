#include "core/rules/regex.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <tre/tre.h>

struct denet_regex {
  regex_t compiled;
};

int denet_regex_new(const char *text, size_t *out_groups, struct denet_regex **out_regex) {
  DENET_FREE struct denet_regex *regex = calloc(1, sizeof(*regex));
  int status = regex ? tre_regcomp(&regex->compiled, text, REG_EXTENDED) : REG_ESPACE;
  if (status)
    return status == REG_ESPACE ? -ENOMEM : -EINVAL;
  if (tre_have_backrefs(&regex->compiled)) {
    tre_regfree(&regex->compiled);
    return -ENOTSUP;
  }
  *out_groups = regex->compiled.re_nsub;
  *out_regex = DENET_TAKE(regex);
  return 0;
}

void denet_regex_free(struct denet_regex *regex) {
  if (!regex)
    return;
  tre_regfree(&regex->compiled);
  free(regex);
}

bool denet_regex_finds(const struct denet_regex *regex, struct denet_text text,
                       enum denet_regex_edge edge, struct denet_captures *captures, size_t first) {
  static const int flags[] = {
      [DENET_REGEX_NO_START] = REG_NOTBOL, [DENET_REGEX_NO_END] = REG_NOTEOL};
  regmatch_t found[1 + DENET_CAPTURES];
  size_t wanted = captures ? DENET_COUNT_OF(found) : 0;
  if (tre_regnexec(&regex->compiled, text.bytes, text.length, wanted, found, flags[edge]))
    return false;
  size_t groups = captures ? regex->compiled.re_nsub : 0;
  for (size_t i = 0; i < groups && first + i < DENET_CAPTURES; i++) {
    const regmatch_t *group = &found[1 + i];
    struct denet_text absent = {0};
    struct denet_text view = {text.bytes + group->rm_so, (size_t)(group->rm_eo - group->rm_so)};
    captures->group[first + i] = group->rm_so < 0 ? absent : view;
  }
  return true;
}
