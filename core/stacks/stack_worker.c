#include "core/stacks/stack_worker.h"

#include "core/stacks/blocked_stacks.h"
#include "core/stacks/unwind/unwinder.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define QUEUE_BYTES_MOST (8 << 20)
#define SAMPLES_MOST 16384
#define STOP_SECONDS 2 /* a look at another process's memory may be held up by that process */
/* After an exec, until the libraries are mapped; and how many may be waited for. */
#define LOAD_NS UINT64_C(3000000)
#define LOADING_MOST 256

enum job_kind { JOB_MEET, JOB_FORGET, JOB_STACK, JOB_THREAD, JOB_UNTOLD };

/* In the queue, with the stack's bytes behind it; a multiple of eight bytes. */
struct job {
  enum job_kind kind;
  size_t stack_bytes;
  struct denet_stack_worker_process process;
  struct denet_off_cpu_place place;
  uint64_t left_ns;
  denet_u64 untold_ns[DENET_REASONS];
};

/* A program that has begun, and maps its libraries. */
struct loading {
  struct denet_stack_worker_process process;
  uint64_t due_ns;
};

struct denet_stack_worker {
  pthread_t thread;
  pthread_mutex_t lock; /* guards what follows, up to the thread's own */
  int wake_fd;          /* an eventfd(2): there is something to do */
  pthread_cond_t is_idle;
  bool is_stopping, is_busy;
  bool has_missed;              /* what processes there are */
  struct denet_buffer queue;    /* jobs */
  struct denet_sample *samples; /* ready; owned, each with a reference to its frames */
  size_t sample_count, sample_capacity;
  uint64_t lost;

  struct denet_tracer *tracer; /* borrowed; the thread's own, as is all below */
  struct denet_unwinder *unwinder;
  struct loading loading[LOADING_MOST]; /* the first is due first */
  size_t loading_count;
  struct denet_stack_worker_settings settings;
  uint64_t reads_due_ns; /* when as many stacks had been read as may be */
  struct denet_blocked_stacks *blocks;
  struct denet_buffer jobs; /* being done */
  struct denet_buffer names;
};

/* --- Asking --- */

static uint64_t read_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* stack_bytes: to come from stack. While the thread is held up samples are lost first, and then
 * what it should know of processes: it forgets all of them. */
static void put_job(struct denet_stack_worker *symbolizer, struct job job, const void *stack) {
  static const char padding[8];
  size_t stack_bytes = job.stack_bytes, padding_bytes = -stack_bytes % sizeof(padding);
  bool is_sample = job.kind != JOB_MEET && job.kind != JOB_FORGET;
  pthread_mutex_lock(&symbolizer->lock);
  struct denet_buffer *queue = &symbolizer->queue;
  bool is_full = queue->length > (is_sample ? QUEUE_BYTES_MOST : 2 * QUEUE_BYTES_MOST);
  if (is_full || denet_buffer_reserve(queue, sizeof(job) + stack_bytes + padding_bytes)) {
    symbolizer->lost += is_sample;
    symbolizer->has_missed |= !is_sample;
  } else {
    denet_buffer_append(queue, &job, sizeof(job));
    denet_buffer_append(queue, stack, stack_bytes);
    denet_buffer_append(queue, padding, padding_bytes);
    eventfd_write(symbolizer->wake_fd, 1);
  }
  pthread_mutex_unlock(&symbolizer->lock);
}

void denet_stack_worker_meet(struct denet_stack_worker *symbolizer,
                             const struct denet_stack_worker_process *process) {
  put_job(symbolizer, (struct job){.kind = JOB_MEET, .process = *process}, NULL);
}

void denet_stack_worker_forget(struct denet_stack_worker *symbolizer, pid_t pid,
                               uint64_t start_ns) {
  struct denet_stack_worker_process process = {.pid = pid, .start_ns = start_ns};
  put_job(symbolizer, (struct job){.kind = JOB_FORGET, .process = process}, NULL);
}

void denet_stack_worker_add_untold(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_sums *sums) {
  struct job job = {.kind = JOB_UNTOLD,
                    .process = {.pid = (pid_t)sums->head.pid, .start_ns = sums->head.start_ns}};
  uint64_t all_ns = 0;
  for (int i = 0; i < DENET_REASONS; i++)
    all_ns += job.untold_ns[i] = sums->untold_ns[i];
  if (all_ns)
    put_job(symbolizer, job, NULL);
}
void denet_stack_worker_await(struct denet_stack_worker *symbolizer, uint64_t most_ns) {
  uint64_t until_ns = read_now() + most_ns;
  struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
  int outcome = 0;
  pthread_mutex_lock(&symbolizer->lock);
  while (!outcome && (symbolizer->queue.length || symbolizer->is_busy))
    outcome = pthread_cond_timedwait(&symbolizer->is_idle, &symbolizer->lock, &until);
  pthread_mutex_unlock(&symbolizer->lock);
}
static struct job make_sample_job(enum job_kind kind, const struct denet_bpf_head *head,
                                  const struct denet_off_cpu_place *place) {
  return (struct job){
      .kind = kind,
      .process = {.pid = (pid_t)head->pid, .start_ns = head->start_ns, .exec_id = place->exec_id},
      .place = *place};
}

void denet_stack_worker_add_stack(struct denet_stack_worker *symbolizer,
                                  const struct denet_off_cpu_stack *stack) {
  struct job job = make_sample_job(JOB_STACK, &stack->head, &stack->place);
  job.stack_bytes = stack->stack_bytes;
  put_job(symbolizer, job, stack + 1);
}

void denet_stack_worker_add_thread(struct denet_stack_worker *symbolizer,
                                   const struct denet_off_cpu_thread *thread) {
  struct job job = make_sample_job(JOB_THREAD, &thread->head, &thread->place);
  job.left_ns = thread->left_ns;
  put_job(symbolizer, job, NULL);
}

void denet_stack_worker_take(struct denet_stack_worker *symbolizer,
                             void (*each)(void *context, const struct denet_sample *sample),
                             void *context) {
  pthread_mutex_lock(&symbolizer->lock);
  struct denet_sample *samples = DENET_TAKE(symbolizer->samples);
  size_t count = symbolizer->sample_count;
  symbolizer->sample_count = symbolizer->sample_capacity = 0;
  pthread_mutex_unlock(&symbolizer->lock);
  for (size_t i = 0; i < count; i++) {
    each(context, &samples[i]);
    denet_frames_release(samples[i].stack.frames);
  }
  free(samples);
}

uint64_t denet_stack_worker_lost(struct denet_stack_worker *symbolizer) {
  pthread_mutex_lock(&symbolizer->lock);
  uint64_t lost = symbolizer->lost;
  pthread_mutex_unlock(&symbolizer->lock);
  return lost;
}

/* --- The thread --- */

/* Room for one more sample; the lock is held. */
static bool reserve_sample(struct denet_stack_worker *symbolizer) {
  if (symbolizer->sample_count < symbolizer->sample_capacity)
    return true;
  size_t capacity = symbolizer->sample_capacity ? 2 * symbolizer->sample_capacity : 256;
  if (capacity > SAMPLES_MOST)
    return false;
  struct denet_sample *grown = reallocarray(symbolizer->samples, capacity, sizeof(*grown));
  if (!grown)
    return false;
  symbolizer->samples = grown;
  symbolizer->sample_capacity = capacity;
  return true;
}

static struct denet_block block_of(const struct job *job) {
  return (struct denet_block){.pid = job->process.pid,
                              .start_ns = job->process.start_ns,
                              .tid = (pid_t)job->place.tid,
                              .left_ns = job->left_ns};
}

static void give_sample(struct denet_stack_worker *symbolizer, const struct job *job,
                        struct denet_frames *frames) {
  struct denet_block block = block_of(job);
  uint64_t owed_ns = denet_blocked_stacks_settle(symbolizer->blocks, &block, job->place.reason);
  struct denet_sample sample = {.pid = job->process.pid,
                                .start_ns = job->process.start_ns,
                                .stack = {.frames = frames,
                                          .reason = job->place.reason,
                                          .time_ns = job->place.weight_ns + owed_ns,
                                          .count = 1}};
  memcpy(sample.stack.thread, job->place.name, sizeof(sample.stack.thread));
  denet_blocked_stacks_note_last(symbolizer->blocks, &block, &sample.stack);
  pthread_mutex_lock(&symbolizer->lock);
  if (reserve_sample(symbolizer)) {
    denet_frames_hold(frames);
    symbolizer->samples[symbolizer->sample_count++] = sample;
  } else {
    symbolizer->lost++;
  }
  pthread_mutex_unlock(&symbolizer->lock);
}

/* NULL: no memory. */
static struct denet_frames *unwind(struct denet_stack_worker *symbolizer, const struct job *job,
                                   struct denet_text stack) {
  _Static_assert(DENET_REGISTERS == DENET_OFF_CPU_REGISTERS, "the same registers");
  struct denet_snapshot snapshot = {.pid = job->process.pid,
                                    .start_ns = job->process.start_ns,
                                    .exec_id = job->place.exec_id,
                                    .stack = (const unsigned char *)stack.bytes,
                                    .stack_bytes = stack.length};
  memcpy(snapshot.registers, job->place.registers, sizeof(snapshot.registers));
  denet_buffer_clear(&symbolizer->names);
  if (denet_unwinder_frames(symbolizer->unwinder, &snapshot, &symbolizer->names))
    denet_buffer_append(&symbolizer->names, DENET_TRUNCATED, sizeof(DENET_TRUNCATED));
  return denet_frames_new(denet_buffer_text(&symbolizer->names));
}

static void do_stack(struct denet_stack_worker *symbolizer, const struct job *job) {
  struct denet_frames *frames =
      unwind(symbolizer, job, (struct denet_text){(const char *)(job + 1), job->stack_bytes});
  if (frames)
    give_sample(symbolizer, job, frames);
  denet_frames_release(frames);
}

/* At most the rate, and as many at once as in a second. Those of one round that come too late are
 * the first of another, since the others are known then. */
static bool may_read(struct denet_stack_worker *symbolizer) {
  uint64_t now_ns = read_now(), gap_ns = UINT64_C(1000000000) / symbolizer->settings.rate;
  if (symbolizer->reads_due_ns + 1000000000 < now_ns)
    symbolizer->reads_due_ns = now_ns - 1000000000;
  if (symbolizer->reads_due_ns > now_ns)
    return false;
  symbolizer->reads_due_ns += gap_ns;
  return true;
}

/* A thread that is still where it was has the same stack. Where the stack may not be read its leaf
 * is all there is. */
static void do_thread(struct denet_stack_worker *symbolizer, const struct job *job) {
  struct denet_block block = block_of(job);
  struct denet_frames *known = denet_blocked_stacks_find(symbolizer->blocks, &block);
  if (known) {
    give_sample(symbolizer, job, known);
    return;
  }
  struct denet_text stack = {"", 0};
  int error = -EAGAIN;
  if (may_read(symbolizer))
    error = denet_blocked_stacks_read(symbolizer->blocks, &block, job->place.registers, &stack);
  if (error == -ESRCH) /* the others will have to do */
    block.tid = 0;
  if (error == -EAGAIN || error == -ESRCH) {
    denet_blocked_stacks_owe(symbolizer->blocks, &block, job->place.reason, job->place.weight_ns);
    return;
  }
  block.frames = unwind(symbolizer, job, stack);
  if (!block.frames)
    return;
  denet_blocked_stacks_keep(symbolizer->blocks, &block);
  give_sample(symbolizer, job, block.frames);
  denet_frames_release(block.frames);
}

/* Where there is no last stack yet the process is owed it, not one of its threads. */
static void do_untold(struct denet_stack_worker *symbolizer, const struct job *job) {
  for (denet_u32 reason = 0; reason < DENET_REASONS; reason++) {
    struct denet_block process = block_of(job);
    struct denet_stack last;
    if (!job->untold_ns[reason])
      continue;
    denet_blocked_stacks_owe(symbolizer->blocks, &process, reason, job->untold_ns[reason]);
    if (!denet_blocked_stacks_last(symbolizer->blocks, &process, reason, &last))
      continue;
    struct job left = *job;
    left.place.reason = reason;
    memcpy(left.place.name, last.thread, sizeof(left.place.name));
    give_sample(symbolizer, &left, last.frames);
  }
}

static void meet(struct denet_stack_worker *symbolizer,
                 const struct denet_stack_worker_process *process) {
  denet_unwinder_meet(symbolizer->unwinder, process->pid, process->start_ns, process->exec_id,
                      process->parent_pid, process->parent_start_ns);
}

static void do_job(struct denet_stack_worker *symbolizer, const struct job *job) {
  const struct denet_stack_worker_process *process = &job->process;
  switch (job->kind) {
  case JOB_MEET:
    meet(symbolizer, process);
    break;
  case JOB_FORGET:
    denet_blocked_stacks_forget(symbolizer->blocks, process->pid, process->start_ns);
    denet_unwinder_forget(symbolizer->unwinder, process->pid, process->start_ns);
    break;
  case JOB_STACK:
    do_stack(symbolizer, job);
    break;
  case JOB_THREAD:
    do_thread(symbolizer, job);
    break;
  case JOB_UNTOLD:
    do_untold(symbolizer, job);
    break;
  }
}

static bool is_stopping(struct denet_stack_worker *symbolizer) {
  pthread_mutex_lock(&symbolizer->lock);
  bool stops = symbolizer->is_stopping;
  pthread_mutex_unlock(&symbolizer->lock);
  return stops;
}

/* A fork has its parent's mappings, whether it still lives or not. */
static void take_beginning(void *context, const struct denet_off_cpu_beginning *beginning) {
  struct denet_stack_worker *symbolizer = context;
  struct denet_stack_worker_process process = {.pid = (pid_t)beginning->head.pid,
                                               .start_ns = beginning->head.start_ns,
                                               .exec_id = beginning->exec_id,
                                               .parent_pid = (pid_t)beginning->parent_pid,
                                               .parent_start_ns = beginning->parent_start_ns};
  if (beginning->head.kind == DENET_OFF_CPU_FORKED)
    meet(symbolizer, &process);
  else if (symbolizer->loading_count < LOADING_MOST)
    symbolizer->loading[symbolizer->loading_count++] =
        (struct loading){process, read_now() + LOAD_NS};
}

static void meet_loaded(struct denet_stack_worker *symbolizer) {
  uint64_t now_ns = read_now();
  size_t done = 0;
  while (done < symbolizer->loading_count && symbolizer->loading[done].due_ns <= now_ns)
    meet(symbolizer, &symbolizer->loading[done++].process);
  symbolizer->loading_count -= done;
  memmove(symbolizer->loading, symbolizer->loading + done,
          symbolizer->loading_count * sizeof(symbolizer->loading[0]));
}

/* Until there are jobs, something has begun or is due, or the thread is to end. */
static void wait_for_work(struct denet_stack_worker *symbolizer) {
  struct pollfd fds[] = {{.fd = symbolizer->wake_fd, .events = POLLIN},
                         {.fd = denet_tracer_beginnings_fd(symbolizer->tracer), .events = POLLIN}};
  bool is_loading = symbolizer->loading_count > 0;
  uint64_t now_ns = read_now(), due_ns = is_loading ? symbolizer->loading[0].due_ns : 0;
  struct timespec pause = {.tv_nsec = due_ns > now_ns ? (long)(due_ns - now_ns) : 0};
  eventfd_t count;
  ppoll(fds, DENET_COUNT_OF(fds), is_loading ? &pause : NULL, NULL);
  eventfd_read(symbolizer->wake_fd, &count);
}

/* Who is still there is met again with its next stack. */
static void forget_all(struct denet_stack_worker *symbolizer) {
  struct denet_unwinder *unwinder;
  const struct denet_stack_worker_settings *settings = &symbolizer->settings;
  struct denet_blocked_stacks *blocks =
      denet_blocked_stacks_new(settings->proc_path, settings->stack_bytes);
  if (!blocks || denet_unwinder_new(settings->proc_path, settings->symbol_bytes, &unwinder)) {
    denet_blocked_stacks_free(blocks);
    return;
  }
  denet_blocked_stacks_free(symbolizer->blocks);
  denet_unwinder_free(symbolizer->unwinder);
  symbolizer->blocks = blocks;
  symbolizer->unwinder = unwinder;
}

/* Takes all the jobs that there are. False: the thread is to end. */
static bool take_jobs(struct denet_stack_worker *symbolizer) {
  denet_buffer_clear(&symbolizer->jobs);
  pthread_mutex_lock(&symbolizer->lock);
  struct denet_buffer jobs = symbolizer->queue;
  symbolizer->queue = symbolizer->jobs;
  symbolizer->jobs = jobs;
  symbolizer->is_busy = jobs.length > 0;
  bool goes_on = !symbolizer->is_stopping, has_missed = symbolizer->has_missed;
  symbolizer->has_missed = false;
  pthread_mutex_unlock(&symbolizer->lock);
  if (has_missed && goes_on)
    forget_all(symbolizer);
  return goes_on;
}

static void rest(struct denet_stack_worker *symbolizer) {
  pthread_mutex_lock(&symbolizer->lock);
  symbolizer->is_busy = false;
  pthread_cond_signal(&symbolizer->is_idle);
  pthread_mutex_unlock(&symbolizer->lock);
  wait_for_work(symbolizer);
}
static void *run(void *context) {
  struct denet_stack_worker *symbolizer = context;
  pthread_setname_np(pthread_self(), "denet-stacks");
  while (take_jobs(symbolizer)) {
    denet_tracer_take_beginnings(symbolizer->tracer, take_beginning, symbolizer);
    meet_loaded(symbolizer);
    denet_blocked_stacks_begin(symbolizer->blocks);
    for (size_t at = 0; at < symbolizer->jobs.length && !is_stopping(symbolizer);) {
      const struct job *job = (const void *)(symbolizer->jobs.bytes + at);
      do_job(symbolizer, job);
      at += sizeof(*job) + ((job->stack_bytes + 7) & ~(size_t)7);
    }
    rest(symbolizer);
  }
  return NULL;
}

/* --- Start and end --- */

static void free_symbolizer(struct denet_stack_worker *symbolizer) {
  for (size_t i = 0; i < symbolizer->sample_count; i++)
    denet_frames_release(symbolizer->samples[i].stack.frames);
  free(symbolizer->samples);
  denet_buffer_done(&symbolizer->queue);
  denet_buffer_done(&symbolizer->jobs);
  denet_buffer_done(&symbolizer->names);
  denet_blocked_stacks_free(symbolizer->blocks);
  denet_unwinder_free(symbolizer->unwinder);
  denet_closep(&symbolizer->wake_fd);
  pthread_cond_destroy(&symbolizer->is_idle);
  pthread_mutex_destroy(&symbolizer->lock);
  free(symbolizer);
}

static void free_symbolizerp(struct denet_stack_worker **symbolizer) {
  if (*symbolizer)
    free_symbolizer(*symbolizer);
}

/* Signals are for others. */
static int start_thread(struct denet_stack_worker *symbolizer) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&symbolizer->thread, NULL, run, symbolizer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -error;
}

int denet_stack_worker_start(const struct denet_stack_worker_settings *settings,
                             struct denet_stack_worker **out_symbolizer) {
  DENET_CLEANUP(free_symbolizerp)
  struct denet_stack_worker *symbolizer = calloc(1, sizeof(*symbolizer));
  if (!symbolizer)
    return -ENOMEM;
  pthread_mutex_init(&symbolizer->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&symbolizer->is_idle, &monotonic);
  pthread_condattr_destroy(&monotonic);
  symbolizer->tracer = settings->tracer;
  symbolizer->settings = *settings;
  symbolizer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  symbolizer->blocks = denet_blocked_stacks_new(settings->proc_path, settings->stack_bytes);
  int error = symbolizer->wake_fd < 0 ? -errno : symbolizer->blocks ? 0 : -ENOMEM;
  if (!error)
    error = denet_unwinder_new(settings->proc_path, settings->symbol_bytes, &symbolizer->unwinder);
  if (!error)
    error = start_thread(symbolizer);
  if (!error)
    *out_symbolizer = DENET_TAKE(symbolizer);
  return error;
}

bool denet_stack_worker_stop(struct denet_stack_worker *symbolizer) {
  if (!symbolizer)
    return true;
  pthread_mutex_lock(&symbolizer->lock);
  symbolizer->is_stopping = true;
  eventfd_write(symbolizer->wake_fd, 1);
  pthread_mutex_unlock(&symbolizer->lock);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += STOP_SECONDS;
  /* One that does not end is left to the end of the process, with all that it uses. */
  if (pthread_timedjoin_np(symbolizer->thread, NULL, &until))
    return false;
  free_symbolizer(symbolizer);
  return true;
}
