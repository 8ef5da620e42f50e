#include "plugin/collectd/sampler.h"

#include "plugin/collectd/collectd_api.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOG_NAME "denet plugin: "
#define HEAR_NS UINT64_C(20000000) /* the least between two looks at what has begun */
#define REPORT_TIMEOUT_S 5
#define STOP_TIMEOUT_S 10

/* A report that somebody waits for. */
struct request {
  void (*each)(void *context, const struct denet_group_report *report);
  void *context;
  struct denet_monitor_stats *out_stats;
};

struct denet_sampler {
  pthread_t thread;
  int wake_fd; /* an eventfd(2): a report is wanted, or the thread is to end */
  atomic_bool is_stopping;
  atomic_bool is_abandoned; /* collectd ends without the thread, whose log is gone */

  pthread_mutex_t lock; /* of the request; nobody keeps it for long */
  pthread_cond_t is_told;
  const struct request *request; /* borrowed; NULL: there is none */
  bool is_held_up;               /* the last one was not met: that has been logged */

  /* The thread's, whom a process or a file system may hold up in a tick. */
  struct denet_monitor *monitor;
  bool is_failing; /* the last tick failed: that has been logged */
  unsigned logged_lacks;
};

/* Once for each thing that cannot be had. */
static void log_lacks(struct denet_sampler *sampler) {
  unsigned fresh =
      denet_monitor_source(sampler->monitor)->seen_unavailable & ~sampler->logged_lacks;
  for (unsigned i = 0; i < DENET_UNAVAILABLE_ROWS; i++)
    if (fresh & denet_unavailable_info[i].lack && denet_unavailable_info[i].advice)
      WARNING(LOG_NAME "%s.", denet_unavailable_info[i].advice);
  sampler->logged_lacks |= fresh;
}

/* One log line when ticks begin to fail and one when they work again. */
static void tick(struct denet_sampler *sampler, enum denet_tick_scope scope) {
  struct denet_error error = {0};
  bool fails = denet_monitor_tick(sampler->monitor, scope, &error) != 0;
  if (sampler->is_abandoned)
    return;
  if (fails && !sampler->is_failing)
    ERROR(LOG_NAME "%s.", error.text);
  if (!fails && sampler->is_failing)
    NOTICE(LOG_NAME "sampling works again.");
  sampler->is_failing = fails;
  log_lacks(sampler);
}

static uint64_t read_boot_ns(void) {
  struct timespec boot;
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return (uint64_t)boot.tv_sec * 1000000000 + (uint64_t)boot.tv_nsec;
}

static void wake(const struct denet_sampler *sampler) { eventfd_write(sampler->wake_fd, 1); }

/* Sleeps until until_ns comes, somebody wakes the thread, or (unless it is -1) event_fd is
 * readable. Returns whether it is. */
static bool doze(const struct denet_sampler *sampler, uint64_t until_ns, uint64_t now_ns,
                 int event_fd) {
  struct pollfd fds[] = {{.fd = sampler->wake_fd, .events = POLLIN},
                         {.fd = event_fd, .events = POLLIN}};
  uint64_t ns = until_ns - now_ns;
  struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  eventfd_t count;
  int ready = ppoll(fds, 2, &time, NULL);
  if (ready > 0 && fds[0].revents)
    eventfd_read(sampler->wake_fd, &count);
  return ready > 0 && fds[1].revents;
}

static bool is_asked(struct denet_sampler *sampler) {
  pthread_mutex_lock(&sampler->lock);
  bool is_asked = sampler->request;
  pthread_mutex_unlock(&sampler->lock);
  return is_asked;
}

/* Waits until the next tick is due, which a process that begins may bring forward, but not before
 * rested_ns, or a report is wanted. False: the thread is to end. */
static bool wait_for_tick(struct denet_sampler *sampler, uint64_t rested_ns,
                          enum denet_tick_scope *out_scope) {
  int event_fd = denet_monitor_event_fd(sampler->monitor);
  uint64_t heard_ns = rested_ns;
  while (!sampler->is_stopping) {
    uint64_t next_ns = denet_monitor_next_ns(sampler->monitor), now_ns = read_boot_ns();
    if (next_ns < rested_ns)
      next_ns = rested_ns;
    bool is_wanted = is_asked(sampler);
    *out_scope = is_wanted ? DENET_TICK_ALL : DENET_TICK_DUE;
    if (is_wanted || now_ns >= next_ns)
      return true;
    bool is_listening = now_ns >= heard_ns;
    uint64_t until_ns = is_listening || next_ns < heard_ns ? next_ns : heard_ns;
    if (doze(sampler, until_ns, now_ns, is_listening ? event_fd : -1)) {
      uint64_t began_ns = read_boot_ns();
      denet_monitor_drain_events(sampler->monitor);
      uint64_t ended_ns = read_boot_ns(), rest_ns = denet_interval_backoff(ended_ns - began_ns);
      heard_ns = ended_ns + (rest_ns > HEAR_NS ? rest_ns : HEAR_NS);
    }
  }
  return false;
}

/* Whoever asked may have given up meanwhile. */
static void report(struct denet_sampler *sampler) {
  pthread_mutex_lock(&sampler->lock);
  const struct request *request = sampler->request;
  if (request)
    denet_monitor_report(sampler->monitor, request->each, request->context, request->out_stats);
  sampler->request = NULL;
  pthread_cond_signal(&sampler->is_told);
  pthread_mutex_unlock(&sampler->lock);
}

static void *run(void *context) {
  struct denet_sampler *sampler = context;
  enum denet_tick_scope scope = DENET_TICK_DUE;
  uint64_t began_ns, rested_ns;
  pthread_setname_np(pthread_self(), "denet-sampler");
  do {
    began_ns = read_boot_ns();
    tick(sampler, scope);
    if (scope == DENET_TICK_ALL)
      report(sampler);
    uint64_t ended_ns = read_boot_ns();
    rested_ns = ended_ns + denet_interval_backoff(ended_ns - began_ns);
  } while (wait_for_tick(sampler, rested_ns, &scope));
  tick(sampler, DENET_TICK_FINAL);
  return NULL;
}

/* Signals are for collectd's main thread. */
static int start_thread(struct denet_sampler *sampler) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&sampler->thread, NULL, run, sampler);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -error;
}

static void init_lock(struct denet_sampler *sampler) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&sampler->is_told, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&sampler->lock, NULL);
}

static void free_sampler(struct denet_sampler *sampler) {
  if (sampler->wake_fd >= 0)
    close(sampler->wake_fd);
  pthread_cond_destroy(&sampler->is_told);
  pthread_mutex_destroy(&sampler->lock);
  free(sampler);
}

int denet_sampler_start(struct denet_monitor *monitor, struct denet_sampler **out_sampler) {
  struct denet_sampler *sampler = calloc(1, sizeof(*sampler));
  if (!sampler)
    return -ENOMEM;
  sampler->monitor = monitor;
  init_lock(sampler);
  sampler->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int error = sampler->wake_fd < 0 ? -errno : start_thread(sampler);
  if (error)
    free_sampler(sampler);
  else
    *out_sampler = sampler;
  return error;
}

static struct timespec from_now(clockid_t clock, time_t seconds) {
  struct timespec moment;
  clock_gettime(clock, &moment);
  moment.tv_sec += seconds;
  return moment;
}

/* One log line when looks begin to be held up and one when they go on. */
static void note_outcome(struct denet_sampler *sampler, bool is_held_up) {
  if (is_held_up && !sampler->is_held_up)
    ERROR(LOG_NAME "a look at the processes does not come to an end: one of them, or a file system "
                   "that does not answer, holds it up.");
  if (!is_held_up && sampler->is_held_up)
    NOTICE(LOG_NAME "looks at the processes are held up no longer.");
  sampler->is_held_up = is_held_up;
}

int denet_sampler_report(struct denet_sampler *sampler,
                         void (*each)(void *context, const struct denet_group_report *report),
                         void *context, struct denet_monitor_stats *out_stats) {
  struct request request = {each, context, out_stats};
  struct timespec deadline = from_now(CLOCK_MONOTONIC, REPORT_TIMEOUT_S);
  int error = 0;
  pthread_mutex_lock(&sampler->lock);
  sampler->request = &request;
  wake(sampler);
  while (sampler->request && !error)
    error = pthread_cond_timedwait(&sampler->is_told, &sampler->lock, &deadline);
  bool is_held_up = sampler->request;
  sampler->request = NULL;
  pthread_mutex_unlock(&sampler->lock);
  note_outcome(sampler, is_held_up);
  return is_held_up ? -ETIMEDOUT : 0;
}

unsigned denet_sampler_source_gauge(const struct denet_sampler *sampler) {
  return denet_monitor_source(sampler->monitor)->source_id; /* it never changes */
}

bool denet_sampler_stop(struct denet_sampler *sampler) {
  if (!sampler)
    return true;
  sampler->is_stopping = true;
  wake(sampler);
  /* By the calendar, as the thread sanitizer knows no other such join. */
  struct timespec deadline = from_now(CLOCK_REALTIME, STOP_TIMEOUT_S);
  if (pthread_timedjoin_np(sampler->thread, NULL, &deadline)) {
    sampler->is_abandoned = true;
    ERROR(LOG_NAME "a look at the processes does not come to an end: there are no last samples.");
    return false;
  }
  denet_monitor_free(sampler->monitor);
  free_sampler(sampler);
  return true;
}
