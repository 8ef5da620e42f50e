/* Parses the texts of /proc, proc(5). Pure: text in, values out, no file is read. Any byte is
 * allowed. A number that is missing or does not fit 64 bits makes the value absent. */
#pragma once

#include "core/model/process.h"
#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Fields of /proc/PID/stat, by their numbers in proc(5). */
enum denet_stat_field {
  DENET_STAT_PARENT = 4,
  DENET_STAT_FLAGS = 9,
  DENET_STAT_CHILDREN_MINOR_FAULTS = 11, /* of children that were waited for; each has some */
  DENET_STAT_USER_TICKS = 14,
  DENET_STAT_SYSTEM_TICKS = 15,
  DENET_STAT_THREADS = 20,
  DENET_STAT_START_TICKS = 22,
  DENET_STAT_VM_BYTES = 23,
  DENET_STAT_START_CODE = 26,
  DENET_STAT_START_STACK = 28,
  DENET_STAT_EXIT_CODE = 52,
  DENET_STAT_FIELDS = 53
};

struct denet_stat {
  pid_t pid;
  char name[DENET_COMM_BYTES];
  char state;
  unsigned fields;                   /* fields 4 to fields - 1 were found */
  uint64_t field[DENET_STAT_FIELDS]; /* two's complement of a signed number */
};

/* Parses /proc/PID/stat. 0; -EINVAL if the text is not a stat line up to the start time at least.
 * The name may hold any byte, also ')' and newline: it is the text between the first '(' and the
 * last ')', cut at 15 bytes (a kernel worker's is longer). */
int denet_parse_stat(struct denet_text text, struct denet_stat *out_stat);

/* Finds field number index (from 1) in a line of numbers separated by blanks. */
bool denet_parse_field(struct denet_text text, unsigned index, uint64_t *out_value);

/* Finds the first number behind "key:" at the start of a line, as in /proc/PID/io and status, for
 * count keys. Bit i of the result says whether keys[i] was found and out_values[i] is set. */
uint64_t denet_parse_keys(struct denet_text text, const char *const *keys, unsigned count,
                          uint64_t *out_values);

/* Sums field number index (from 1, behind the colon) of /proc/PID/net/dev over all interfaces
 * except lo. False if the text has no interface with that field. */
bool denet_parse_net_dev(struct denet_text text, unsigned index, uint64_t *out_sum);

/* Finds the cgroup path in /proc/PID/cgroup, cgroups(7): that of the unified hierarchy (0::), or
 * that of systemd's hierarchy of version 1 (name=systemd) if the former is "/". Absent if the text
 * has neither. */
struct denet_text denet_parse_cgroup(struct denet_text text);

/* Returns /proc/PID/cmdline without the NULs at its end (setproctitle leaves many). */
struct denet_text denet_parse_arguments(struct denet_text text);

/* Takes the next argument off the front of what denet_parse_arguments() gave. False at the end. */
bool denet_parse_next_argument(struct denet_text *rest, struct denet_text *out_argument);
