/* Calls of core that fail on purpose: the linker's --wrap sends them here (CMakeLists.txt). Nothing
 * fails unless a test asks for it. Check's own calls come here too, so nothing is asserted between
 * faults_begin() and faults_end(). */
#pragma once

#include <limits.h>
#include <stdbool.h>

/* What may fail: sets of functions. */
enum fault_call {
  FAULT_ALLOCATE = 1 << 0, /* malloc() and all that is like it; errno is ENOMEM whatever is asked */
  FAULT_OPEN = 1 << 1,     /* open(), openat(), opendir(), fdopendir(), fts_open() */
  FAULT_READ = 1 << 2,     /* read(), pread() */
  FAULT_LIST = 1 << 3,     /* readdir() */
  FAULT_LINK = 1 << 4,     /* readlinkat() */
  FAULT_STATUS = 1 << 5,   /* fstat(), fstatat() */
  FAULT_MAKE = 1 << 6,     /* mkdir(), mkdirat() */
  FAULT_REMOVE = 1 << 7,   /* unlinkat() */
  FAULT_WRITE = 1 << 8,    /* writev() */
  FAULT_CUT = 1 << 9,      /* ftruncate() */
  FAULT_SEEK = 1 << 10,    /* lseek() */
  FAULT_RENAME = 1 << 11,  /* renameat2() */
};

#define FAULT_ALWAYS UINT_MAX
#define FAULT_SHORT (-1)  /* in place of an errno: a byte is read, half is written */
#define FAULT_VANISH (-2) /* the call goes on, but see gone */

struct fault {
  unsigned calls; /* enum fault_call bits: the calls that are counted */
  unsigned first; /* the first one that fails, from 1 */
  unsigned count; /* how many fail from there on */
  int error;      /* errno of those that fail, or FAULT_* */
  /* FAULT_VANISH: before the first call happens() is run, and from then on each read of a file
   * whose path has gone in it fails with ESRCH, as of a process that is there no more. */
  void (*happens)(void);
  const char *gone;
};

/* From here on calls fail as told; of all threads. The fault is copied. */
void faults_begin(struct fault fault);

/* No call fails any more. Whether one has: if not, there were fewer calls than first. */
bool faults_end(void);

/* While it is paused calls neither count nor fail: for what the test itself does meanwhile. */
void faults_pause(bool is_paused);
