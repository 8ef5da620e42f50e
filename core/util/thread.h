/* Threads of denet. */
#pragma once

#include <pthread.h>

/* Starts a thread that runs run(context), blocks all signals, and has this name (at most 15 bytes,
 * pthread_setname_np(3)). The caller owns *out_thread and joins it. 0 or -errno. */
int denet_thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *),
                       void *context);
