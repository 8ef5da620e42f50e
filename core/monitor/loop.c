#include "core/monitor/loop.h"

#include "core/util/cleanup.h"
#include "core/util/clock.h"
#include "core/util/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

/* The least time between two reads of the source's events: what happens in between waits. */
#define EVENT_INTERVAL_NS UINT64_C(20000000)

/* A tick that a caller waits for: of everything with a report, or the final one. */
struct request {
  enum denet_tick_scope scope;
  void (*each)(void *context, const struct denet_group_report *report);
  void *context;
  struct denet_monitor_stats *out_stats;
};

struct denet_loop {
  struct denet_settings settings; /* owned; without the rules, which the monitor has */
  struct denet_loop_face face;
  struct denet_log log; /* the face's, until the thread is abandoned */
  struct denet_env env;
  struct denet_error no_stacks; /* why stacks are not available; "" if they are */
  pthread_t thread;
  int wake_fd;              /* eventfd(2): written when there is a request */
  atomic_bool is_abandoned; /* the thread did not end in time */

  pthread_mutex_t lock; /* of the next three */
  pthread_cond_t answered;
  struct request request;
  bool has_request; /* and it is not answered yet */

  bool has_timed_out; /* the last request; logged once. Of the caller */

  /* Of the thread. */
  struct denet_monitor *monitor;
  bool is_failing;             /* the last tick failed; logged once */
  unsigned logged_unavailable; /* enum denet_unavailable bits */
};

static void write_log(void *context, enum denet_severity severity, const char *sentence) {
  const struct denet_loop *loop = context;
  if (!loop->is_abandoned && loop->face.log.write)
    loop->face.log.write(loop->face.log.context, severity, sentence);
}

static int send_line(void *context, const struct denet_line *line) {
  struct denet_loop *loop = context;
  return loop->is_abandoned ? ENOENT : loop->face.sink(loop->face.sink_context, line);
}

/* Runs one tick. One log line when ticks begin to fail, one when they work again, and one for each
 * kind of value that turns out to be unavailable. */
static void tick(struct denet_loop *loop, enum denet_tick_scope scope) {
  struct denet_error error = {0};
  bool fails = denet_monitor_tick(loop->monitor, scope, &error) != 0;
  if (fails && !loop->is_failing)
    denet_log_write(&loop->log, DENET_SEVERITY_ERROR, "%s", error.text);
  if (!fails && loop->is_failing)
    denet_log_write(&loop->log, DENET_SEVERITY_NOTICE, "sampling works again");
  loop->is_failing = fails;
  unsigned fresh =
      denet_monitor_source(loop->monitor)->seen_unavailable & ~loop->logged_unavailable;
  for (unsigned i = 0; i < DENET_UNAVAILABLE_ROWS; i++) {
    const struct denet_unavailable_info *info = &denet_unavailable_info[i];
    if (!(fresh & info->lack) || !info->advice)
      continue;
    denet_unavailable_explain(info, info->advice, &error);
    denet_log_write(&loop->log, DENET_SEVERITY_WARNING, "%s", error.text);
  }
  loop->logged_unavailable |= fresh;
}

static struct timespec to_timespec(uint64_t ns) {
  return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* Returns until when the thread pauses after work that began at began_ns and ends now. */
static uint64_t find_rested(uint64_t began_ns) {
  uint64_t ended_ns = denet_clock_boot_ns();
  return ended_ns + denet_interval_backoff(ended_ns - began_ns);
}

/* Waits until the next tick is due, but at least until rested_ns, or until there is a request. An
 * event of the source may bring the tick forward. Returns the scope of the tick. */
static enum denet_tick_scope wait_for_tick(struct denet_loop *loop, uint64_t rested_ns) {
  int event_fd = denet_monitor_source(loop->monitor)->event_fd;
  struct pollfd fds[] = {{.fd = loop->wake_fd, .events = POLLIN}, {.events = POLLIN}};
  uint64_t drain_ns = rested_ns; /* when events may be read next */
  for (;;) {
    uint64_t next_ns = denet_monitor_next_ns(loop->monitor), now_ns = denet_clock_boot_ns();
    if (next_ns < rested_ns)
      next_ns = rested_ns;
    pthread_mutex_lock(&loop->lock);
    enum denet_tick_scope scope = loop->has_request ? loop->request.scope : DENET_TICK_DUE;
    pthread_mutex_unlock(&loop->lock);
    if (scope != DENET_TICK_DUE || now_ns >= next_ns)
      return scope;
    bool may_drain = now_ns >= drain_ns;
    struct timespec time =
        to_timespec((may_drain || next_ns < drain_ns ? next_ns : drain_ns) - now_ns);
    eventfd_t count;
    fds[1].fd = may_drain ? event_fd : -1;
    if (ppoll(fds, DENET_COUNT_OF(fds), &time, NULL) <= 0)
      continue;
    if (fds[0].revents)
      eventfd_read(loop->wake_fd, &count);
    if (!fds[1].revents)
      continue;
    now_ns = denet_clock_boot_ns();
    denet_monitor_drain_events(loop->monitor);
    drain_ns = find_rested(now_ns);
    now_ns = denet_clock_boot_ns();
    if (drain_ns < now_ns + EVENT_INTERVAL_NS)
      drain_ns = now_ns + EVENT_INTERVAL_NS;
  }
}

static void *run(void *context) {
  struct denet_loop *loop = context;
  const struct request *request = &loop->request;
  enum denet_tick_scope scope = DENET_TICK_DUE;
  for (;;) {
    uint64_t began_ns = denet_clock_boot_ns();
    tick(loop, scope);
    pthread_mutex_lock(&loop->lock);
    /* The caller may have given up meanwhile. */
    if (loop->has_request && request->scope == scope) {
      if (request->each)
        denet_monitor_report(loop->monitor, request->each, request->context, request->out_stats);
      loop->has_request = false;
      pthread_cond_signal(&loop->answered);
    }
    pthread_mutex_unlock(&loop->lock);
    if (scope == DENET_TICK_FINAL)
      return NULL;
    scope = wait_for_tick(loop, find_rested(began_ns));
  }
}

/* Has the thread answer a request. Returns false if it has not after timeout_ns: the request for a
 * report is taken back then; that for the end stays. */
static bool request_answer(struct denet_loop *loop, const struct request *request,
                           uint64_t timeout_ns) {
  struct timespec deadline = to_timespec(denet_clock_monotonic_ns() + timeout_ns);
  int error = 0;
  pthread_mutex_lock(&loop->lock);
  loop->request = *request;
  loop->has_request = true;
  eventfd_write(loop->wake_fd, 1);
  while (loop->has_request && !error)
    error = pthread_cond_clockwait(&loop->answered, &loop->lock, CLOCK_MONOTONIC, &deadline);
  bool is_answered = !loop->has_request;
  loop->has_request &= request->scope == DENET_TICK_FINAL;
  pthread_mutex_unlock(&loop->lock);
  return is_answered;
}

static int open_source(struct denet_loop *loop, struct denet_source **out_source) {
  struct denet_error error = {0};
  const char *choice = loop->settings.source;
  int failure = denet_source_open(choice, &loop->env, &error, out_source);
  if (failure)
    denet_log_write(&loop->log, DENET_SEVERITY_ERROR, "Source \"%s\" is not available: %s", choice,
                    error.text);
  else if (error.text[0])
    denet_log_write(
        &loop->log, DENET_SEVERITY_INFO,
        "%s: sampling through %s. Processes that start and end between two samples are not "
        "seen",
        error.text, loop->settings.proc_path);
  else
    denet_log_write(&loop->log, DENET_SEVERITY_INFO, "sampling through %s", (*out_source)->name);
  return failure;
}

/* Opens the profiler if a rule asks for off-CPU stacks. If stacks are not available, the rules have
 * times only, and one log line says why. */
static struct denet_profiler *open_profiler(struct denet_loop *loop,
                                            const struct denet_source *source) {
  struct denet_settings *settings = &loop->settings;
  struct denet_profiler *profiler = NULL;
  struct denet_error *error = &loop->no_stacks;
  bool are_wanted = false;
  for (size_t i = 0; i < settings->rule_count; i++)
    are_wanted |= settings->rules[i].off_cpu == DENET_OFF_CPU_STACKS;
  if (!are_wanted)
    return NULL;
  int failure =
      source->source_id == DENET_SOURCE_ID_BPF
          ? denet_profiler_open(&settings->profiler, settings->proc_path, error, &profiler)
          : denet_error_set(error, -ENOTSUP, "they need the bpf source");
  if (!failure && error->text[0])
    denet_log_write(&loop->log, DENET_SEVERITY_WARNING, "OffCPU \"stacks\": %s", error->text);
  if (!failure)
    return profiler;
  denet_log_write(
      &loop->log, DENET_SEVERITY_WARNING,
      "OffCPU \"stacks\" is not available: %s. Off-CPU times are reported without reasons and "
      "stacks",
      error->text);
  for (size_t i = 0; i < settings->rule_count; i++)
    denet_rule_forgo_stacks(&settings->rules[i]);
  return NULL;
}

static int open_monitor(struct denet_loop *loop) {
  struct denet_error error = {0};
  struct denet_source *source;
  int failure = denet_settings_finish(&loop->settings, &error);
  if (error.text[0])
    denet_log_write(&loop->log, DENET_SEVERITY_ERROR, "%s", error.text);
  if (failure)
    return failure;
  loop->env = denet_env_here(loop->settings.proc_path);
  failure = open_source(loop, &source);
  if (failure)
    return failure;
  struct denet_monitor_settings settings = {
      .interval = {loop->settings.base_interval_ns, loop->settings.max_interval_ns},
      .since_process_start = loop->settings.since_process_start,
      .host_name = loop->face.host_name,
      .no_stacks = loop->no_stacks.text,
      .sink = loop->face.sink ? send_line : NULL,
      .sink_context = loop,
      .log = loop->log,
      .profiler = open_profiler(loop, source),
  };
  failure = denet_monitor_new(&settings, &loop->env, source, loop->settings.rules,
                              loop->settings.rule_count, &error, &loop->monitor);
  if (failure) {
    denet_log_write(&loop->log, DENET_SEVERITY_ERROR, "%s", error.text);
    denet_profiler_free(settings.profiler);
    denet_source_free(source);
  }
  return failure;
}

static void free_loop(struct denet_loop *loop) {
  denet_monitor_free(loop->monitor);
  denet_settings_done(&loop->settings);
  denet_closep(&loop->wake_fd);
  pthread_cond_destroy(&loop->answered);
  pthread_mutex_destroy(&loop->lock);
  free(loop);
}

int denet_loop_start(struct denet_settings *settings, const struct denet_loop_face *face,
                     struct denet_loop **out_loop) {
  struct denet_loop *loop = calloc(1, sizeof(*loop));
  if (!loop) {
    denet_log_write(&face->log, DENET_SEVERITY_ERROR, "out of memory");
    denet_settings_done(settings);
    return -ENOMEM;
  }
  *loop = (struct denet_loop){.settings = *settings,
                              .face = *face,
                              .log = {write_log, loop},
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .answered = PTHREAD_COND_INITIALIZER,
                              .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  *settings = (struct denet_settings){0};
  int error = loop->wake_fd < 0 ? -errno : open_monitor(loop);
  if (!error) {
    error = denet_thread_start(&loop->thread, "denet-sampler", run, loop);
    if (error)
      denet_log_write(&loop->log, DENET_SEVERITY_ERROR,
                      "the thread that samples cannot be started: %s", strerror(-error));
  }
  if (error)
    free_loop(loop);
  else
    *out_loop = loop;
  return error;
}

int denet_loop_report(struct denet_loop *loop, uint64_t timeout_ns,
                      void (*each)(void *context, const struct denet_group_report *report),
                      void *context, struct denet_monitor_stats *out_stats) {
  struct request request = {DENET_TICK_ALL, each, context, out_stats};
  bool has_timed_out = !request_answer(loop, &request, timeout_ns);
  if (has_timed_out && !loop->has_timed_out)
    denet_log_write(
        &loop->log, DENET_SEVERITY_ERROR,
        "a tick has stalled and does not come to an end: a process, or a file system that does "
        "not answer, blocks the sampling");
  if (!has_timed_out && loop->has_timed_out)
    denet_log_write(&loop->log, DENET_SEVERITY_NOTICE,
                    "the tick that stalled has ended: sampling goes on");
  loop->has_timed_out = has_timed_out;
  return has_timed_out ? -ETIMEDOUT : 0;
}

bool denet_loop_stop(struct denet_loop *loop, uint64_t timeout_ns) {
  if (!loop)
    return true;
  struct request request = {.scope = DENET_TICK_FINAL};
  if (request_answer(loop, &request, timeout_ns)) {
    pthread_join(loop->thread, NULL);
    free_loop(loop);
    return true;
  }
  denet_log_write(&loop->log, DENET_SEVERITY_ERROR,
                  "a tick has stalled and does not come to an end: there are no last samples");
  loop->is_abandoned = true;
  pthread_detach(loop->thread);
  return false;
}
