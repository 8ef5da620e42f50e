/* To be preloaded: the CLOCK_REALTIME of the process is as many seconds behind as the file that
 * CLOCK_FILE names has bytes. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t clock, struct timespec * now);
  if (!real)
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int outcome = real(clock, now);
  const char *path = clock == CLOCK_REALTIME ? getenv("CLOCK_FILE") : NULL;
  struct stat status;
  if (!outcome && path && !stat(path, &status))
    now->tv_sec -= status.st_size;
  return outcome;
}
