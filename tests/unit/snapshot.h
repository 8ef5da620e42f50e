/* A program that is started, waits somewhere, and whose stack is taken, as BPF would. */
#pragma once

#include "core/stacks/unwind/unwinder.h"
#include "core/util/cleanup.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUDGET (UINT64_C(64) << 20)

struct field {
  pid_t pid;
  int input; /* its standard input: the program continues when it is closed */
  struct denet_snapshot snapshot;
  unsigned char stack[65536];
};

static inline void wait_a_little(void) { nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); }

/* Waits until the process sleeps in read() or clock_nanosleep(). */
static inline void wait_until_blocked(pid_t pid) {
  char path[64], text[128];
  snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
  for (int tries = 0; tries < 5000; tries++) {
    DENET_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[got < 0 ? 0 : got] = '\0';
    /* read of standard input, clock_nanosleep */
    if (strncmp(text, "0 0x0 ", 6) == 0 || strncmp(text, "230 ", 4) == 0)
      return;
    wait_a_little();
  }
  ck_abort_msg("it does not block");
}

/* Starts a program of the tests, or the one at a path, with one argument. */
static inline void start(struct field *field, const char *program, const char *argument) {
  char path[512];
  int ends[2];
  snprintf(path, sizeof(path), "%s/%s", DENET_PROGRAMS, program);
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  field->pid = fork();
  ck_assert_int_ge(field->pid, 0);
  if (field->pid == 0) {
    dup2(ends[0], 0);
    execl(program[0] == '/' ? program : path, program, argument, NULL);
    _exit(127);
  }
  close(ends[0]);
  field->input = ends[1];
  wait_until_blocked(field->pid);
}

/* Reads the registers and at most stack_bytes of the stack. */
static inline void take_snapshot(struct field *field, size_t stack_bytes) {
  struct user_regs_struct registers;
  int status;
  ck_assert_int_eq(ptrace(PTRACE_SEIZE, field->pid, NULL, NULL), 0);
  ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, field->pid, NULL, NULL), 0);
  ck_assert_int_eq(waitpid(field->pid, &status, __WALL), field->pid);
  ck_assert_int_eq(ptrace(PTRACE_GETREGS, field->pid, NULL, &registers), 0);
  field->snapshot = (struct denet_snapshot){
      .pid = field->pid, .start_ns = 7, .exec_id = 1, .stack = field->stack};
  const uint64_t values[DENET_REGISTERS] = {
      registers.rax, registers.rdx, registers.rcx, registers.rbx, registers.rsi, registers.rdi,
      registers.rbp, registers.rsp, registers.r8,  registers.r9,  registers.r10, registers.r11,
      registers.r12, registers.r13, registers.r14, registers.r15, registers.rip};
  memcpy(field->snapshot.registers, values, sizeof(values));
  if (stack_bytes > sizeof(field->stack))
    stack_bytes = sizeof(field->stack);
  /* pread() reads up to the end of the stack. */
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/mem", (int)field->pid);
  DENET_CLOSE int memory = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = pread(memory, field->stack, stack_bytes, (off_t)registers.rsp);
  field->snapshot.stack_bytes = got < 0 ? 0 : (size_t)got;
  ptrace(PTRACE_DETACH, field->pid, NULL, NULL);
}

static inline void stop(struct field *field) {
  int status;
  denet_closep(&field->input);
  if (field->pid <= 0)
    return;
  kill(field->pid, SIGKILL);
  waitpid(field->pid, &status, 0);
  field->pid = -1;
}

static inline struct denet_unwinder *new_unwinder(uint64_t budget) {
  struct denet_unwinder *unwinder;
  ck_assert_int_eq(denet_unwinder_new("/proc", budget, &unwinder), 0);
  return unwinder;
}

/* Writes the frames to out, one a line. */
static inline void tell(struct denet_unwinder *unwinder, const struct denet_snapshot *snapshot,
                        struct denet_buffer *out) {
  denet_buffer_clear(out);
  ck_assert_int_eq(denet_unwinder_append_frames(unwinder, snapshot, out), 0);
  for (size_t i = 0; i < out->length; i++)
    if (out->bytes[i] == '\0')
      out->bytes[i] = '\n';
}
