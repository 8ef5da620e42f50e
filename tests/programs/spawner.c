/* spawner: starts processes when told, and says what the kernel counted for each of them.
 *
 * "run COUNT AT_ONCE PROGRAM ARGUMENTS..." runs the program COUNT times, AT_ONCE at a time, with
 * its number, from 0, as one more argument. One JSON line for each as it ends: wait4's rusage and
 * /proc/PID/io. "storm COUNT [PROGRAM ARGUMENTS...]" starts processes one after the other as fast
 * as it goes, which end at once, or exec the program. Both end with the line "done".
 *
 * For the processes of later runs: "as UID" is who they are, "in FILE" the cgroup.procs that they
 * write themselves to, "at FOLDER" where they (and this one) are, "name NAME" what they (and this
 * one) are called until they exec. */
#include "talk.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { MOST_AT_ONCE = 64, MOST_ARGUMENTS = 32 };

static struct {
  uid_t user;
  char cgroup[4096];
} becoming;

static struct {
  pid_t pid; /* 0: free */
  int number;
} slots[MOST_AT_ONCE];

/* Cuts words into arguments, a NULL behind the last, and leaves room for one more. */
static void split(char *words, char **out_arguments) {
  int count = 0;
  for (char *word = strtok(words, " "); word && count < MOST_ARGUMENTS - 2;
       word = strtok(NULL, " "))
    out_arguments[count++] = word;
  out_arguments[count] = NULL;
}

static void become(void) {
  if (becoming.cgroup[0]) {
    int fd = open(becoming.cgroup, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
      _exit(121);
    close(fd);
  }
  if (becoming.user && setuid(becoming.user))
    _exit(122);
}

static void start(char **arguments, int slot, int number) {
  pid_t pid = fork();
  if (pid < 0)
    exit(9);
  if (!pid) {
    char text[16];
    int count = 0;
    while (arguments[count])
      count++;
    snprintf(text, sizeof(text), "%d", number);
    arguments[count] = text;
    arguments[count + 1] = NULL;
    become();
    execv(arguments[0], arguments);
    _exit(127);
  }
  slots[slot].pid = pid;
  slots[slot].number = number;
}

/* The text of /proc/PID/NAME; empty when it cannot be read. */
static const char *read_proc(pid_t pid, const char *name) {
  static char text[4096];
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  text[length > 0 ? length : 0] = '\0';
  if (fd >= 0)
    close(fd);
  return text;
}

/* A zombie still has one context switch before it, its last. It has no stack from then on, but
 * also seems to have none while it runs on another CPU: hence the second look. */
static void wait_for_last_switch(pid_t zombie) {
  for (int empty = 0; empty < 2;) {
    empty = read_proc(zombie, "stack")[0] ? 0 : empty + 1;
    usleep(100);
  }
}

static void say_cost(int number, pid_t pid) {
  unsigned long long io[6] = {0};
  struct rusage usage;
  int status = 0;
  wait_for_last_switch(pid);
  sscanf(read_proc(pid, "io"),
         "rchar: %llu wchar: %llu syscr: %llu syscw: %llu read_bytes: %llu write_bytes: %llu",
         &io[0], &io[1], &io[2], &io[3], &io[4], &io[5]);
  if (wait4(pid, &status, 0, &usage) != pid)
    exit(9);
  dprintf(STDOUT_FILENO,
          "{\"number\":%d,\"pid\":%d,\"%s\":%d,\"utime_us\":%lld,\"stime_us\":%lld,\"minflt\":%ld,"
          "\"majflt\":%ld,\"nvcsw\":%ld,\"nivcsw\":%ld,\"rchar\":%llu,\"wchar\":%llu,"
          "\"syscr\":%llu,\"syscw\":%llu,\"read_bytes\":%llu,\"write_bytes\":%llu}\n",
          number, (int)pid, WIFSIGNALED(status) ? "signal" : "code",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
          usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec,
          usage.ru_stime.tv_sec * 1000000LL + usage.ru_stime.tv_usec, usage.ru_minflt,
          usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw, io[0], io[1], io[2], io[3], io[4],
          io[5]);
}

/* Waits for the end of any, says what it cost, and gives the slot that is free now. */
static int end_one(void) {
  siginfo_t info = {0};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT))
    exit(9);
  for (int slot = 0; slot < MOST_AT_ONCE; slot++)
    if (slots[slot].pid == info.si_pid) {
      say_cost(slots[slot].number, info.si_pid);
      slots[slot].pid = 0;
      return slot;
    }
  exit(9);
}

static void run(int count, int at_once, char *words) {
  char *arguments[MOST_ARGUMENTS];
  split(words, arguments);
  for (int number = 0; number < count; number++)
    start(arguments, number < at_once ? number : end_one(), number);
  for (int running = count < at_once ? count : at_once; running; running--)
    end_one();
}

static void storm(int count, char *words) {
  char *arguments[MOST_ARGUMENTS];
  split(words, arguments);
  for (int i = 0; i < count; i++) {
    pid_t pid = vfork();
    if (!pid) {
      if (arguments[0])
        execv(arguments[0], arguments);
      _exit(0);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
      exit(9);
  }
}

int main(void) {
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    int count = 0, at_once = 0, end = 0;
    if (sscanf(word, "run %d %d %n", &count, &at_once, &end) == 2 && at_once <= MOST_AT_ONCE)
      run(count, at_once, word + end);
    else if (sscanf(word, "storm %d %n", &count, &end) == 1)
      storm(count, word + end);
    else if (!strncmp(word, "as ", 3))
      becoming.user = (uid_t)atoi(word + 3);
    else if (!strncmp(word, "in ", 3))
      snprintf(becoming.cgroup, sizeof(becoming.cgroup), "%s", word + 3);
    else if (!strncmp(word, "name ", 5))
      name_myself(word + 5);
    else if (strncmp(word, "at ", 3) || chdir(word + 3))
      return 9;
    say("done");
  }
}
