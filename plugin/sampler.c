#include "sampler.h"

#include "collectd_api.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOG_NAME "denet plugin: "
#define HEAR_NS UINT64_C(20000000) /* the least between two looks at what has begun */

struct denet_sampler {
  struct denet_monitor *monitor;
  pthread_t thread;
  pthread_mutex_t lock; /* guards all below and the monitor */
  int wake_fd;          /* an eventfd(2): something about the next tick has changed */
  bool is_stopping;
  bool is_failing; /* the last tick failed: that has been logged */
  unsigned logged_lacks;
};

/* Once for each thing that cannot be had. */
static void log_lacks(struct denet_sampler *sampler) {
  unsigned fresh = denet_monitor_source(sampler->monitor)->met_lacks & ~sampler->logged_lacks;
  for (unsigned i = 0; i < DENET_LACKS; i++)
    if (fresh & denet_lack_info[i].lack && denet_lack_info[i].advice)
      WARNING(LOG_NAME "%s.", denet_lack_info[i].advice);
  sampler->logged_lacks |= fresh;
}

/* One log line when ticks begin to fail and one when they work again. */
static void tick(struct denet_sampler *sampler, enum denet_tick_scope scope) {
  struct denet_error error = {0};
  bool fails = denet_monitor_tick(sampler->monitor, scope, &error) != 0;
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

/* Lets others have the lock until_ns comes, somebody wakes the thread, or (unless it is -1) call_fd
 * is readable. Returns whether it is. */
static bool doze(struct denet_sampler *sampler, uint64_t until_ns, uint64_t now_ns, int call_fd) {
  struct pollfd fds[] = {{.fd = sampler->wake_fd, .events = POLLIN},
                         {.fd = call_fd, .events = POLLIN}};
  uint64_t ns = until_ns - now_ns;
  struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  eventfd_t count;
  pthread_mutex_unlock(&sampler->lock);
  int ready = ppoll(fds, 2, &time, NULL);
  pthread_mutex_lock(&sampler->lock);
  if (ready > 0 && fds[0].revents)
    eventfd_read(sampler->wake_fd, &count);
  return ready > 0 && fds[1].revents;
}

/* Waits until the next tick is due, which a report may put off and a process that begins bring
 * forward, but not before rested_ns. False: the thread is to end. */
static bool wait_for_tick(struct denet_sampler *sampler, uint64_t rested_ns) {
  int call_fd = denet_monitor_call_fd(sampler->monitor);
  uint64_t heard_ns = rested_ns;
  while (!sampler->is_stopping) {
    uint64_t next_ns = denet_monitor_next_ns(sampler->monitor), now_ns = read_boot_ns();
    if (next_ns < rested_ns)
      next_ns = rested_ns;
    if (now_ns >= next_ns)
      return true;
    bool is_listening = now_ns >= heard_ns;
    uint64_t until_ns = is_listening || next_ns < heard_ns ? next_ns : heard_ns;
    if (doze(sampler, until_ns, now_ns, is_listening ? call_fd : -1)) {
      uint64_t began_ns = read_boot_ns();
      denet_monitor_hear(sampler->monitor);
      uint64_t ended_ns = read_boot_ns(), rest_ns = denet_pace_rest(ended_ns - began_ns);
      heard_ns = ended_ns + (rest_ns > HEAR_NS ? rest_ns : HEAR_NS);
    }
  }
  return false;
}

static void *run(void *context) {
  struct denet_sampler *sampler = context;
  pthread_setname_np(pthread_self(), "denet-sampler");
  pthread_mutex_lock(&sampler->lock);
  uint64_t began_ns, rested_ns;
  do {
    began_ns = read_boot_ns();
    tick(sampler, DENET_TICK_DUE);
    /* However short the intervals and slow the ticks: reports and the end of collectd must get
     * their turn at the lock as well. */
    uint64_t ended_ns = read_boot_ns();
    rested_ns = ended_ns + denet_pace_rest(ended_ns - began_ns) + 1;
  } while (wait_for_tick(sampler, rested_ns));
  pthread_mutex_unlock(&sampler->lock);
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

static void free_sampler(struct denet_sampler *sampler) {
  if (sampler->wake_fd >= 0)
    close(sampler->wake_fd);
  pthread_mutex_destroy(&sampler->lock);
  free(sampler);
}

int denet_sampler_start(struct denet_monitor *monitor, struct denet_sampler **out_sampler) {
  struct denet_sampler *sampler = calloc(1, sizeof(*sampler));
  if (!sampler)
    return -ENOMEM;
  sampler->monitor = monitor;
  pthread_mutex_init(&sampler->lock, NULL);
  sampler->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int error = sampler->wake_fd < 0 ? -errno : start_thread(sampler);
  if (error)
    free_sampler(sampler);
  else
    *out_sampler = sampler;
  return error;
}

void denet_sampler_report(struct denet_sampler *sampler,
                          void (*each)(void *context, const struct denet_group_report *report),
                          void *context, struct denet_monitor_stats *out_stats) {
  pthread_mutex_lock(&sampler->lock);
  tick(sampler, DENET_TICK_ALL);
  denet_monitor_report(sampler->monitor, each, context, out_stats);
  wake(sampler); /* the next tick may be due at another time now */
  pthread_mutex_unlock(&sampler->lock);
}

unsigned denet_sampler_source_gauge(const struct denet_sampler *sampler) {
  return denet_monitor_source(sampler->monitor)->gauge;
}

void denet_sampler_stop(struct denet_sampler *sampler) {
  if (!sampler)
    return;
  pthread_mutex_lock(&sampler->lock);
  sampler->is_stopping = true;
  wake(sampler);
  pthread_mutex_unlock(&sampler->lock);
  pthread_join(sampler->thread, NULL);
  tick(sampler, DENET_TICK_FINAL);
  denet_monitor_free(sampler->monitor);
  free_sampler(sampler);
}
