#include "core/stacks/blocked_stacks.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdbool.h>
#include <string.h>

#define STALE_ROUNDS 3
#define ROOMS_MOST 8192 /* more, and the ends of some were missed */
#define KEPT_ROUNDS 32  /* a thread that is off its CPU is asked for in each */
#define RSP 7           /* by DWARF's numbers */
#define RIP 16

/* A process: its threads, and its last stacks. */
struct room {
  pid_t pid;
  uint64_t start_ns;
  struct kept *kept; /* by ascending tid; owned */
  size_t count, capacity;
  struct denet_stack last[DENET_REASONS]; /* without frames: none */
  uint64_t owed_ns[DENET_REASONS];
};

struct kept {
  pid_t tid;
  uint64_t left_ns;
  uint64_t round;              /* in which it was asked for last */
  struct denet_frames *frames; /* NULL: none is known */
  uint64_t owed_ns[DENET_REASONS];
  bool is_owed; /* anything */
};

struct denet_blocked_stacks {
  char *proc_path;
  size_t stack_bytes;
  void *rooms; /* tsearch(3), of struct room */
  size_t room_count;
  uint64_t round;
  struct denet_buffer stack;
};

static int compare_rooms(const void *left, const void *right) {
  const struct room *a = left, *b = right;
  if (a->pid != b->pid)
    return a->pid < b->pid ? -1 : 1;
  return a->start_ns < b->start_ns ? -1 : a->start_ns > b->start_ns;
}

struct denet_blocked_stacks *denet_blocked_stacks_new(const char *proc_path, size_t stack_bytes) {
  struct denet_blocked_stacks *blocks = calloc(1, sizeof(*blocks));
  if (!blocks)
    return NULL;
  blocks->stack_bytes = stack_bytes;
  blocks->proc_path = strdup(proc_path);
  if (blocks->proc_path && !denet_buffer_reserve(&blocks->stack, stack_bytes))
    return blocks;
  denet_blocked_stacks_free(blocks);
  return NULL;
}

static void drop_room(struct denet_blocked_stacks *blocks, struct room *room) {
  tdelete(room, &blocks->rooms, compare_rooms);
  for (size_t i = 0; i < room->count; i++)
    denet_frames_release(room->kept[i].frames);
  for (size_t i = 0; i < DENET_REASONS; i++)
    denet_frames_release(room->last[i].frames);
  free(room->kept);
  free(room);
  blocks->room_count--;
}

static void drop_rooms(struct denet_blocked_stacks *blocks) {
  /* A node of the tree begins with the pointer to its room. */
  while (blocks->rooms)
    drop_room(blocks, *(struct room **)blocks->rooms);
}

void denet_blocked_stacks_free(struct denet_blocked_stacks *blocks) {
  if (!blocks)
    return;
  drop_rooms(blocks);
  denet_buffer_done(&blocks->stack);
  free(blocks->proc_path);
  free(blocks);
}

/* What threads are owed that were not asked for lately: most have exited, and the process's next
 * stacks stand for it. */
static void settle_stale(const struct denet_blocked_stacks *blocks, struct room *room) {
  for (size_t i = 0; i < room->count; i++) {
    struct kept *kept = &room->kept[i];
    if (!kept->is_owed || blocks->round - kept->round < STALE_ROUNDS)
      continue;
    for (int reason = 0; reason < DENET_REASONS; reason++) {
      room->owed_ns[reason] += kept->owed_ns[reason];
      kept->owed_ns[reason] = 0;
    }
    kept->is_owed = false;
  }
}

static void visit_room(const void *node, VISIT visit, void *context) {
  if (visit == preorder || visit == leaf)
    settle_stale(context, *(struct room *const *)node);
}

void denet_blocked_stacks_begin(struct denet_blocked_stacks *blocks) {
  blocks->round++;
  twalk_r(blocks->rooms, visit_room, blocks);
}

static struct room *find_room(const struct denet_blocked_stacks *blocks, pid_t pid,
                              uint64_t start_ns) {
  struct room key = {.pid = pid, .start_ns = start_ns};
  struct room **found = tfind(&key, &blocks->rooms, compare_rooms);
  return found ? *found : NULL;
}

/* Those that are still there come back with their next stacks. */
static struct room *make_room(struct denet_blocked_stacks *blocks, pid_t pid, uint64_t start_ns) {
  if (blocks->room_count >= ROOMS_MOST)
    drop_rooms(blocks);
  struct room *room = calloc(1, sizeof(*room));
  if (!room)
    return NULL;
  *room = (struct room){.pid = pid, .start_ns = start_ns};
  if (!tsearch(room, &blocks->rooms, compare_rooms)) {
    free(room);
    return NULL;
  }
  blocks->room_count++;
  return room;
}

/* Finds or makes the process's; NULL: no memory. */
static struct room *get_room(struct denet_blocked_stacks *blocks, const struct denet_block *block) {
  struct room *room = find_room(blocks, block->pid, block->start_ns);
  return room ? room : make_room(blocks, block->pid, block->start_ns);
}

/* Where tid is, or would be inserted. */
static size_t find_place(const struct room *room, pid_t tid) {
  size_t low = 0, high = room->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (room->kept[middle].tid < tid)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct kept *find_kept(const struct room *room, pid_t tid) {
  size_t place = room ? find_place(room, tid) : 0;
  bool is_kept = room && place < room->count && room->kept[place].tid == tid;
  return is_kept ? &room->kept[place] : NULL;
}

struct denet_frames *denet_blocked_stacks_find(struct denet_blocked_stacks *blocks,
                                               const struct denet_block *block) {
  struct kept *kept = find_kept(find_room(blocks, block->pid, block->start_ns), block->tid);
  if (!kept || kept->left_ns != block->left_ns || !kept->frames)
    return NULL;
  kept->round = blocks->round;
  return kept->frames;
}

/* Threads that have exited, or are on their CPUs more than off. */
static void prune(const struct denet_blocked_stacks *blocks, struct room *room) {
  size_t left = 0;
  for (size_t i = 0; i < room->count; i++) {
    if (blocks->round - room->kept[i].round < KEPT_ROUNDS) {
      room->kept[left++] = room->kept[i];
      continue;
    }
    denet_frames_release(room->kept[i].frames);
    for (int reason = 0; reason < DENET_REASONS; reason++)
      room->owed_ns[reason] += room->kept[i].owed_ns[reason];
  }
  room->count = left;
}

static struct kept *insert_kept(const struct denet_blocked_stacks *blocks, struct room *room,
                                pid_t tid) {
  if (room->count == room->capacity)
    prune(blocks, room);
  if (room->count == room->capacity) {
    size_t capacity = room->capacity ? 2 * room->capacity : 4;
    struct kept *grown = reallocarray(room->kept, capacity, sizeof(*grown));
    if (!grown)
      return NULL;
    room->kept = grown;
    room->capacity = capacity;
  }
  struct kept *at = room->kept + find_place(room, tid);
  memmove(at + 1, at, (size_t)(room->kept + room->count - at) * sizeof(*at));
  *at = (struct kept){.tid = tid};
  room->count++;
  return at;
}

/* Finds or makes what is kept of the thread; NULL: no memory. */
static struct kept *make_kept(struct denet_blocked_stacks *blocks,
                              const struct denet_block *block) {
  struct room *room = get_room(blocks, block);
  struct kept *kept = find_kept(room, block->tid);
  if (room && !kept)
    kept = insert_kept(blocks, room, block->tid);
  if (kept)
    kept->round = blocks->round;
  return kept;
}

void denet_blocked_stacks_keep(struct denet_blocked_stacks *blocks,
                               const struct denet_block *block) {
  struct kept *kept = make_kept(blocks, block);
  if (!kept)
    return;
  denet_frames_release(kept->frames);
  kept->frames = denet_frames_hold(block->frames);
  kept->left_ns = block->left_ns;
}

void denet_blocked_stacks_owe(struct denet_blocked_stacks *blocks, const struct denet_block *block,
                              enum denet_reason reason, uint64_t time_ns) {
  struct kept *kept = block->tid ? make_kept(blocks, block) : NULL;
  struct room *room = kept ? NULL : get_room(blocks, block);
  if (kept) {
    kept->owed_ns[reason] += time_ns;
    kept->is_owed = true;
  } else if (room) {
    room->owed_ns[reason] += time_ns;
  }
}

static uint64_t take(uint64_t *owed_ns) {
  uint64_t taken_ns = *owed_ns;
  *owed_ns = 0;
  return taken_ns;
}

uint64_t denet_blocked_stacks_settle(struct denet_blocked_stacks *blocks,
                                     const struct denet_block *block, enum denet_reason reason) {
  struct room *room = find_room(blocks, block->pid, block->start_ns);
  struct kept *kept = find_kept(room, block->tid);
  uint64_t owed_ns = kept ? take(&kept->owed_ns[reason]) : 0;
  return room ? owed_ns + take(&room->owed_ns[reason]) : owed_ns;
}

void denet_blocked_stacks_note_last(struct denet_blocked_stacks *blocks,
                                    const struct denet_block *block,
                                    const struct denet_stack *stack) {
  struct room *room = get_room(blocks, block);
  if (!room)
    return;
  struct denet_stack *last = &room->last[stack->reason];
  denet_frames_hold(stack->frames);
  denet_frames_release(last->frames);
  *last = *stack;
}

bool denet_blocked_stacks_last(const struct denet_blocked_stacks *blocks,
                               const struct denet_block *block, enum denet_reason reason,
                               struct denet_stack *out_stack) {
  const struct room *room = find_room(blocks, block->pid, block->start_ns);
  if (!room || !room->last[reason].frames)
    return false;
  *out_stack = room->last[reason];
  return true;
}

void denet_blocked_stacks_forget(struct denet_blocked_stacks *blocks, pid_t pid,
                                 uint64_t start_ns) {
  struct room *room = find_room(blocks, pid, start_ns);
  if (room)
    drop_room(blocks, room);
}

/* Whether the thread is off its CPU in the place that the registers say: the last two words of
 * /proc/PID/task/TID/syscall are its stack pointer and program counter (proc(5)). */
static bool is_there(const struct denet_blocked_stacks *blocks, const struct denet_block *block,
                     const denet_u64 *registers) {
  char path[4096], text[256];
  snprintf(path, sizeof(path), "%s/%d/task/%d/syscall", blocks->proc_path, (int)block->pid,
           (int)block->tid);
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
  return pointer && strtoull(pointer + 1, NULL, 16) == registers[RSP] &&
         strtoull(counter + 1, NULL, 16) == registers[RIP];
}

int denet_blocked_stacks_read(struct denet_blocked_stacks *blocks, const struct denet_block *block,
                              const denet_u64 registers[DENET_OFF_CPU_REGISTERS],
                              struct denet_text *out_stack) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/%d/task/%d/mem", blocks->proc_path, (int)block->pid,
           (int)block->tid);
  /* process_vm_readv(2) would wait for the mmap lock of a process that holds it so that not even
   * SIGKILL ended us (mm/process_vm_access.c); this gives way (__access_remote_vm, mm/memory.c). */
  DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  ssize_t got = pread(fd, blocks->stack.bytes, blocks->stack_bytes, (off_t)registers[RSP]);
  if (got < 0)
    return -errno;
  if (!is_there(blocks, block, registers))
    return -EAGAIN;
  *out_stack = (struct denet_text){blocks->stack.bytes, (size_t)got};
  return 0;
}
