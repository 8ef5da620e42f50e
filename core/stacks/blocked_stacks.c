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

struct denet_blocked_thread {
  struct denet_blocked_interval interval;
  uint64_t asked_ns;
  struct denet_frames *frames; /* one reference */
};

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

void denet_blocked_stacks_done(struct denet_blocked_stacks *blocked) {
  remove_stale(blocked, UINT64_MAX);
  free(blocked->threads);
  *blocked = (struct denet_blocked_stacks){0};
}

static int compare_tids(const void *item, const void *key) {
  pid_t tid = ((const struct denet_blocked_thread *)item)->interval.tid;
  return tid - *(const pid_t *)key;
}

/* Returns the thread, or where it would be; *out_is_there says which. */
static struct denet_blocked_thread *find_thread(const struct denet_blocked_stacks *blocked,
                                                pid_t tid, bool *out_is_there) {
  size_t at = denet_array_lower_bound(blocked->threads, blocked->count, sizeof(*blocked->threads),
                                      &tid, compare_tids);
  *out_is_there = at < blocked->count && blocked->threads[at].interval.tid == tid;
  return blocked->threads + at;
}

struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocked,
                                               const struct denet_blocked_interval *interval,
                                               uint64_t now_ns) {
  bool is_there;
  struct denet_blocked_thread *thread = find_thread(blocked, interval->tid, &is_there);
  if (!is_there || memcmp(&thread->interval, interval, sizeof(*interval)) != 0)
    return NULL;
  thread->asked_ns = now_ns;
  return thread->frames;
}

void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocked,
                               const struct denet_blocked_interval *interval, uint64_t now_ns,
                               struct denet_frames *frames) {
  if (blocked->count == blocked->capacity || blocked->count == DENET_BLOCKED_THREADS_MOST)
    remove_stale(blocked, now_ns > STALE_NS ? now_ns - STALE_NS : 0);
  if (blocked->count == DENET_BLOCKED_THREADS_MOST)
    remove_stale(blocked, UINT64_MAX); /* they are read again */
  if (denet_array_reserve(&blocked->threads, &blocked->capacity, blocked->count + 1,
                          sizeof(*blocked->threads)))
    return;
  bool is_there;
  struct denet_blocked_thread *thread = find_thread(blocked, interval->tid, &is_there);
  if (is_there)
    denet_frames_release(thread->frames);
  else
    memmove(thread + 1, thread,
            (size_t)(blocked->threads + blocked->count++ - thread) * sizeof(*thread));
  *thread = (struct denet_blocked_thread){*interval, now_ns, denet_frames_hold(frames)};
}

/* Opens a file of the thread in /proc. A descriptor or -1. */
static int open_file(const char *proc_path, const struct denet_blocked_interval *interval,
                     const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/%d/task/%d/%s", proc_path, (int)interval->pid,
           (int)interval->tid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* Returns whether the thread is off its CPU where the registers say: the last two words of
 * /proc/PID/task/TID/syscall are its stack pointer and its program counter (proc(5)). */
static bool is_at(const char *proc_path, const struct denet_blocked_interval *interval,
                  const denet_u64 *registers) {
  char text[256], wanted[64];
  DENET_CLOSE int fd = open_file(proc_path, interval, "syscall");
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  ssize_t tail = snprintf(wanted, sizeof(wanted), " 0x%llx 0x%llx\n",
                          (unsigned long long)registers[DENET_STACK_POINTER],
                          (unsigned long long)registers[DENET_PROGRAM_COUNTER]);
  return length >= tail && memcmp(text + length - tail, wanted, (size_t)tail) == 0;
}

int denet_blocked_stacks_read(const char *proc_path, const struct denet_blocked_interval *interval,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS], size_t most,
                              struct denet_buffer *stack) {
  /* process_vm_readv(2) waits for the mmap lock of a process that holds it, and not even SIGKILL
   * ends the wait (mm/process_vm_access.c). This read gives way (__access_remote_vm, mm/memory.c).
   */
  DENET_CLOSE int fd = open_file(proc_path, interval, "mem");
  denet_buffer_clear(stack);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  if (denet_buffer_reserve(stack, most))
    return -ENOMEM;
  ssize_t got = pread(fd, stack->bytes, most, (off_t)registers[DENET_STACK_POINTER]);
  if (got < 0)
    return -errno;
  stack->length = (size_t)got;
  return is_at(proc_path, interval, registers) ? 0 : -EAGAIN;
}
