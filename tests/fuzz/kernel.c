#include "tests/fuzz/kernel.h"

#include "bpf/off_cpu_records.h"
#include "core/source/bpf/lifecycle.h"
#include "core/source/bpf/loader.h"
#include "core/stacks/stack_worker.h"
#include "core/stacks/tracer.h"
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ticks.h"

#include <errno.h>
#include <string.h>

#define SLOTS 16
#define FIRST_PID 5000000u /* PID_MAX_LIMIT is below */
#define START_NS UINT64_C(100000000000)
#define STEP_NS UINT64_C(10000000)
#define COUNTER_MOST UINT64_C(0xffffffffff) /* so that no sum wraps around */
#define EVENTS_MOST 64
#define SAMPLES_MOST 64

/* The process of one pid. */
struct slot {
  bool is_there, is_full, is_followed;
  unsigned threads; /* without the main thread */
  struct denet_bpf_process record;
  struct denet_off_cpu_thread off_cpu;
  struct denet_off_cpu_sums exited;
};

struct event {
  void *bytes; /* allocated with exactly this size; owned */
  size_t size;
};

struct events {
  struct event all[EVENTS_MOST];
  size_t count;
};

static struct {
  uint64_t lost;
  size_t cut;   /* bytes that the next list lacks */
  bool answers; /* requests for final usage */
  struct slot slots[SLOTS];
  struct events events, traced;
  int (*take)(void *context, void *event, size_t size);
  void *context;
} kernel;

/* --- Steps of the script --- */

static void push(struct events *events, const void *bytes, size_t size) {
  if (events->count == EVENTS_MOST)
    return;
  struct denet_text copy = fuzz_copy(bytes, size);
  events->all[events->count++] = (struct event){(void *)copy.bytes, size};
}

/* Adds an event with so many bytes of the script behind its struct. */
static void push_longer(struct events *events, const void *event, size_t event_bytes,
                        struct denet_text *rest, size_t more_bytes) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer all = {0};
  char more[512];
  fuzz_take(rest, more, more_bytes);
  CLAIM(!denet_buffer_append(&all, event, event_bytes));
  CLAIM(!denet_buffer_append(&all, more, more_bytes));
  push(events, all.bytes, all.length);
}

static void clear(struct events *events) {
  for (size_t i = 0; i < events->count; i++)
    free(events->all[i].bytes);
  events->count = 0;
}

static struct slot *take_slot(struct denet_text *rest) {
  return &kernel.slots[fuzz_take_byte(rest) % SLOTS];
}

static struct denet_bpf_head head_of(const struct slot *slot, denet_u32 kind) {
  return (struct denet_bpf_head){kind, FIRST_PID + (denet_u32)(slot - kernel.slots),
                                 slot->record.identity.compact.head.start_ns};
}

static void take_name(struct denet_text *rest, char out[DENET_BPF_COMM]) {
  memset(out, 0, DENET_BPF_COMM);
  fuzz_take(rest, out, 4);
}

static void add_usage(struct denet_text *rest, struct denet_bpf_usage *usage) {
  denet_u64 *all = (denet_u64 *)usage;
  uint64_t step = fuzz_take_byte(rest), scale = fuzz_take_byte(rest);
  for (size_t i = 0; i < sizeof(*usage) / sizeof(*all); i++)
    all[i] = (all[i] + step * (i + 1) * scale * scale * scale) & COUNTER_MOST;
}

static void add_waits(struct denet_text *rest, struct denet_wait_stats *waits) {
  uint8_t reason = fuzz_take_byte(rest), time = fuzz_take_byte(rest);
  waits->time_ns[reason % DENET_REASONS] += time * STEP_NS;
  waits->count++;
  waits->longest_ns = waits->shortest_ns = time * STEP_NS;
}

/* Starts a process; another one with its pid is gone. */
static void start_process(struct denet_text *rest) {
  struct slot *slot = take_slot(rest);
  struct denet_bpf_process *record = &slot->record;
  *slot = (struct slot){.is_there = true};
  record->identity.compact.head.start_ns = ticks_now_ns - fuzz_take_byte(rest) * STEP_NS;
  record->identity.parent_pid = FIRST_PID + fuzz_take_byte(rest) % SLOTS;
  record->identity.compact.exec_id = fuzz_take_byte(rest) % 4;
  record->identity.flags = (fuzz_take_byte(rest) & 1) ? 0x40 : 0; /* PF_FORKNOEXEC */
  record->identity.threads = 1;
  record->uid = fuzz_take_byte(rest);
  record->net_namespace = fuzz_take_byte(rest) % 3;
  take_name(rest, record->identity.compact.name);
}

/* Changes the numbers of a process. */
static void change_process(struct denet_text *rest) {
  struct slot *slot = take_slot(rest);
  struct denet_bpf_process *record = &slot->record;
  add_usage(rest, &record->usage);
  slot->threads = fuzz_take_byte(rest) % 4;
  record->identity.threads = slot->threads + fuzz_take_byte(rest) % 2;
  record->identity.state = fuzz_take_byte(rest) & 31;
  record->identity.compact.exec_id += fuzz_take_byte(rest) & 1;
  record->rss_pages = fuzz_take_byte(rest);
  record->vm_pages = fuzz_take_byte(rest);
  record->exit_code = fuzz_take_byte(rest);
  record->seen_ns = ticks_now_ns;
}

static void rename_process(struct denet_text *rest) {
  struct slot *slot = take_slot(rest);
  take_name(rest, slot->record.identity.compact.name);
}

static void send_fork(struct denet_text *rest) {
  const struct slot *slot = take_slot(rest);
  struct denet_bpf_fork event = {.head = head_of(slot, DENET_BPF_FORK),
                                 .parent_pid = slot->record.identity.parent_pid};
  push(&kernel.events, &event, sizeof(event));
}

static void send_texts(struct denet_text *rest) {
  const struct slot *slot = take_slot(rest);
  struct denet_bpf_texts texts = {.head = head_of(slot, DENET_BPF_TEXTS),
                                  .exec_id = slot->record.identity.compact.exec_id,
                                  .uid = slot->record.uid,
                                  .argument_bytes = fuzz_take_byte(rest),
                                  .executable_bytes = fuzz_take_byte(rest) % 64,
                                  .cgroup_bytes = fuzz_take_byte(rest) % 64};
  memcpy(texts.name, slot->record.identity.compact.name, sizeof(texts.name));
  push_longer(&kernel.events, &texts, sizeof(texts), rest,
              texts.argument_bytes + texts.executable_bytes + texts.cgroup_bytes);
}

static void send_exit(struct denet_text *rest) {
  const struct slot *slot = take_slot(rest);
  struct denet_bpf_exit event = {.head = head_of(slot, DENET_BPF_EXIT),
                                 .exit_ns = ticks_now_ns,
                                 .main_age_ns = fuzz_take_byte(rest) * STEP_NS,
                                 .rss_pages = fuzz_take_byte(rest),
                                 .parent_pid = slot->record.identity.parent_pid};
  push(&kernel.events, &event, sizeof(event));
}

static void send_free(const struct slot *slot) {
  struct denet_bpf_process event = slot->record;
  event.identity.compact.head = head_of(slot, DENET_BPF_FREE);
  push(&kernel.events, &event, sizeof(event));
}

static void end_process(struct denet_text *rest) {
  struct slot *slot = take_slot(rest);
  slot->is_there = false;
  if (fuzz_take_byte(rest) & 1)
    send_free(slot);
}

static void claim_texts(const struct denet_lifecycle_entry *entry) {
  for (int kind = DENET_TEXT_ARGUMENTS; kind <= DENET_TEXT_CGROUP; kind++) {
    DENET_CLEANUP(denet_buffer_done) struct denet_buffer text = {0};
    int outcome = denet_lifecycle_entry_text(entry, kind, &text);
    CLAIM(outcome == 0 || outcome == -ENOENT);
    CLAIM(kind == DENET_TEXT_ARGUMENTS || !text.length || text.bytes[0] == '/');
  }
}

/* Passes any bytes to a lifecycle. */
static void send_raw(struct denet_text *rest) {
  struct denet_lifecycle lifecycle = {0};
  uint8_t bytes[256];
  size_t size = fuzz_take_byte(rest);
  fuzz_take(rest, bytes, size);
  struct denet_text copy = fuzz_copy(bytes, size);
  int outcome = denet_lifecycle_note(&lifecycle, copy.bytes, size);
  CLAIM(outcome == 0 || outcome == -EINVAL);
  CLAIM(lifecycle.count == (outcome == 0));
  if (outcome == 0)
    claim_texts(lifecycle.entries[0]);
  denet_lifecycle_done(&lifecycle);
  free((char *)copy.bytes);
}

static void take_off_cpu(struct denet_text *rest) {
  struct slot *slot = take_slot(rest);
  struct denet_sample_point *point = &slot->off_cpu.point;
  add_waits(rest, &slot->off_cpu.stats);
  add_waits(rest, &slot->exited.stats);
  point->exec_id = slot->record.identity.compact.exec_id;
  point->tid = FIRST_PID + fuzz_take_byte(rest);
  point->reason = fuzz_take_byte(rest) % DENET_REASONS;
  point->weight_ns = fuzz_take_byte(rest) * STEP_NS;
  take_name(rest, point->name);
}

static void trace_stack(struct denet_text *rest) {
  const struct slot *slot = take_slot(rest);
  struct denet_off_cpu_stack stack = {.head = head_of(slot, DENET_OFF_CPU_STACK),
                                      .point = slot->off_cpu.point,
                                      .stack_bytes = fuzz_take_byte(rest)};
  size_t more_bytes = fuzz_take_byte(rest); /* not always stack_bytes */
  push_longer(&kernel.traced, &stack, sizeof(stack), rest, more_bytes);
}

static void trace_end(struct denet_text *rest) {
  const struct slot *slot = take_slot(rest);
  struct denet_off_cpu_sums end = slot->exited;
  end.head = head_of(slot, DENET_OFF_CPU_END);
  end.is_sampled = fuzz_take_byte(rest) & 1;
  push(&kernel.traced, &end, sizeof(end) - (fuzz_take_byte(rest) == 255));
}

bool kernel_step(char what, struct denet_text *rest) {
  static void (*const steps[])(struct denet_text * rest) = {
      ['b'] = start_process,  ['c'] = change_process, ['d'] = end_process, ['e'] = trace_end,
      ['f'] = send_fork,      ['o'] = take_off_cpu,   ['r'] = send_raw,    ['s'] = trace_stack,
      ['n'] = rename_process, ['t'] = send_texts,     ['x'] = send_exit,
  };
  size_t index = (unsigned char)what;
  if (index < DENET_COUNT_OF(steps) && steps[index])
    steps[index](rest);
  else if (what == 'w')
    ticks_now_ns += fuzz_take_byte(rest) * STEP_NS * 4;
  else if (what == 'q')
    kernel.answers = !kernel.answers;
  else if (what == 'l')
    kernel.lost++;
  else if (what == 'k')
    kernel.cut = fuzz_take_byte(rest);
  else
    return false;
  return true;
}

void kernel_start(void) { ticks_now_ns = START_NS; }

void kernel_stop(void) {
  clear(&kernel.events);
  clear(&kernel.traced);
  memset(&kernel, 0, sizeof(kernel));
}

/* --- core/source/bpf/loader.h --- */

int denet_loader_open(int (*take)(void *context, void *event, size_t size), void *context,
                      struct denet_error *error, struct denet_loader **out_loader) {
  kernel.take = take;
  kernel.context = context;
  *out_loader = NULL;
  return 0;
}

void denet_loader_free(struct denet_loader *loader) {}

static void list_slot(const struct slot *slot, uint64_t full_since_ns,
                      struct denet_buffer *records) {
  struct denet_bpf_process record = slot->record;
  record.identity.compact.head = head_of(slot, DENET_BPF_PROCESS);
  bool is_full = record.identity.compact.head.start_ns >= full_since_ns || slot->is_full;
  if (!is_full)
    record.identity.compact.head.kind = DENET_BPF_COMPACT;
  CLAIM(!denet_buffer_append(records, &record,
                             is_full ? sizeof(record) : sizeof(record.identity.compact)));
  for (denet_u32 i = 0; i < slot->threads && is_full; i++) {
    struct denet_bpf_thread thread = {.head = record.identity.compact.head,
                                      .usage = record.usage,
                                      .rss_pages = i,
                                      .tid = record.identity.compact.head.pid + SLOTS + i,
                                      .state = i & 1};
    thread.head.kind = DENET_BPF_THREAD;
    CLAIM(!denet_buffer_append(records, &thread, sizeof(thread)));
  }
}

/* Cuts the records, and allocates exactly their size. */
static void shrink(struct denet_buffer *records) {
  size_t length = records->length > kernel.cut ? records->length - kernel.cut : 0;
  struct denet_text copy = fuzz_copy((const uint8_t *)records->bytes, length);
  free(records->bytes);
  *records = (struct denet_buffer){(char *)copy.bytes, length, length};
  kernel.cut = 0;
}

int denet_loader_list(struct denet_loader *loader, uint64_t full_since_ns,
                      struct denet_buffer *records) {
  records->length = 0;
  for (size_t i = 0; i < SLOTS; i++)
    if (kernel.slots[i].is_there)
      list_slot(&kernel.slots[i], full_since_ns, records);
  shrink(records);
  return 0;
}

void denet_loader_drain(struct denet_loader *loader) {
  int outcome = 0;
  for (size_t i = 0; i < kernel.events.count && !outcome; i++)
    outcome = kernel.take(kernel.context, kernel.events.all[i].bytes, kernel.events.all[i].size);
  clear(&kernel.events);
}

bool denet_loader_request_exit(struct denet_loader *loader, pid_t pid, uint64_t start_ns) {
  const struct slot *slot = &kernel.slots[((denet_u32)pid - FIRST_PID) % SLOTS];
  if (kernel.answers && !slot->is_there && head_of(slot, 0).start_ns == start_ns)
    send_free(slot);
  return kernel.answers;
}

void denet_loader_set_full(struct denet_loader *loader, pid_t pid, bool is_full) {
  kernel.slots[((denet_u32)pid - FIRST_PID) % SLOTS].is_full = is_full;
}

uint64_t denet_loader_lost(const struct denet_loader *loader) { return kernel.lost; }

int denet_loader_event_fd(const struct denet_loader *loader) { return -1; }

/* --- core/stacks/tracer.h --- */

int denet_tracer_open(const struct denet_profiler_settings *settings, struct denet_error *error,
                      struct denet_tracer **out_tracer) {
  *out_tracer = NULL;
  return 0;
}

void denet_tracer_free(struct denet_tracer *tracer) {}

void denet_tracer_follow(struct denet_tracer *tracer, pid_t pid, bool is_followed) {
  kernel.slots[((denet_u32)pid - FIRST_PID) % SLOTS].is_followed = is_followed;
}

void denet_tracer_delete_exited(struct denet_tracer *tracer, pid_t pid, uint64_t start_ns) {}

int denet_tracer_list(struct denet_tracer *tracer, struct denet_buffer *records) {
  records->length = 0;
  for (size_t i = 0; i < SLOTS; i++) {
    struct slot *slot = &kernel.slots[i];
    slot->exited.head = head_of(slot, DENET_OFF_CPU_EXITED);
    slot->off_cpu.head = head_of(slot, DENET_OFF_CPU_THREAD);
    if (!slot->is_there || !slot->is_followed)
      continue;
    CLAIM(!denet_buffer_append(records, &slot->exited, sizeof(slot->exited)));
    CLAIM(!denet_buffer_append(records, &slot->off_cpu, sizeof(slot->off_cpu)));
  }
  shrink(records);
  return 0;
}

void denet_tracer_drain(struct denet_tracer *tracer, enum denet_tracer_ring ring,
                        denet_tracer_take *take, void *context) {
  for (size_t i = 0; i < kernel.traced.count; i++)
    take(context, kernel.traced.all[i].bytes, kernel.traced.all[i].size);
  clear(&kernel.traced);
}

struct denet_off_cpu_losses denet_tracer_losses(const struct denet_tracer *tracer) {
  return (struct denet_off_cpu_losses){.stacks = kernel.lost};
}

/* --- core/stacks/stack_worker.h, without a thread: the bytes of a stack name its frames --- */

static struct denet_buffer samples; /* struct denet_sample */

int denet_stack_worker_start(const struct denet_profiler_settings *settings, const char *proc_path,
                             struct denet_tracer *tracer, struct denet_stack_worker **out_worker) {
  *out_worker = NULL;
  return 0;
}

bool denet_stack_worker_stop(struct denet_stack_worker *worker) {
  const struct denet_sample *left = (const void *)samples.bytes;
  for (size_t i = 0; i < samples.length / sizeof(*left); i++)
    denet_frames_release(left[i].stack.frames);
  denet_buffer_done(&samples);
  return true;
}

void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_exec_event *exec_event) {
  CLAIM(exec_event->head.pid > 0);
}

void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns) {}

void denet_stack_worker_add_sample(struct denet_stack_worker *worker,
                                   const struct denet_bpf_head *head,
                                   const struct denet_sample_point *point, uint64_t off_since_ns,
                                   struct denet_text stack) {
  struct denet_text names = off_since_ns ? (struct denet_text){"futex", sizeof("futex")} : stack;
  struct denet_sample sample = {
      .pid = (pid_t)head->pid,
      .start_ns = head->start_ns,
      .stack = {.reason = point->reason, .time_ns = point->weight_ns, .count = 1}};
  if (samples.length == SAMPLES_MOST * sizeof(sample))
    return;
  sample.stack.frames = denet_frames_new(names);
  CLAIM(sample.stack.frames);
  memcpy(sample.stack.thread, point->name, sizeof(point->name));
  CLAIM(!denet_buffer_append(&samples, &sample, sizeof(sample)));
}

uint64_t denet_stack_worker_take_samples(struct denet_stack_worker *worker, uint64_t wait_ns,
                                         struct denet_buffer *out) {
  struct denet_buffer taken = samples;
  denet_buffer_clear(out);
  samples = *out;
  *out = taken;
  return 0;
}
