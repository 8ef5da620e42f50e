#include "core/util/thread.h"

#include <signal.h>

int denet_thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *),
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
