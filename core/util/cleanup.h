/* Marks for locals that own something, and the two ways to give it away. No other macro of this
 * project touches control flow. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DENET_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Runs function(&variable) when the variable goes out of scope. */
#define DENET_CLEANUP(function) __attribute__((cleanup(function)))
#define DENET_CLOSE DENET_CLEANUP(denet_closep)
#define DENET_FREE DENET_CLEANUP(denet_freep)

/* The value, leaving behind a variable whose cleanup does nothing. */
#define DENET_TAKE(pointer) DENET_EXCHANGE(pointer, NULL)
#define DENET_TAKE_FD(fd) DENET_EXCHANGE(fd, -1)
#define DENET_EXCHANGE(variable, value)                                                            \
  ({                                                                                               \
    __typeof__(variable) taken_ = (variable);                                                      \
    (variable) = (value);                                                                          \
    taken_;                                                                                        \
  })

static inline void denet_closep(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static inline void denet_freep(void *pointer) {
  void **owner = pointer;
  free(*owner);
  *owner = NULL;
}
