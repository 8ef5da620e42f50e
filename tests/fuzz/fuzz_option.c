/* Options as a table: every type, with limits. An input is lines "KEY VALUE", see setting.h. */
#include "core/rules/option.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/setting.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CANARY UINT64_C(0xcafecafecafecafe)
#define LEAST_SECONDS 0.1
#define MOST_SECONDS 86400

struct target {
  uint64_t before;
  uint64_t seconds, bytes, any_seconds, any_bytes;
  unsigned count, word, any_count;
  bool boolean;
  char *string;
  uint64_t after;
};

static const char *const words[] = {"off", "times", "stacks", NULL};

static const struct denet_option options[] = {
    {"Seconds", DENET_OPTION_SECONDS, offsetof(struct target, seconds), LEAST_SECONDS, MOST_SECONDS,
     NULL},
    {"Count", DENET_OPTION_COUNT, offsetof(struct target, count), 1, 100000, NULL},
    {"MebiBytes", DENET_OPTION_MEBIBYTES, offsetof(struct target, bytes), 1, 1048576, NULL},
    {"Boolean", DENET_OPTION_BOOLEAN, offsetof(struct target, boolean), 0, 0, NULL},
    {"String", DENET_OPTION_STRING, offsetof(struct target, string), 0, 0, NULL},
    {"Word", DENET_OPTION_WORD, offsetof(struct target, word), 0, 0, words},
    /* Limits that no field can hold. */
    {"AnySeconds", DENET_OPTION_SECONDS, offsetof(struct target, any_seconds), -INFINITY, INFINITY,
     NULL},
    {"AnyCount", DENET_OPTION_COUNT, offsetof(struct target, any_count), -INFINITY, INFINITY, NULL},
    {"AnyMebiBytes", DENET_OPTION_MEBIBYTES, offsetof(struct target, any_bytes), -INFINITY,
     INFINITY, NULL},
};

static void claim_target(const struct target *target) {
  CLAIM(target->before == CANARY && target->after == CANARY);
  CLAIM(target->seconds >= 100000000 && target->seconds <= UINT64_C(86400000000000));
  CLAIM(target->count >= 1 && target->count <= 100000);
  CLAIM(target->bytes >= 1 << 20 && target->bytes <= UINT64_C(1) << 40);
  CLAIM(target->word < 3);
  CLAIM(!target->string || target->string[0]);
}

static void claim_set(struct target *target, const struct denet_setting *setting) {
  struct target before = *target;
  size_t count = sizeof(options) / sizeof(options[0]);
  struct denet_error error = {""};
  int outcome = denet_option_set(options, count, target, setting, &error);
  CLAIM(outcome == 0 || !memcmp(&before, target, sizeof(before)));
  CLAIM((outcome < 0) == (error.text[0] != '\0'));
  CLAIM(outcome >= 0 || fuzz_is_sentence(error.text));
  claim_target(target);
}

void fuzz_one(struct denet_text rest) {
  struct denet_text line;
  struct target target;
  memset(&target, 0, sizeof(target)); /* its padding is compared, too */
  target.before = target.after = CANARY;
  target.seconds = 1000000000;
  target.count = 1;
  target.bytes = 1 << 20;
  while (fuzz_take_line(&rest, &line)) {
    struct denet_setting setting = fuzz_setting_read(line);
    claim_set(&target, &setting);
    fuzz_setting_done(&setting);
  }
  free(target.string);
}
