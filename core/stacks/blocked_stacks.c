#include "core/stacks/blocked_stacks.h"

#include "core/stacks/unwind/x86_64.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* A blocked thread is asked for in each tick, 10 s apart at most. */
#define STALE_NS UINT64_C(20000000000)

struct thread_entry {
  struct denet_blocked_interval interval;
  uint64_t asked_ns;
  struct denet_frames *frames; /* one reference */
};

struct denet_blocked_stacks {
  char *proc_path;
  size_t stack_bytes;
  struct thread_entry *threads; /* by tid, one for each; owned */
  size_t count, capacity;
  struct denet_buffer stack;
};

struct denet_blocked_stacks *denet_blocked_stacks_new(const char *proc_path, size_t stack_bytes) {
  struct denet_blocked_stacks *blocked = calloc(1, sizeof(*blocked));
  if (!blocked)
    return NULL;
  blocked->stack_bytes = stack_bytes;
  blocked->proc_path = strdup(proc_path);
  if (blocked->proc_path && !denet_buffer_reserve(&blocked->stack, stack_bytes))
    return blocked;
  denet_blocked_stacks_free(blocked);
  return NULL;
}

/* Removes the threads that were not asked for since before_ns: they have exited, or were on their
 * CPUs in between. */
static void remove_stale(struct denet_blocked_stacks *blocked, uint64_t before_ns) {
  size_t kept = 0;
  for (size_t i = 0; i < blocked->count; i++)
    if (blocked->threads[i].asked_ns >= before_ns)
      blocked->threads[kept++] = blocked->threads[i];
    else
      denet_frames_release(blocked->threads[i].frames);
  blocked->count = kept;
}

void denet_blocked_stacks_close(struct denet_blocked_stacks *blocked, pid_t pid,
                                uint64_t start_ns) {
  for (size_t i = 0; i < blocked->count; i++)
    if (blocked->threads[i].interval.pid == pid &&
        blocked->threads[i].interval.start_ns == start_ns)
      blocked->threads[i].asked_ns = 0;
  remove_stale(blocked, 1);
}

void denet_blocked_stacks_free(struct denet_blocked_stacks *blocked) {
  if (!blocked)
    return;
  remove_stale(blocked, UINT64_MAX);
  free(blocked->threads);
  denet_buffer_done(&blocked->stack);
  free(blocked->proc_path);
  free(blocked);
}

static int compare_tids(const void *item, const void *key) {
  const struct thread_entry *entry = item;
  pid_t tid = *(const pid_t *)key;
  return entry->interval.tid < tid ? -1 : entry->interval.tid > tid;
}

/* Returns the index of the thread's entry, or of where it would be; *out_is_there says which. */
static size_t find_entry(const struct denet_blocked_stacks *blocked, pid_t tid,
                         bool *out_is_there) {
  size_t at = denet_array_lower_bound(blocked->threads, blocked->count, sizeof(*blocked->threads),
                                      &tid, compare_tids);
  *out_is_there = at < blocked->count && blocked->threads[at].interval.tid == tid;
  return at;
}

struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocked,
                                               const struct denet_blocked_interval *interval,
                                               uint64_t now_ns) {
  bool is_there;
  size_t at = find_entry(blocked, interval->tid, &is_there);
  struct thread_entry *entry = is_there ? &blocked->threads[at] : NULL;
  if (!entry || entry->interval.pid != interval->pid ||
      entry->interval.start_ns != interval->start_ns ||
      entry->interval.off_since_ns != interval->off_since_ns)
    return NULL;
  entry->asked_ns = now_ns;
  return entry->frames;
}

/* Makes room for one thread more. */
static int reserve_entry(struct denet_blocked_stacks *blocked, uint64_t now_ns) {
  if (blocked->count == blocked->capacity || blocked->count == DENET_BLOCKED_THREADS_MOST)
    remove_stale(blocked, now_ns > STALE_NS ? now_ns - STALE_NS : 0);
  if (blocked->count == DENET_BLOCKED_THREADS_MOST)
    remove_stale(blocked, UINT64_MAX); /* they are read again */
  return denet_array_reserve(&blocked->threads, &blocked->capacity, blocked->count + 1,
                             sizeof(*blocked->threads));
}

void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocked,
                               const struct denet_blocked_interval *interval, uint64_t now_ns,
                               struct denet_frames *frames) {
  bool is_there;
  size_t at = find_entry(blocked, interval->tid, &is_there);
  if (is_there) {
    denet_frames_release(blocked->threads[at].frames);
  } else {
    if (reserve_entry(blocked, now_ns))
      return;
    at = find_entry(blocked, interval->tid, &is_there);
    memmove(blocked->threads + at + 1, blocked->threads + at,
            (blocked->count++ - at) * sizeof(*blocked->threads));
  }
  blocked->threads[at] = (struct thread_entry){*interval, now_ns, denet_frames_hold(frames)};
}

/* Returns whether the thread is off its CPU where the registers say: the last two words of
 * /proc/PID/task/TID/syscall are its stack pointer and its program counter (proc(5)). */
static bool is_at(const struct denet_blocked_stacks *blocked,
                  const struct denet_blocked_interval *interval, const denet_u64 *registers) {
  char path[PATH_MAX], text[256];
  snprintf(path, sizeof(path), "%s/%d/task/%d/syscall", blocked->proc_path, (int)interval->pid,
           (int)interval->tid);
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (length <= 0)
    return false;
  text[length] = '\0';
  char *counter = strrchr(text, ' ');
  if (!counter)
    return false;
  *counter = '\0';
  char *pointer = strrchr(text, ' ');
  return pointer && strtoull(pointer + 1, NULL, 16) == registers[DENET_STACK_POINTER] &&
         strtoull(counter + 1, NULL, 16) == registers[DENET_PROGRAM_COUNTER];
}

int denet_blocked_stacks_read(struct denet_blocked_stacks *blocked,
                              const struct denet_blocked_interval *interval,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS],
                              struct denet_text *out_stack) {
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/%d/task/%d/mem", blocked->proc_path, (int)interval->pid,
           (int)interval->tid);
  /* process_vm_readv(2) waits for the mmap lock of a process that holds it, and not even SIGKILL
   * ends that wait (mm/process_vm_access.c). This read gives way (__access_remote_vm, mm/memory.c).
   */
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  ssize_t got =
      pread(fd, blocked->stack.bytes, blocked->stack_bytes, (off_t)registers[DENET_STACK_POINTER]);
  if (got < 0)
    return -errno;
  if (!is_at(blocked, interval, registers))
    return -EAGAIN;
  *out_stack = (struct denet_text){blocked->stack.bytes, (size_t)got};
  return 0;
}
