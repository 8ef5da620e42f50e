/* The /proc source over a made-up /proc, through whole ticks to values and lines. An input is a
 * script with one command a line: "+101" and "-101" show and hide a process (101 to 103), "PATH
 * CONTENT" writes a file ('|' stands for a newline), "tick" and "report" run ticks, "stall" begins
 * and ends a time in which reads stall, "later N" passes N times 10 ms. */
#include "core/util/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ticks.h"
#include "tests/unit/read_at_once.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PROCESSES 3
#define FIRST_PID 101
#define FILES_MOST 64
#define STEPS_MOST 200
#define START_NS UINT64_C(100000000000)

/* Of a process. 1 is its pid and first tid, 2 is the tid of its second thread. */
/* clang-format off */
static const char *const folders[] = {
    "%1$d", "%1$d/net", "%1$d/ns", "%1$d/task", "%1$d/task/%1$d", "%1$d/task/%2$d"};
static const char *const names[] = {
    "%1$d/stat", "%1$d/statm", "%1$d/status", "%1$d/io", "%1$d/cmdline", "%1$d/cgroup",
    "%1$d/net/dev", "%1$d/ns/net",
    "%1$d/task/%1$d/stat", "%1$d/task/%1$d/status", "%1$d/task/%1$d/schedstat",
    "%1$d/task/%2$d/stat", "%1$d/task/%2$d/status", "%1$d/task/%2$d/schedstat"};
/* clang-format on */

/* The directory is made once; its files stay open. */
static struct {
  int fd;
  struct {
    char path[64]; /* below the directory, as in an input */
    int fd;
  } files[FILES_MOST];
  size_t count;
} proc;

/* --- The folder --- */

/* name: of the two lists. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void make_path(int pid, const char *name, char out[64]) {
  snprintf(out, 64, name, pid, pid + 10);
}

static void make_process(int pid) {
  char path[64];
  for (size_t i = 0; i < DENET_COUNT_OF(folders); i++) {
    make_path(pid, folders[i], path);
    CLAIM(mkdirat(proc.fd, path, 0700) == 0);
  }
  for (size_t i = 0; i < DENET_COUNT_OF(names); i++) {
    char *file = proc.files[proc.count].path;
    make_path(pid, names[i], file);
    int fd = openat(proc.fd, file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLAIM(fd >= 0);
    proc.files[proc.count++].fd = fd;
  }
  make_path(pid, "%1$d/exe", path);
  CLAIM(symlinkat(pid == FIRST_PID ? "/bin/sh (deleted)" : "/a\n/\xff", proc.fd, path) == 0);
}

static void make_proc(void) {
  proc.fd = fuzz_folder(&ticks_env.proc_path);
  for (int pid = FIRST_PID; pid < FIRST_PID + PROCESSES; pid++)
    make_process(pid);
}

/* Shows or hides a process: the name of a hidden directory is not a pid. */
static void show(const char *pid, bool is_shown) {
  char hidden[16];
  snprintf(hidden, sizeof(hidden), "x%.8s", pid);
  renameat(proc.fd, is_shown ? hidden : pid, proc.fd, is_shown ? pid : hidden);
}

static void write_file(const char *path, const char *content, size_t length) {
  for (size_t i = 0; i < proc.count; i++)
    if (!strcmp(proc.files[i].path, path)) {
      CLAIM(ftruncate(proc.files[i].fd, 0) == 0);
      CLAIM(pwrite(proc.files[i].fd, content, length, 0) == (ssize_t)length);
    }
}

static void hide_all(void) {
  for (int pid = FIRST_PID; pid < FIRST_PID + PROCESSES; pid++) {
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    show(text, false);
  }
  for (size_t i = 0; i < proc.count; i++)
    CLAIM(ftruncate(proc.files[i].fd, 0) == 0);
}

/* --- The script --- */

/* Runs one command. line is writable, and has a NUL behind its length bytes. */
static void run_line(struct denet_monitor *monitor, char *line, size_t length) {
  char *content = memchr(line, ' ', length);
  if (!strcmp(line, "tick"))
    ticks_tick(monitor, DENET_TICK_DUE);
  else if (!strcmp(line, "report"))
    ticks_tick(monitor, DENET_TICK_ALL);
  else if (!strcmp(line, "stall"))
    read_at_once_stalls = !read_at_once_stalls;
  else if (line[0] == '+' || line[0] == '-')
    show(line + 1, line[0] == '+');
  if (!content)
    return;
  *content++ = '\0';
  for (char *at = content; at < line + length; at++)
    *at = *at == '|' ? '\n' : *at;
  if (!strcmp(line, "later"))
    ticks_now_ns += (strtoull(content, NULL, 10) & 0xffff) * 10000000;
  else
    write_file(line, content, (size_t)(line + length - content));
}

static void run(struct denet_monitor *monitor, struct denet_text script) {
  struct denet_text line;
  for (unsigned step = 0; step < STEPS_MOST && fuzz_take_line(&script, &line); step++) {
    DENET_CLEANUP(denet_buffer_done) struct denet_buffer copy = {0};
    CLAIM(denet_buffer_append(&copy, line.bytes, line.length) == 0);
    run_line(monitor, copy.bytes, copy.length);
  }
  ticks_tick(monitor, DENET_TICK_FINAL);
}

void fuzz_one(struct denet_text text) {
  struct denet_error error = {""};
  struct denet_source *source;
  if (!proc.count)
    make_proc();
  hide_all();
  ticks_now_ns = START_NS;
  ticks_may_wrap = true;
  CLAIM(denet_procfs_open(&ticks_env, &error, &source) == 0);
  struct denet_monitor *monitor = ticks_start(source, NULL, text.length & 1);
  run(monitor, text);
  denet_monitor_free(monitor);
}
