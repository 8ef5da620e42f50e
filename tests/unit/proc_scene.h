/* A /proc that is written once for all ticks and entered quickly: a folder for each process and
 * tick, and a /proc with symbolic links to those of one tick. */
#pragma once

#include "tests/unit/proc_writer.h"

#include <stdarg.h>

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

/* Returns the number from which all counters of a process or thread are derived. */
static inline unsigned proc_amount(const struct fake *fake, unsigned tick) {
  if (fake->state == 'Z')
    tick = fake->first;
  return fake->is_still ? 0 : 10 * (unsigned)fake->pid + tick;
}

/* Passes a line to the writer. It stays until 128 more have come. */
__attribute__((format(printf, 2, 3))) static inline void proc_line(struct proc_writer *writer,
                                                                   const char *format, ...) {
  static char lines[128][512];
  static unsigned count;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(lines[++count % 128], sizeof(lines[0]), format, arguments);
  va_end(arguments);
  ck_assert(proc_writer_read(writer, lines[count % 128]));
}

#define PROC_IO "rchar=%u wchar=%u read_bytes=%u write_bytes=%u"
#define PROC_IO_VALUES(n) (n), (n)*2, (n)*4, (n)*8

/* Adds a process as it is in a tick. Its threads have the same counters, except I/O. */
static inline void proc_add(struct proc_writer *writer, const struct fake *fake, unsigned tick) {
  unsigned amount = proc_amount(fake, tick), threads = fake->has_second + 1u;
  unsigned network = tick < 3 ? tick : 3; /* so that it does not change when new ones appear */
  int pid = fake->pid;
  char command[128] = "", *end = command;
  for (const char *at = fake->command; *at; at++)
    end = *at == ' ' ? stpcpy(end, "\\0") : stpncpy(end, at, 1);
  proc_line(writer, "process %d ppid=%d comm=%s cmdline=\"%s\\0\" exe=%s cgroup=%s uid=7 state=%c",
            pid, (int)fake->parent, fake->name, command, fake->executable, fake->cgroup,
            fake->state);
  proc_line(writer, "process %d starttime=%u startstack=%u exit_code=%u num_threads=%u cminflt=%d",
            pid, fake->start_ticks, fake->stack, fake->exit_code, threads, fake->has_reaped);
  proc_line(writer, "process %d utime=%u stime=%u minflt=%u processor=1 rss=%d", pid, amount,
            amount / 2, amount * 7, 100 + pid);
  proc_line(writer,
            "process %d run_ns=%u wait_ns=%u voluntary_ctxt_switches=%u "
            "nonvoluntary_ctxt_switches=%u " PROC_IO,
            pid, amount * 1000000, amount * 1000, amount * 100, amount * 10,
            PROC_IO_VALUES(threads * amount * 100));
  if (fake->state != 'Z')
    proc_line(writer, "process %d net=\"eth0:%u/%u\"", pid, network * 1000, network * 2000);
  for (unsigned i = 0; i < threads; i++)
    proc_line(writer, "thread %d/%d " PROC_IO, pid, pid + 5 * (int)i, PROC_IO_VALUES(amount * 100));
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
    struct proc_writer writer = {0};
    proc_path folder;
    char name[16];
    snprintf(name, sizeof(name), "tick%u", tick);
    proc_make(scene->top, name);
    for (size_t i = 0; i < count; i++)
      if (proc_shows(&fakes[i], tick))
        proc_add(&writer, &fakes[i], tick);
    proc_writer_write(&writer, proc_join(scene->top, name, folder));
  }
}

static inline void proc_end(struct proc_scene *scene) {
  nftw(scene->top, proc_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
