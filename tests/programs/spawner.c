/* spawner: starts processes and writes what the kernel has counted for each of them.
 *
 * "run COUNT AT_ONCE PROGRAM ARGUMENTS..." runs the program COUNT times, AT_ONCE at a time, with
 * its number, from 0, as the last argument. It writes one JSON line for each process that has
 * ended: rusage of wait4(2), and /proc/PID/io. "storm COUNT [PROGRAM ARGUMENTS...]" starts
 * processes one after the other, as fast as possible, which end at once or execute the program.
 * Both end with the line "done".
 *
 * Commands for the processes of later runs: "as UID" sets their user, "in FILE" the cgroup.procs
 * that they write to, "at FOLDER" their working directory and this program's, "name NAME" their
 * name until the exec and this program's. */
#include "workload.h"

#include <sys/resource.h>

enum { MOST_AT_ONCE = 64, MOST_ARGUMENTS = 32 };

static struct {
  uid_t user;
  char cgroup[4096];
} child;

static struct {
  pid_t pid; /* 0: free */
  int number;
} slots[MOST_AT_ONCE];

/* Splits words into NULL-terminated arguments, with room for one more. Returns their number. */
static int split(char *words, char **out_arguments) {
  int count = 0;
  for (char *word = strtok(words, " "); word && count < MOST_ARGUMENTS - 2;
       word = strtok(NULL, " "))
    out_arguments[count++] = word;
  out_arguments[count] = NULL;
  return count;
}

static void set_up_child(void) {
  if (child.cgroup[0]) {
    int fd = open(child.cgroup, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
      _exit(121);
    close(fd);
  }
  if (child.user && setuid(child.user))
    _exit(122);
}

/* arguments: count of them, and NULL. */
static void start(char **arguments, int count, int slot, int number) {
  pid_t pid = fork();
  check(pid >= 0);
  if (!pid) {
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    arguments[count] = text;
    arguments[count + 1] = NULL;
    set_up_child();
    execv(arguments[0], arguments);
    _exit(127);
  }
  slots[slot].pid = pid;
  slots[slot].number = number;
}

/* Returns the text of /proc/PID/NAME, "" if it cannot be read. */
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

/* Waits for the last context switch of a zombie. It has no stack after it, but also seems to have
 * none while it runs on another CPU: hence two reads. */
static void wait_for_last_switch(pid_t zombie) {
  for (int empty = 0; empty < 2;) {
    empty = read_proc(zombie, "stack")[0] ? 0 : empty + 1;
    usleep(100);
  }
}

static void say_usage(int number, pid_t pid) {
  unsigned long long io[6] = {0};
  struct rusage usage;
  int status = 0;
  wait_for_last_switch(pid);
  sscanf(read_proc(pid, "io"),
         "rchar: %llu wchar: %llu syscr: %llu syscw: %llu read_bytes: %llu write_bytes: %llu",
         &io[0], &io[1], &io[2], &io[3], &io[4], &io[5]);
  check(wait4(pid, &status, 0, &usage) == pid);
  say("{\"number\":%d,\"pid\":%d,\"%s\":%d,\"utime_us\":%lld,\"stime_us\":%lld,\"minflt\":%ld,"
      "\"majflt\":%ld,\"nvcsw\":%ld,\"nivcsw\":%ld,\"rchar\":%llu,\"wchar\":%llu,"
      "\"syscr\":%llu,\"syscw\":%llu,\"read_bytes\":%llu,\"write_bytes\":%llu}",
      number, (int)pid, WIFSIGNALED(status) ? "signal" : "code",
      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
      usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec,
      usage.ru_stime.tv_sec * 1000000LL + usage.ru_stime.tv_usec, usage.ru_minflt, usage.ru_majflt,
      usage.ru_nvcsw, usage.ru_nivcsw, io[0], io[1], io[2], io[3], io[4], io[5]);
}

/* Waits for the end of any process and writes its line. Returns its slot, which is free now. */
static int end_one(void) {
  siginfo_t info = {0};
  check(!waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
  for (int slot = 0; slot < MOST_AT_ONCE; slot++)
    if (slots[slot].pid == info.si_pid) {
      say_usage(slots[slot].number, info.si_pid);
      slots[slot].pid = 0;
      return slot;
    }
  exit(9);
}

static void run(int count, int at_once, char *words) {
  char *arguments[MOST_ARGUMENTS];
  int words_count = split(words, arguments);
  for (int number = 0; number < count; number++)
    start(arguments, words_count, number < at_once ? number : end_one(), number);
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
    check(pid > 0 && waitpid(pid, NULL, 0) == pid);
  }
}

int main(void) {
  say("ready");
  for (;;) {
    char *word = next_command(), *user = argument_of(word, "as"), *cgroup = argument_of(word, "in");
    char *name = argument_of(word, "name"), *folder = argument_of(word, "at");
    int count = 0, at_once = 0, end = 0;
    if (sscanf(word, "run %d %d %n", &count, &at_once, &end) == 2 && at_once <= MOST_AT_ONCE)
      run(count, at_once, word + end);
    else if (sscanf(word, "storm %d %n", &count, &end) == 1)
      storm(count, word + end);
    else if (user)
      child.user = (uid_t)atoi(user);
    else if (cgroup)
      snprintf(child.cgroup, sizeof(child.cgroup), "%s", cgroup);
    else if (name)
      name_myself(name);
    else
      check(folder && !chdir(folder));
    say("done");
  }
}
