#include "core/stacks/stack_worker.h"

#include "core/stacks/blocked_stacks.h"
#include "core/stacks/unwind/unwinder.h"
#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "core/util/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)
#define QUEUE_BYTES_MOST (8 << 20)
#define SAMPLES_MOST 16384
#define BURST_NS (2 * SECOND_NS) /* of reads that may be made at once */
#define STOP_SECONDS 2           /* a read of another process's memory may stall */
/* After an exec, until the libraries are mapped; and how many processes may wait for that. */
#define LOAD_NS UINT64_C(3000000)
#define LOADING_MOST 256

enum job_kind { JOB_OPEN, JOB_CLOSE, JOB_SAMPLE };

/* In the queue, with the stack's bytes behind it; a multiple of eight bytes. */
struct job {
  enum job_kind kind;
  size_t stack_bytes;
  struct denet_exec_event process; /* of a sample only its head */
  struct denet_sample_point point;
  uint64_t off_since_ns; /* of a blocked thread, whose stack is yet to be read; else 0 */
};

/* A program that has begun, and maps its libraries. */
struct loading {
  struct denet_exec_event process;
  uint64_t due_ns;
};

struct denet_stack_worker {
  struct denet_profiler_settings settings;
  char *proc_path; /* owned: a thread that stalls is left with all that it uses */
  struct denet_tracer *tracer;
  pthread_t thread;
  int wake_fd; /* an eventfd(2): there is something to do */
  atomic_bool is_stopping;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t is_idle;
  bool is_busy;
  bool has_lost_process;       /* a job that opens or closes a process was dropped */
  struct denet_buffer queue;   /* of struct job */
  struct denet_buffer samples; /* ready; each with a reference to its frames */
  uint64_t lost;

  /* The thread's own: */
  struct denet_unwinder *unwinder;
  struct denet_blocked_stacks blocked;
  uint64_t read_due_ns;                 /* when the next stack may be read */
  struct loading loading[LOADING_MOST]; /* the first is due first */
  size_t loading_count;
  struct denet_buffer jobs; /* being done */
  struct denet_buffer stack, names;
};

/* --- For other threads --- */

/* Queues the job, with job.stack_bytes of stack. If the thread is stalled, samples are dropped
 * first, and only then what opens and closes processes: the thread starts over with none. */
static void queue_job(struct denet_stack_worker *worker, struct job job, const void *stack) {
  static const char padding[8];
  size_t padding_bytes = -job.stack_bytes % sizeof(padding);
  bool is_sample = job.kind == JOB_SAMPLE;
  pthread_mutex_lock(&worker->lock);
  struct denet_buffer *queue = &worker->queue;
  if (queue->length > (is_sample ? QUEUE_BYTES_MOST : 2 * QUEUE_BYTES_MOST) ||
      denet_buffer_reserve(queue, sizeof(job) + job.stack_bytes + padding_bytes)) {
    worker->lost += is_sample;
    worker->has_lost_process |= !is_sample;
  } else {
    denet_buffer_append(queue, &job, sizeof(job));
    denet_buffer_append(queue, stack, job.stack_bytes);
    denet_buffer_append(queue, padding, padding_bytes);
    eventfd_write(worker->wake_fd, 1);
  }
  pthread_mutex_unlock(&worker->lock);
}

void denet_stack_worker_open_process(struct denet_stack_worker *worker,
                                     const struct denet_exec_event *exec_event) {
  queue_job(worker, (struct job){.kind = JOB_OPEN, .process = *exec_event}, NULL);
}

void denet_stack_worker_close_process(struct denet_stack_worker *worker, pid_t pid,
                                      uint64_t start_ns) {
  struct denet_bpf_head head = {.pid = (denet_u32)pid, .start_ns = start_ns};
  queue_job(worker, (struct job){.kind = JOB_CLOSE, .process.head = head}, NULL);
}

void denet_stack_worker_add_sample(struct denet_stack_worker *worker,
                                   const struct denet_bpf_head *head,
                                   const struct denet_sample_point *point, uint64_t off_since_ns,
                                   struct denet_text stack) {
  queue_job(worker, (struct job){JOB_SAMPLE, stack.length, {.head = *head}, *point, off_since_ns},
            stack.bytes);
}

uint64_t denet_stack_worker_take_samples(struct denet_stack_worker *worker, uint64_t wait_ns,
                                         struct denet_buffer *samples) {
  uint64_t until_ns = denet_clock_monotonic_ns() + wait_ns;
  struct timespec until = {(time_t)(until_ns / SECOND_NS), (long)(until_ns % SECOND_NS)};
  denet_buffer_clear(samples);
  pthread_mutex_lock(&worker->lock);
  for (int outcome = 0; !outcome && (worker->queue.length || worker->is_busy);)
    outcome = pthread_cond_clockwait(&worker->is_idle, &worker->lock, CLOCK_MONOTONIC, &until);
  *samples = DENET_EXCHANGE(worker->samples, *samples);
  uint64_t lost = worker->lost;
  pthread_mutex_unlock(&worker->lock);
  return lost;
}

/* --- The thread: samples --- */

static void append_sample(struct denet_stack_worker *worker, const struct job *job,
                          struct denet_frames *frames) {
  struct denet_sample sample = {.pid = (pid_t)job->process.head.pid,
                                .start_ns = job->process.head.start_ns,
                                .stack = {.frames = frames,
                                          .reason = job->point.reason,
                                          .time_ns = job->point.weight_ns,
                                          .count = 1}};
  memcpy(sample.stack.thread, job->point.name, sizeof(sample.stack.thread));
  pthread_mutex_lock(&worker->lock);
  if (worker->samples.length == SAMPLES_MOST * sizeof(sample) ||
      denet_buffer_append(&worker->samples, &sample, sizeof(sample)))
    worker->lost++;
  else
    denet_frames_hold(frames);
  pthread_mutex_unlock(&worker->lock);
}

/* NULL: no memory. */
static struct denet_frames *unwind(struct denet_stack_worker *worker, const struct job *job,
                                   struct denet_text stack) {
  _Static_assert(DENET_REGISTERS == DENET_OFF_CPU_REGISTERS, "the same registers");
  struct denet_snapshot snapshot = {.pid = (pid_t)job->process.head.pid,
                                    .start_ns = job->process.head.start_ns,
                                    .exec_id = job->point.exec_id,
                                    .stack = (const unsigned char *)stack.bytes,
                                    .stack_bytes = stack.length};
  memcpy(snapshot.registers, job->point.registers, sizeof(snapshot.registers));
  denet_buffer_clear(&worker->names);
  if (denet_unwinder_append_frames(worker->unwinder, &snapshot, &worker->names))
    denet_buffer_append(&worker->names, DENET_TRUNCATED, sizeof(DENET_TRUNCATED));
  return denet_frames_new(denet_buffer_text(&worker->names));
}

/* Returns whether one more stack may be read. The kernel bounds first samples of intervals likewise
 * (may_list_stack(), bpf/sampling.h), so that the time of those that are refused stays for the
 * stack of the thread's return. This bounds all reads, also those of frames that were not kept. */
static bool may_read(struct denet_stack_worker *worker, uint64_t now_ns) {
  uint64_t least_ns = now_ns > BURST_NS ? now_ns - BURST_NS : 0;
  if (worker->read_due_ns > now_ns)
    return false;
  worker->read_due_ns = worker->read_due_ns > least_ns ? worker->read_due_ns : least_ns;
  worker->read_due_ns += SECOND_NS / (worker->settings.rate / 2);
  return true;
}

/* Makes the sample of a blocked thread. The frames are kept, since a thread that is off its CPU for
 * long is sampled in each tick. There is no sample if the thread is elsewhere by now. Of a stack
 * that may not be read the leaf is shown, cut. */
static void do_blocked(struct denet_stack_worker *worker, const struct job *job) {
  const struct denet_bpf_head *head = &job->process.head;
  struct denet_blocked_interval interval = {(pid_t)head->pid, (pid_t)job->point.tid, head->start_ns,
                                            job->off_since_ns};
  uint64_t now_ns = denet_clock_monotonic_ns();
  struct denet_frames *known = denet_blocked_stacks_find(&worker->blocked, &interval, now_ns);
  if (known)
    append_sample(worker, job, known);
  if (known || !may_read(worker, now_ns))
    return;
  int error = denet_blocked_stacks_read(worker->proc_path, &interval, job->point.registers,
                                        worker->settings.stack_bytes, &worker->stack);
  if (error == -EAGAIN || error == -ESRCH)
    return;
  struct denet_frames *frames = unwind(worker, job, denet_buffer_text(&worker->stack));
  if (!frames)
    return;
  append_sample(worker, job, frames);
  denet_blocked_stacks_keep(&worker->blocked, &interval, now_ns, frames);
  denet_frames_release(frames);
}

static void do_sample(struct denet_stack_worker *worker, const struct job *job) {
  struct denet_frames *frames =
      unwind(worker, job, (struct denet_text){(const char *)(job + 1), job->stack_bytes});
  if (frames)
    append_sample(worker, job, frames);
  denet_frames_release(frames);
}

/* --- The thread: processes --- */

static void open_process(struct denet_stack_worker *worker,
                         const struct denet_exec_event *process) {
  denet_unwinder_open_process(worker->unwinder, (pid_t)process->head.pid, process->head.start_ns,
                              process->exec_id, (pid_t)process->parent_pid,
                              process->parent_start_ns);
}

/* A fork has its parent's mappings, whether it still lives or not. */
static void take_exec_event(void *context, const struct denet_bpf_head *head, size_t size) {
  struct denet_stack_worker *worker = context;
  const struct denet_exec_event *event = (const void *)head;
  if (size < sizeof(*event))
    return;
  if (head->kind == DENET_OFF_CPU_FORKED)
    open_process(worker, event);
  else if (worker->loading_count < LOADING_MOST)
    worker->loading[worker->loading_count++] =
        (struct loading){*event, denet_clock_monotonic_ns() + LOAD_NS};
}

static void open_loaded(struct denet_stack_worker *worker) {
  uint64_t now_ns = denet_clock_monotonic_ns();
  size_t done = 0;
  while (done < worker->loading_count && worker->loading[done].due_ns <= now_ns)
    open_process(worker, &worker->loading[done++].process);
  worker->loading_count -= done;
  memmove(worker->loading, worker->loading + done,
          worker->loading_count * sizeof(*worker->loading));
}

/* --- The thread: its loop --- */

static void do_job(struct denet_stack_worker *worker, const struct job *job) {
  const struct denet_bpf_head *head = &job->process.head;
  if (job->kind == JOB_OPEN)
    open_process(worker, &job->process);
  else if (job->kind == JOB_CLOSE)
    denet_unwinder_close_process(worker->unwinder, (pid_t)head->pid, head->start_ns);
  else if (job->off_since_ns)
    do_blocked(worker, job);
  else
    do_sample(worker, job);
}

/* Takes all the jobs that there are. */
static void take_jobs(struct denet_stack_worker *worker) {
  denet_buffer_clear(&worker->jobs);
  pthread_mutex_lock(&worker->lock);
  worker->jobs = DENET_EXCHANGE(worker->queue, worker->jobs);
  worker->is_busy = worker->jobs.length > 0;
  bool has_lost_process = DENET_EXCHANGE(worker->has_lost_process, false);
  pthread_mutex_unlock(&worker->lock);
  if (has_lost_process)
    denet_unwinder_close_all(worker->unwinder);
}

/* Waits until there are jobs or exec events, a loading program is due, or the thread is to end. */
static void wait_for_work(struct denet_stack_worker *worker) {
  pthread_mutex_lock(&worker->lock);
  worker->is_busy = false;
  pthread_cond_signal(&worker->is_idle);
  pthread_mutex_unlock(&worker->lock);
  struct pollfd fds[] = {{.fd = worker->wake_fd, .events = POLLIN},
                         {.fd = denet_tracer_exec_fd(worker->tracer), .events = POLLIN}};
  bool is_loading = worker->loading_count > 0;
  uint64_t now_ns = denet_clock_monotonic_ns(), due_ns = is_loading ? worker->loading[0].due_ns : 0;
  struct timespec pause = {.tv_nsec = due_ns > now_ns ? (long)(due_ns - now_ns) : 0};
  eventfd_t count;
  ppoll(fds, DENET_COUNT_OF(fds), is_loading ? &pause : NULL, NULL);
  eventfd_read(worker->wake_fd, &count);
}

static void *run(void *context) {
  struct denet_stack_worker *worker = context;
  while (!worker->is_stopping) {
    take_jobs(worker);
    denet_tracer_drain(worker->tracer, DENET_TRACER_EXEC_EVENTS, take_exec_event, worker);
    open_loaded(worker);
    for (size_t at = 0; at < worker->jobs.length && !worker->is_stopping;) {
      const struct job *job = (const void *)(worker->jobs.bytes + at);
      do_job(worker, job);
      at += sizeof(*job) + ((job->stack_bytes + 7) & ~(size_t)7);
    }
    wait_for_work(worker);
  }
  return NULL;
}

/* --- Start and end --- */

static void free_worker(struct denet_stack_worker *worker) {
  const struct denet_sample *samples = (const void *)worker->samples.bytes;
  for (size_t i = 0; i < worker->samples.length / sizeof(*samples); i++)
    denet_frames_release(samples[i].stack.frames);
  denet_buffer_done(&worker->samples);
  denet_buffer_done(&worker->queue);
  denet_buffer_done(&worker->jobs);
  denet_buffer_done(&worker->stack);
  denet_buffer_done(&worker->names);
  denet_blocked_stacks_done(&worker->blocked);
  denet_unwinder_free(worker->unwinder);
  free(worker->proc_path);
  denet_closep(&worker->wake_fd);
  pthread_cond_destroy(&worker->is_idle);
  pthread_mutex_destroy(&worker->lock);
  free(worker);
}

int denet_stack_worker_start(const struct denet_profiler_settings *settings, const char *proc_path,
                             struct denet_tracer *tracer, struct denet_stack_worker **out_worker) {
  struct denet_stack_worker *worker = calloc(1, sizeof(*worker));
  if (!worker)
    return -ENOMEM;
  pthread_cond_init(&worker->is_idle, NULL);
  pthread_mutex_init(&worker->lock, NULL);
  worker->settings = *settings;
  worker->proc_path = strdup(proc_path);
  worker->tracer = tracer;
  worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int error = worker->wake_fd < 0 || !worker->proc_path ? -errno : 0;
  if (!error)
    error = denet_unwinder_new(worker->proc_path, settings->symbol_bytes, &worker->unwinder);
  if (!error)
    error = denet_thread_start(&worker->thread, "denet-stacks", run, worker);
  if (error)
    free_worker(worker);
  else
    *out_worker = worker;
  return error;
}

bool denet_stack_worker_stop(struct denet_stack_worker *worker) {
  if (!worker)
    return true;
  worker->is_stopping = true;
  eventfd_write(worker->wake_fd, 1);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += STOP_SECONDS;
  /* A stalled thread is left until the process ends, with all that it uses. */
  if (pthread_timedjoin_np(worker->thread, NULL, &until))
    return false;
  free_worker(worker);
  return true;
}
