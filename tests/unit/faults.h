/* Makes calls of core fail: the linker's --wrap sends them here (CMakeLists.txt). Nothing fails
 * unless a test asks for it. Calls of Check come here too, so a test asserts nothing between
 * faults_begin() and faults_end(). */
#pragma once

#include <limits.h>
#include <stdbool.h>

/* Sets of functions that can fail. */
enum fault_call {
  FAULT_ALLOCATE = 1 << 0, /* malloc() and the like; errno is always ENOMEM */
  FAULT_OPEN = 1 << 1,     /* open(), openat(), opendir(), fdopendir() */
  FAULT_READ = 1 << 2,     /* read(), pread() */
  FAULT_LIST = 1 << 3,     /* readdir() */
  FAULT_LINK = 1 << 4,     /* readlinkat() */
  FAULT_STATUS = 1 << 5,   /* fstat(), fstatat() */
  FAULT_MAKE = 1 << 6,     /* mkdir(), mkdirat() */
  FAULT_REMOVE = 1 << 7,   /* unlinkat() */
  FAULT_WRITE = 1 << 8,    /* writev() */
  FAULT_CUT = 1 << 9,      /* ftruncate() */
  FAULT_SEEK = 1 << 10,    /* lseek() */
};

#define FAULT_ALWAYS UINT_MAX
#define FAULT_SHORT (-1)  /* instead of an errno: one byte is read, half is written */
#define FAULT_VANISH (-2) /* the call itself does not fail; see gone */

struct fault {
  unsigned calls; /* enum fault_call bits: the calls that count */
  unsigned first; /* the first call that fails, from 1 */
  unsigned count; /* how many calls fail from there on */
  int error;      /* errno of those that fail, or FAULT_* */
  /* FAULT_VANISH: happens() is called before the first call. After it each read of a file whose
   * path contains gone fails with ESRCH, as for a process that has exited. */
  void (*happens)(void);
  const char *gone;
};

/* Begins to make calls of all threads fail. The fault is copied. */
void faults_begin(struct fault fault);

/* Ends that. Returns whether a call has failed: if not, there were fewer calls than first. */
bool faults_end(void);

/* Excludes calls of the test itself: while paused, calls neither count nor fail. */
void faults_pause(bool is_paused);
