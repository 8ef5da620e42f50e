/* lives SHAPE ...: short lives of unusual shape. Processes that it makes are told of in lines such
 * as {"role":"child","pid":12}.
 *
 * fork            a child without exec, which is waited for and ends with status 7
 * exec PROGRAM..  becomes another program after a while
 * killed          ends by SIGKILL
 * thread          its main thread ends before another one, which ends it with status 3
 * double PROGRAM..  its child starts a child and ends at once; that one becomes the program once it
 *                 has lost its parent
 * reap BYTES      a child that writes so much to /dev/null and is waited for
 * hungry MIB      takes memory, so much at most
 * exit            nothing */
#include "talk.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define A_WHILE 0.002

static void burn_a_while(void) { burn_seconds(CLOCK_PROCESS_CPUTIME_ID, A_WHILE); }

static void tell_of(const char *role, pid_t pid) {
  char words[64];
  snprintf(words, sizeof(words), "{\"role\":\"%s\",\"pid\":%d}", role, (int)pid);
  say(words);
}

static int have_child(void) {
  pid_t child = fork();
  if (!child) {
    burn_a_while();
    _exit(7);
  }
  tell_of("child", child);
  waitpid(child, NULL, 0);
  burn_a_while();
  return 0;
}

static void *outlive_main(void *unused) {
  burn_a_while();
  exit(3);
  return unused;
}

static int leave_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, outlive_main, NULL))
    return 9;
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
    tell_of("grandchild", grandchild);
    _exit(0);
  }
  tell_of("middle", child);
  waitpid(child, NULL, 0);
  return 0;
}

static int reap_writer(size_t bytes) {
  static char block[4096];
  pid_t child = fork();
  if (!child) {
    int fd = open("/dev/null", O_WRONLY);
    for (; bytes >= sizeof(block); bytes -= sizeof(block))
      (void)!write(fd, block, sizeof(block));
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
    __asm__ volatile("" ::"r"(memory) : "memory"); /* it was of use */
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
  burn_a_while();
  if (!strcmp(shape, "killed"))
    kill(getpid(), SIGKILL);
  if (!strcmp(shape, "exec") && count > 2)
    execv(arguments[2], arguments + 2);
  return 9;
}
