/* lives SHAPE ...: a short process of an unusual shape. It writes a line such as
 * {"role":"child","pid":12} for a process that it makes.
 *
 * fork            a child without an exec, which is waited for and ends with status 7
 * exec PROGRAM..  executes another program after a moment
 * killed          ends by SIGKILL
 * thread          the main thread ends before another one, which ends the process with status 3
 * double PROGRAM..  a child starts a child and ends; the grandchild executes the program once it
 * has lost its parent reap BYTES      a child that writes so much to /dev/null and is waited for
 * hungry MIB      takes so much memory, until the kernel kills it
 * exit            nothing */
#include "workload.h"

static void burn_moment(void) { burn_ns(CLOCK_PROCESS_CPUTIME_ID, 2000000); }

static void report(const char *role, pid_t pid) {
  say("{\"role\":\"%s\",\"pid\":%d}", role, (int)pid);
}

static int have_child(void) {
  pid_t child = fork();
  if (!child) {
    burn_moment();
    _exit(7);
  }
  report("child", child);
  waitpid(child, NULL, 0);
  burn_moment();
  return 0;
}

static void *outlive_main(void *unused) {
  burn_moment();
  exit(3);
  return unused;
}

static int leave_thread(void) {
  start_thread(outlive_main, NULL);
  pthread_exit(NULL);
}

static int leave_grandchild(char **program) {
  pid_t child = fork();
  if (!child) {
    pid_t middle = getpid(), grandchild = fork();
    if (!grandchild) {
      while (getppid() == middle)
        usleep(100);
      execv(program[0], program);
      _exit(127);
    }
    report("grandchild", grandchild);
    _exit(0);
  }
  report("middle", child);
  waitpid(child, NULL, 0);
  return 0;
}

static int reap_writer(size_t bytes) {
  pid_t child = fork();
  if (!child) {
    write_bytes(open("/dev/null", O_WRONLY), bytes);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  return 0;
}

static int eat(int mebibytes) {
  for (; mebibytes; mebibytes--) {
    char *memory = malloc(1 << 20);
    if (!memory)
      return 8;
    memset(memory, mebibytes, 1 << 20);
    __asm__ volatile("" ::"r"(memory) : "memory"); /* the compiler must not drop it */
  }
  return 0;
}

int main(int count, char **arguments) {
  const char *shape = count > 1 ? arguments[1] : "";
  if (!strcmp(shape, "fork"))
    return have_child();
  if (!strcmp(shape, "thread"))
    return leave_thread();
  if (!strcmp(shape, "double") && count > 2)
    return leave_grandchild(arguments + 2);
  if (!strcmp(shape, "reap") && count > 2)
    return reap_writer((size_t)atoll(arguments[2]));
  if (!strcmp(shape, "hungry") && count > 2)
    return eat(atoi(arguments[2]));
  if (!strcmp(shape, "exit"))
    return 0;
  burn_moment();
  if (!strcmp(shape, "killed"))
    kill(getpid(), SIGKILL);
  if (!strcmp(shape, "exec") && count > 2)
    execv(arguments[2], arguments + 2);
  return 9;
}
