/* held FOLDER [exec]: has a child, "holder FILE", that keeps its own mmap lock taken, as any user
 * can: by mmap() of a file of a FUSE file system whose server does not answer. Or, with "exec", a
 * child that stays in the middle of its exec of "holder FILE", with the lock of that taken: the
 * exec closes such a file. This is the server; it mounts the file system on FOLDER, in a mount
 * namespace of its own. Says "ready PID" of the child; told anything, it lets it go. The child ends
 * with it, and it at the end of its input or after a minute: whoever looks at the child in the
 * meantime, ps(1) for one, hangs. */
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FILE_NODE 2
#define FILE_BYTES 4096

static char request[FUSE_MIN_READ_BUFFER + FILE_BYTES];
static char zeros[FILE_BYTES];
static int opens;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void answer(int device, uint64_t unique, int error, const void *body, size_t length) {
  struct fuse_out_header header = {
      .len = (uint32_t)(sizeof(header) + length), .error = error, .unique = unique};
  struct iovec pieces[] = {{&header, sizeof(header)}, {(void *)body, length}};
  (void)!writev(device, pieces, 2);
}

static struct fuse_attr describe(uint64_t node) {
  return node == FILE_NODE ? (struct fuse_attr){.ino = node,
                                                .mode = S_IFREG | 0644,
                                                .nlink = 1,
                                                .size = FILE_BYTES}
                           : (struct fuse_attr){.ino = node, .mode = S_IFDIR | 0755, .nlink = 2};
}

/* The first who opens the file reads through the page cache; for the next, mmap() has the cached
 * pages dropped and waits for one that is being read (fuse_file_mmap, fs/fuse/file.c). */
static void serve_open(int device, uint64_t unique) {
  struct fuse_open_out out = {.fh = 1, .open_flags = opens++ ? FOPEN_DIRECT_IO : 0};
  answer(device, unique, 0, &out, sizeof(out));
}

/* The request that is left without an answer, a read or what a close makes; or its unique is 0. */
static struct fuse_in_header serve(int device, const struct fuse_in_header *in) {
  struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
  struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr = describe(FILE_NODE)};
  struct fuse_attr_out attr = {.attr = describe(in->nodeid)};
  switch (in->opcode) {
  case FUSE_INIT:
    answer(device, in->unique, 0, &init, sizeof(init));
    break;
  case FUSE_LOOKUP:
    answer(device, in->unique, 0, &entry, sizeof(entry));
    break;
  case FUSE_GETATTR:
    answer(device, in->unique, 0, &attr, sizeof(attr));
    break;
  case FUSE_OPEN:
    serve_open(device, in->unique);
    break;
  case FUSE_READ:
  case FUSE_FLUSH:
    return *in;
  case FUSE_FORGET:
  case FUSE_INTERRUPT:
    break;
  default:
    answer(device, in->unique, -ENOSYS, NULL, 0);
  }
  return (struct fuse_in_header){0};
}

static void run_server(int device) {
  struct pollfd fds[] = {{.fd = device, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  struct fuse_in_header held = {0};
  while (poll(fds, 2, -1) >= 0) {
    if (fds[0].revents) {
      if (read(device, request, sizeof(request)) < (ssize_t)sizeof(struct fuse_in_header))
        exit(0);
      struct fuse_in_header unanswered = serve(device, (const struct fuse_in_header *)request);
      held = unanswered.unique ? unanswered : held;
    }
    if (fds[1].revents) {
      listen_for_word(); /* ends this at the end of the input */
      answer(device, held.unique, 0, zeros, held.opcode == FUSE_READ ? sizeof(zeros) : 0);
      say("free");
    }
  }
}

static void *read_file(void *fd) {
  char text[16];
  (void)!read(*(int *)fd, text, sizeof(text));
  return NULL;
}

static void *map_file(void *fd) {
  mmap(NULL, FILE_BYTES, PROT_READ, MAP_PRIVATE, *(int *)fd, 0);
  return NULL;
}

static void start(void *(*run)(void *), int *fd) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, fd))
    fail("pthread_create");
  usleep(300000);
}

/* From here on nothing may need the mmap lock. */
static void say_ready(const char *word) { (void)!write(1, word, strlen(word)); }

static void hold(const char *path) {
  char word[24];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int cached = open(path, O_RDONLY), direct = open(path, O_RDONLY);
  if (cached < 0 || direct < 0)
    fail(path);
  snprintf(word, sizeof(word), "ready %d\n", (int)getpid());
  start(read_file, &cached);
  start(map_file, &direct);
  say_ready(word);
  for (;;)
    pause();
}

/* Does not come back before the server answers. */
static void hold_exec(char *path) {
  char word[24];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (open(path, O_RDONLY | O_CLOEXEC) < 0)
    fail(path);
  snprintf(word, sizeof(word), "ready %d\n", (int)getpid());
  say_ready(word);
  execl("/proc/self/exe", "holder", path, "is through", NULL);
  fail("exec");
}

int main(int argc, char **argv) {
  char options[80], path[4096];
  if (argc == 3 && !strcmp(argv[0], "holder"))
    for (;;)
      pause();
  if (argc == 2 && !strcmp(argv[0], "holder"))
    hold(argv[1]);
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (argc < 2 || device < 0 || unshare(CLONE_NEWNS))
    fail("/dev/fuse");
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
      mount("held", argv[1], "fuse", MS_NOSUID | MS_NODEV, options))
    fail("mount");
  snprintf(path, sizeof(path), "%s/file", argv[1]);
  if (!fork()) {
    if (argc == 3)
      hold_exec(path);
    execl("/proc/self/exe", "holder", path, NULL);
    _exit(1);
  }
  alarm(60);
  run_server(device);
}
