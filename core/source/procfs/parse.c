#include "core/source/procfs/parse.h"

#include "core/source/source.h"

#include <errno.h>
#include <string.h>

/* Takes a decimal number, which may have a sign and blanks before it, off the front of rest. */
static bool take_number(struct denet_text *rest, uint64_t *out_value) {
  const char *at = rest->bytes, *end = rest->bytes + rest->length;
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  bool negative = at < end && *at == '-';
  at += negative;
  const char *first = at;
  uint64_t value = 0;
  for (; at < end && *at >= '0' && *at <= '9'; at++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
      return false;
  if (at == first)
    return false;
  *rest = (struct denet_text){at, (size_t)(end - at)};
  *out_value = negative ? -value : value;
  return true;
}

static struct denet_text text_after(struct denet_text text, size_t skipped) {
  return (struct denet_text){text.bytes + skipped, text.length - skipped};
}

/* Takes the text until the next byte `end`, or all, off the front of rest, and that byte too. */
static bool take_until(struct denet_text *rest, char end, struct denet_text *out_text) {
  if (!rest->length)
    return false;
  const char *found = memchr(rest->bytes, end, rest->length);
  size_t length = found ? (size_t)(found - rest->bytes) : rest->length;
  *out_text = (struct denet_text){rest->bytes, length};
  *rest = text_after(*rest, length + (found != NULL));
  return true;
}

static bool equals(struct denet_text text, const char *string) {
  size_t length = strlen(string);
  return text.length == length && !memcmp(text.bytes, string, length);
}

/* Takes the work off the name of a kernel worker: "kworker/0:1-events" is "kworker/0:1", as in the
 * kernel. /proc appends the latest work, after '+' while it runs (wq_worker_comm,
 * kernel/workqueue.c). The name of a rescuer, "kworker/R-QUEUE", may have a '-' and stays. */
static void take_work_off(struct denet_stat *stat) {
  static const char prefix[] = "kworker/";
  const char *id = stat->name + strlen(prefix);
  if (stat->field[DENET_STAT_FLAGS] & PF_WQ_WORKER &&
      !strncmp(stat->name, prefix, strlen(prefix)) && *id != 'R')
    stat->name[strcspn(stat->name, "+-")] = '\0';
}

int denet_parse_stat(struct denet_text text, struct denet_stat *out_stat) {
  struct denet_stat stat = {.fields = DENET_STAT_PARENT};
  struct denet_text rest = text;
  uint64_t pid;
  if (!text.bytes || !take_number(&rest, &pid) || pid == 0 || pid > INT32_MAX)
    return -EINVAL;
  stat.pid = (pid_t)pid;
  const char *open = memchr(text.bytes, '(', text.length);
  const char *close = memrchr(text.bytes, ')', text.length);
  if (!open || !close || close < open)
    return -EINVAL;
  size_t length = (size_t)(close - open - 1);
  memcpy(stat.name, open + 1, length < sizeof(stat.name) ? length : sizeof(stat.name) - 1);
  rest = text_after(text, (size_t)(close + 1 - text.bytes));
  if (rest.length < 2 || rest.bytes[0] != ' ')
    return -EINVAL;
  stat.state = rest.bytes[1];
  rest = text_after(rest, 2);
  while (stat.fields < DENET_STAT_FIELDS && take_number(&rest, &stat.field[stat.fields]))
    stat.fields++;
  if (stat.fields <= DENET_STAT_START_TICKS)
    return -EINVAL;
  take_work_off(&stat);
  *out_stat = stat;
  return 0;
}

bool denet_parse_field(struct denet_text text, unsigned index, uint64_t *out_value) {
  uint64_t value = 0;
  for (unsigned i = 0; i < index; i++)
    if (!take_number(&text, &value))
      return false;
  if (index > 0)
    *out_value = value;
  return index > 0;
}

uint64_t denet_parse_keys(struct denet_text text, const char *const *keys, unsigned count,
                          uint64_t *out_values) {
  uint64_t found = 0;
  struct denet_text line, key;
  while (take_until(&text, '\n', &line)) {
    if (!take_until(&line, ':', &key))
      continue;
    for (unsigned i = 0; i < count; i++) {
      struct denet_text rest = line;
      if (equals(key, keys[i]) && take_number(&rest, &out_values[i]))
        found |= UINT64_C(1) << i;
    }
  }
  return found;
}

bool denet_parse_net_dev(struct denet_text text, unsigned index, uint64_t *out_sum) {
  uint64_t sum = 0, value;
  bool is_table = false;
  struct denet_text line, name;
  while (take_until(&text, '\n', &line)) {
    if (!take_until(&line, ':', &name) || !denet_parse_field(line, index, &value))
      continue;
    while (name.length && name.bytes[0] == ' ')
      name = text_after(name, 1);
    is_table = true;
    sum += equals(name, "lo") ? 0 : value;
  }
  if (is_table)
    *out_sum = sum;
  return is_table;
}

struct denet_text denet_parse_cgroup(struct denet_text text) {
  struct denet_text unified = {0}, systemd = {0}, line, id, controllers;
  while (take_until(&text, '\n', &line)) {
    if (!take_until(&line, ':', &id) || !take_until(&line, ':', &controllers))
      continue;
    if (equals(id, "0") && !controllers.length)
      unified = line;
    if (equals(controllers, "name=systemd"))
      systemd = line;
  }
  bool is_below_root = unified.bytes && unified.length > strlen("/");
  return is_below_root || !systemd.bytes ? unified : systemd;
}

struct denet_text denet_parse_arguments(struct denet_text text) {
  while (text.length && text.bytes[text.length - 1] == '\0')
    text.length--;
  return text;
}

bool denet_parse_next_argument(struct denet_text *rest, struct denet_text *out_argument) {
  return take_until(rest, '\0', out_argument);
}
