/* Writes a /proc from lines of text. A line is one of
 *
 *   process PID KEY=VALUE ...       a process begins, or the named keys of one change
 *   thread PID/TID KEY=VALUE ...    likewise; a key that is not named is that of the process
 *   gone PID | PID/TID              it does not exist any more
 *   boot_id TEXT                    the content of sys/kernel/random/boot_id
 *
 * The keys are fields of proc(5) and what proc_writer.c adds; its table has their defaults. A
 * process in state Z has no memory, no command line and no executable, as in the kernel; its other
 * threads live on. Process 1 always exists. VALUE has no blanks, or stands in quotes with the
 * escapes of C. */
#pragma once

#include "core/util/buffer.h"
#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define PROC_KEYS 33

/* A process, or a thread of one. */
struct proc_entry {
  char id[16];
  const struct proc_entry *process;    /* of a thread */
  struct denet_text values[PROC_KEYS]; /* borrowed from the lines; bytes is NULL: not named */
  bool is_gone;
};

/* Zero is the start. The entries refer to each other: do not copy. */
struct proc_writer {
  struct proc_entry entries[40];
  size_t count;
  const char *boot_id;
};

/* Takes the next word off the front of *rest, up to a blank outside of quotes, and ends it with a
 * NUL. Returns false at the end of the line. */
bool proc_next_word(char **rest, struct denet_text *out);

/* Reads a line, in which words are ended and escapes replaced in place; it has to stay. Returns
 * false if it is another kind of line, then unchanged. */
bool proc_writer_read(struct proc_writer *writer, char *line);

/* Writes all files below folder, after removing what is there. The folder itself stays. */
void proc_writer_write(struct proc_writer *writer, const char *folder);

/* --- Files --- */

typedef char proc_path[160];

static inline const char *proc_join(const char *folder, const char *name, proc_path out) {
  int length = snprintf(out, sizeof(proc_path), "%s/%s", folder, name);
  ck_assert_int_lt(length, (int)sizeof(proc_path));
  return out;
}

static inline void proc_write(const char *folder, const char *name, const char *text,
                              size_t length) {
  proc_path path;
  DENET_CLOSE int fd = open(proc_join(folder, name, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ck_assert_msg(fd >= 0, "%s: %m", path);
  ck_assert_int_eq(write(fd, text, length), (ssize_t)length);
}

static inline void proc_make(const char *folder, const char *name) {
  proc_path path;
  ck_assert_int_eq(mkdir(proc_join(folder, name, path), 0700), 0);
}

#define PROC_PRINT(folder, name, ...)                                                              \
  do {                                                                                             \
    char text_[1024];                                                                              \
    size_t length_ = (size_t)snprintf(text_, sizeof(text_), __VA_ARGS__);                          \
    proc_write(folder, name, text_, length_);                                                      \
  } while (0)

static inline int proc_remove_entry(const char *path, const struct stat *status, int type,
                                    struct FTW *walk) {
  return remove(path);
}
