/* A /proc that is written once for all ticks and entered quickly: a folder for each process and
 * tick, and a /proc with symbolic links to those of one tick. */
#pragma once

#include "core/util/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* A process from its first tick to its last one. A later row with the same pid continues it. */
struct fake {
  unsigned first, last; /* ticks, from 1 */
  pid_t pid, parent;
  const char *name, *command; /* in command each blank ends an argument */
  const char *executable, *cgroup;
  unsigned start_ticks, stack; /* stack changes with each exec */
  char state;
  unsigned exit_code;
  bool has_second; /* a second thread, with tid pid + 5 */
  bool has_reaped;
  bool is_still; /* all counters are 0 */
};

struct proc_scene {
  char top[64];
  char proc[80]; /* <top>/proc */
  const struct fake *fakes;
  size_t count;
  unsigned tick;  /* shown in /proc; 0: none */
  pid_t vanished; /* the process that is hidden from now on; or 0 */
};

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
    proc_write(folder, name, text_, (size_t)snprintf(text_, sizeof(text_), __VA_ARGS__));          \
  } while (0)

/* Returns the number from which all counters of a process or thread are derived. */
static inline unsigned proc_amount(const struct fake *fake, unsigned tick) {
  if (fake->state == 'Z')
    tick = fake->first;
  return fake->is_still ? 0 : 10 * (unsigned)fake->pid + tick;
}

static inline void proc_write_counts(const char *folder, const struct fake *fake, unsigned tick,
                                     unsigned parts) {
  unsigned amount = proc_amount(fake, tick) * 100;
  PROC_PRINT(folder, "status",
             "Name:\t%s\nPid:\t%d\nUid:\t7\t7\t7\t7\nvoluntary_ctxt_switches:\t%u\n"
             "nonvoluntary_ctxt_switches:\t%u\n",
             fake->name, (int)fake->pid, amount, amount / 10);
  PROC_PRINT(folder, "io",
             "rchar: %u\nwchar: %u\nsyscr: %u\nsyscw: %u\nread_bytes: %u\nwrite_bytes: %u\n"
             "cancelled_write_bytes: 0\n",
             parts * amount, parts * amount * 2, parts * amount / 10, parts * amount / 5,
             parts * amount * 4, parts * amount * 8);
}

static inline void proc_write_stat(const char *folder, const struct fake *fake, unsigned tick) {
  unsigned amount = proc_amount(fake, tick), bytes = fake->state == 'Z' ? 0 : 4096000;
  PROC_PRINT(folder, "stat",
             "%d (%s) %c %d 1 1 0 -1 4194304 %u %u 0 0 %u %u 0 0 20 0 %u 0 %u %u 100 1844674 "
             "4194304 4198400 %u 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 %u\n",
             (int)fake->pid, fake->name, fake->state, (int)fake->parent, amount * 7,
             fake->has_reaped, amount, amount / 2, fake->has_second + 1u, fake->start_ticks, bytes,
             fake->stack, fake->exit_code);
}

static inline void proc_write_thread(const char *tasks, const struct fake *fake, unsigned tick,
                                     pid_t tid) {
  proc_path folder;
  char name[16];
  unsigned amount = proc_amount(fake, tick);
  snprintf(name, sizeof(name), "%d", (int)tid);
  proc_make(tasks, name);
  proc_join(tasks, name, folder);
  proc_write_counts(folder, fake, tick, 1);
  proc_write_stat(folder, fake, tick);
  PROC_PRINT(folder, "schedstat", "%u %u %u\n", amount * 1000000, amount * 1000, amount);
}

static inline void proc_write_texts(const char *folder, const struct fake *fake) {
  proc_path path;
  char command[256];
  size_t length = strlen(fake->command) + 1;
  memcpy(command, fake->command, length);
  for (size_t i = 0; i < length; i++)
    command[i] = command[i] == ' ' ? '\0' : command[i];
  proc_write(folder, "cmdline", command, length);
  PROC_PRINT(folder, "cgroup", "0::%s\n", fake->cgroup);
  ck_assert_int_eq(symlink(fake->executable, proc_join(folder, "exe", path)), 0);
  proc_make(folder, "ns");
  if (fake->state != 'Z')
    ck_assert_int_eq(symlink("net:[4026531840]", proc_join(folder, "ns/net", path)), 0);
  proc_make(folder, "net");
}

static inline void proc_write_process(const char *tick_folder, const struct fake *fake,
                                      unsigned tick) {
  proc_path folder, tasks;
  char name[16];
  /* Network counters begin with the first sample, so they do not change when new ones appear. */
  unsigned network = tick < 3 ? tick : 3;
  snprintf(name, sizeof(name), "%d", (int)fake->pid);
  proc_make(tick_folder, name);
  proc_join(tick_folder, name, folder);
  proc_write_stat(folder, fake, tick);
  if (fake->state == 'Z')
    PROC_PRINT(folder, "statm", "0 0 0 0 0 0 0\n");
  else
    PROC_PRINT(folder, "statm", "1000 %d 50 10 0 80 0\n", 100 + (int)fake->pid);
  proc_write_counts(folder, fake, tick, fake->has_second + 1);
  proc_write_texts(folder, fake);
  PROC_PRINT(folder, "net/dev",
             "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame "
             "compressed multicast|bytes    packets\n  eth0:  %u 9 0 0 0 0 0 0 %u 9 0 0 0 0 0 0\n",
             network * 1000, network * 2000);
  proc_make(folder, "task");
  proc_join(folder, "task", tasks);
  proc_write_thread(tasks, fake, tick, fake->pid);
  if (fake->has_second)
    proc_write_thread(tasks, fake, tick, fake->pid + 5);
}

static inline bool proc_shows(const struct fake *fake, unsigned tick) {
  return fake->first <= tick && tick <= fake->last;
}

/* Shows another tick; 0: nothing. Asserts nothing, as it is called while calls fail. */
static inline void proc_enter(struct proc_scene *scene, unsigned tick) {
  for (size_t i = 0; i < scene->count; i++) {
    proc_path link;
    snprintf(link, sizeof(link), "%s/%d", scene->proc, (int)scene->fakes[i].pid);
    if (proc_shows(&scene->fakes[i], scene->tick))
      unlink(link);
  }
  for (size_t i = 0; i < scene->count; i++) {
    proc_path link, target;
    const struct fake *fake = &scene->fakes[i];
    snprintf(link, sizeof(link), "%s/%d", scene->proc, (int)fake->pid);
    snprintf(target, sizeof(target), "%s/tick%u/%d", scene->top, tick, (int)fake->pid);
    bool is_shown = proc_shows(fake, tick) && fake->pid != scene->vanished;
    if (is_shown && symlink(target, link))
      abort();
  }
  scene->tick = tick;
}

/* Hides a process in the middle of a tick, for good. */
static inline void proc_vanish(struct proc_scene *scene, pid_t pid) {
  proc_path link;
  scene->vanished = pid;
  snprintf(link, sizeof(link), "%s/%d", scene->proc, (int)pid);
  unlink(link);
}

static inline void proc_begin(struct proc_scene *scene, const struct fake *fakes, size_t count,
                              unsigned ticks) {
  *scene = (struct proc_scene){.fakes = fakes, .count = count};
  /* In memory if possible: a tick is entered many thousand times. */
  bool has_memory = !access("/dev/shm", W_OK);
  strcpy(scene->top, has_memory ? "/dev/shm/denet-proc-XXXXXX" : "/tmp/denet-proc-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(scene->top));
  snprintf(scene->proc, sizeof(scene->proc), "%s/proc", scene->top);
  proc_make(scene->top, "proc");
  for (unsigned tick = 1; tick <= ticks; tick++) {
    proc_path folder;
    char name[16];
    snprintf(name, sizeof(name), "tick%u", tick);
    proc_make(scene->top, name);
    proc_join(scene->top, name, folder);
    for (size_t i = 0; i < count; i++)
      if (proc_shows(&fakes[i], tick))
        proc_write_process(folder, &fakes[i], tick);
  }
}

static inline int proc_remove_entry(const char *path, const struct stat *status, int type,
                                    struct FTW *walk) {
  (void)status;
  (void)type;
  (void)walk;
  return remove(path);
}

static inline void proc_end(struct proc_scene *scene) {
  nftw(scene->top, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
