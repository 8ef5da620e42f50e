/* The arguments of a process, from /proc/PID/cmdline to the attribute of rules, to a safe name and
 * to the metadata line. A process may write any bytes there. */
#include "core/match/attributes.h"
#include "core/record/record.h"
#include "core/source/procfs/parse.h"
#include "core/util/name.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A source of which all texts are the same. */
struct one_text {
  struct denet_source source; /* first: the one is the other */
  struct denet_text text;
};

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_text text = ((struct one_text *)source)->text;
  denet_buffer_clear(out);
  return denet_buffer_append(out, text.bytes, text.length);
}

static void claim_arguments(struct denet_text text) {
  struct denet_text rest = text, argument;
  size_t count = 0, bytes = 0;
  while (denet_parse_next_argument(&rest, &argument)) {
    CLAIM(fuzz_is_within(argument, text));
    CLAIM(!memchr(argument.bytes, '\0', argument.length));
    count++;
    bytes += argument.length;
  }
  CLAIM(bytes + (count ? count - 1 : 0) == text.length);
}

/* White space at the end is left out, except the first byte. */
static void claim_command_line(struct denet_source *source, struct denet_text arguments) {
  struct denet_attributes_reader reader = {.source = source};
  struct denet_process process = {.pid = 42, .name = "fifteen letters"};
  struct denet_attributes attributes;
  unsigned fields = 1u << DENET_FIELD_COMMAND_LINE | 1u << DENET_FIELD_UNIT;
  CLAIM(denet_attributes_read(&reader, &process, fields, &attributes) == 0);
  struct denet_text line = attributes.field[DENET_FIELD_COMMAND_LINE];
  CLAIM(line.bytes[line.length] == '\0' && strlen(line.bytes) == line.length);
  CLAIM(arguments.length || !strcmp(line.bytes, "[fifteen letters]"));
  CLAIM(!arguments.length || (line.length > 0 && line.length <= arguments.length));
  for (size_t i = line.length; i < arguments.length; i++)
    CLAIM(arguments.bytes[i] == '\0' || strchr(" \t\n\v\f\r", arguments.bytes[i]));
  denet_attributes_reader_done(&reader);
}

static void claim_names(struct denet_text text) {
  denet_name safe, distinct[2];
  denet_name_safe(text, safe);
  denet_name_distinct(text, 0, distinct[0]);
  denet_name_distinct(text, 1, distinct[1]);
  CLAIM(fuzz_is_safe_name(safe) && fuzz_is_safe_name(distinct[0]));
  CLAIM(fuzz_is_safe_name(distinct[1]) && strcmp(distinct[0], distinct[1]) != 0);
}

static void claim_metadata(struct denet_source *source, struct denet_text arguments) {
  struct denet_record_origin origin = {.host = "host", .boot_id = "", .source = source};
  struct denet_active_rule active_rule = {.rule = {.name = (char *)"rule"}};
  struct denet_group group = {.name = "instance"};
  struct denet_tree tree = {.active_rule = &active_rule, .group = &group, .pid = 42};
  struct denet_json json = {0};
  struct denet_text line;
  CLAIM(denet_buffer_append(&tree.metadata.arguments, arguments.bytes, arguments.length) == 0);
  CLAIM(denet_buffer_append(&tree.metadata.executable, arguments.bytes, arguments.length) == 0);
  CLAIM(denet_record_metadata(&json, &origin, &tree, &line) == 0);
  CLAIM(fuzz_is_json_line(line));
  denet_buffer_done(&tree.metadata.arguments);
  denet_buffer_done(&tree.metadata.executable);
  denet_json_done(&json);
}

void fuzz_one(struct denet_text text) {
  struct denet_text arguments = denet_parse_arguments(text);
  struct one_text one = {{.name = "procfs", .read_text = read_text}, arguments};
  CLAIM(fuzz_is_within(arguments, text));
  CLAIM(!arguments.length || arguments.bytes[arguments.length - 1]);
  claim_arguments(arguments);
  claim_command_line(&one.source, arguments);
  claim_names(arguments);
  claim_metadata(&one.source, arguments);
}
