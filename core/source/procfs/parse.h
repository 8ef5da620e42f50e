/* The texts of /proc, proc(5), as values. Pure: text in, values out, any byte allowed, nothing is
 * read. Numbers that do not fit 64 bits, or are not there, make the value absent. */
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
  DENET_STAT_CHILDREN_MINOR_FAULTS = 11, /* of children waited for; each has some */
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
  unsigned fields;                   /* fields 4 .. fields-1 were there */
  uint64_t field[DENET_STAT_FIELDS]; /* two's complement where proc(5) has a signed one */
};

/* 0; -EINVAL when the text is not a stat line with at least its start time. The name may hold any
 * byte, ')' and newline included; it is what stands between the first '(' and the last ')', and cut
 * at 15 bytes (a kernel worker's may be longer). */
int denet_parse_stat(struct denet_text text, struct denet_stat *out_stat);

/* Field number index (from 1) of a line of numbers separated by blanks. */
bool denet_parse_field(struct denet_text text, unsigned index, uint64_t *out_value);

/* The first number behind "key:" at the start of a line, as in /proc/PID/io and status. Looks for
 * count keys at once; bit i of the result says whether out_values[i] was found. */
uint64_t denet_parse_keys(struct denet_text text, const char *const *keys, unsigned count,
                          uint64_t *out_values);

/* The sum of field number index (from 1, behind the colon) of /proc/PID/net/dev over every
 * interface but lo. False when the text has no interface table. */
bool denet_parse_net_dev(struct denet_text text, unsigned index, uint64_t *out_sum);

/* The cgroup path in /proc/PID/cgroup, cgroups(7): of the unified hierarchy (0::), unless that is
 * the root and there is systemd's own of version 1 (name=systemd). Absent when there is neither. */
struct denet_text denet_parse_cgroup(struct denet_text text);

/* /proc/PID/cmdline without the NULs at its end (setproctitle leaves many). */
struct denet_text denet_parse_arguments(struct denet_text text);

/* Takes the next argument off the front of what denet_parse_arguments() returned; false at the
 * end. */
bool denet_parse_next_argument(struct denet_text *rest, struct denet_text *out_argument);
