/* What the workloads of the end-to-end tests have in common. A workload writes "ready" when it is
 * set up, reads one command a line from its input and answers each with one line. It ends at the
 * end of its input, so that no workload outlives its test. */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends the process with status 9 unless the condition holds, and writes which one to stderr. */
#define check(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))

__attribute__((noreturn)) static inline void fail(const char *file, int line, const char *what) {
  dprintf(STDERR_FILENO, "%s:%d: not so: %s: %m\n", file, line, what);
  exit(9);
}

/* Writes one line of at most 1 KiB, with its newline, in one call. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...) {
  char line[1024];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof(line) - 1, format, values);
  va_end(values);
  check(length >= 0 && length < (int)sizeof(line) - 1);
  line[length] = '\n';
  check(write(STDOUT_FILENO, line, (size_t)length + 1) == length + 1);
}

/* Returns the next command, without its newline; ends the process at the end of the input. Reads
 * single bytes: a forked child must find the rest of the input unread. */
static inline char *next_command(void) {
  static char line[4096];
  for (size_t length = 0; length < sizeof(line) - 1; length++) {
    if (read(STDIN_FILENO, &line[length], 1) != 1)
      exit(0);
    if (line[length] == '\n') {
      line[length] = '\0';
      return line;
    }
  }
  exit(9);
}

/* Returns what follows the word and a space in the command; NULL if it starts with another word. */
static inline char *argument_of(char *command, const char *word) {
  size_t length = strlen(word);
  return !strncmp(command, word, length) && command[length] == ' ' ? command + length + 1 : NULL;
}

/* Waits for a command or the end of the input for at most timeout_ms, -1: without a bound. */
static inline bool has_input(int timeout_ms) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, timeout_ms) == 1;
}

/* Answers "done" to every command. */
static inline void answer_all(void) {
  for (;;) {
    next_command();
    say("done");
  }
}

/* Starts a thread with a small stack. */
static inline pthread_t start_thread(void *(*run)(void *argument), void *argument) {
  pthread_attr_t small;
  pthread_t thread;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 16);
  check(!pthread_create(&thread, &small, run, argument));
  pthread_attr_destroy(&small);
  return thread;
}

/* Forks a child that is killed when its parent ends. */
static inline pid_t fork_child(void) {
  pid_t parent = getpid(), child = fork();
  check(child >= 0);
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(9);
  }
  return child;
}

static inline void write_bytes(int fd, size_t bytes) {
  static const char block[65536];
  for (size_t length; bytes; bytes -= length) {
    length = bytes < sizeof(block) ? bytes : sizeof(block);
    check(write(fd, block, length) == (ssize_t)length);
  }
}

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t ns_of_ms(const char *ms) { return (uint64_t)(atof(ms) * 1e6); }

static inline void sleep_ns(uint64_t ns) {
  struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
  while (nanosleep(&time, &time))
    ;
}

/* Sleeps until the clock shows ns. */
static inline void sleep_until_ns(clockid_t clock, uint64_t ns) {
  struct timespec until = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  while (clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL))
    ;
}

/* Uses the CPU until the clock has advanced by ns: CLOCK_MONOTONIC, or a CPU-time clock for a known
 * use of CPU, whatever other processes take. */
static inline void burn_ns(clockid_t clock, uint64_t ns) {
  for (uint64_t end = clock_ns(clock) + ns; clock_ns(clock) < end;)
    for (volatile int i = 0; i < 10000; i++)
      ;
}

static inline void name_myself(const char *name) { prctl(PR_SET_NAME, name); }
