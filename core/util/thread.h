/* Threads of denet. */
#pragma once

#include <pthread.h>
#include <signal.h>

/* Starts a thread that runs run(context), blocks all signals, and has this name (at most 15 bytes,
 * pthread_setname_np(3)). The caller owns *out_thread and joins it. 0 or -errno. */
static inline int denet_thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *),
                                     void *context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(out_thread, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error)
    pthread_setname_np(*out_thread, name);
  return -error;
}
