/* held FOLDER [exec]: has a child, "holder FILE", that holds its own mmap lock, as any user can do:
 * in an mmap() of a file on a FUSE file system whose server does not answer. exec: the child stays
 * in its exec of "holder FILE" and holds the lock of that, as the exec closes such a file. This
 * program is the server; it mounts the file system on FOLDER, in a mount namespace of its own.
 * Writes "ready PID" with the child's pid; any command releases the child. The child ends with this
 * program, which ends with its input or after a minute: in the meantime everything that reads the
 * child's files, ps(1) for example, hangs. */
#include "workload.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define FILE_NODE 2
#define FILE_BYTES 4096

static char request[FUSE_MIN_READ_BUFFER + FILE_BYTES];
static char zeros[FILE_BYTES];
static int opens;

static void answer(int device, uint64_t unique, int error, const void *body, size_t length) {
  struct fuse_out_header header = {
      .len = (uint32_t)(sizeof(header) + length), .error = error, .unique = unique};
  struct iovec pieces[] = {{&header, sizeof(header)}, {(void *)body, length}};
  (void)!writev(device, pieces, 2);
}

static struct fuse_attr attributes_of(uint64_t node) {
  return node == FILE_NODE ? (struct fuse_attr){.ino = node,
                                                .mode = S_IFREG | 0644,
                                                .nlink = 1,
                                                .size = FILE_BYTES}
                           : (struct fuse_attr){.ino = node, .mode = S_IFDIR | 0755, .nlink = 2};
}

/* The first open reads through the page cache; for the second one, mmap() drops the cached pages
 * and waits for a page that is being read (fuse_file_mmap(), fs/fuse/file.c). */
static void serve_open(int device, uint64_t unique) {
  struct fuse_open_out out = {.fh = 1, .open_flags = opens++ ? FOPEN_DIRECT_IO : 0};
  answer(device, unique, 0, &out, sizeof(out));
}

/* Returns a request that has no answer, a read or the flush of a close; else one whose unique is 0.
 */
static struct fuse_in_header serve(int device, const struct fuse_in_header *in) {
  struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
  struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr = attributes_of(FILE_NODE)};
  struct fuse_attr_out attr = {.attr = attributes_of(in->nodeid)};
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
      next_command();
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

/* The exec does not end before the server answers. */
static void hold(const char *path, bool in_exec) {
  char line[24];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int cached = open(path, O_RDONLY | O_CLOEXEC), direct = in_exec ? 0 : open(path, O_RDONLY);
  check(cached >= 0 && direct >= 0);
  /* Nothing may need the mmap lock after the threads have started: the line is formatted before. */
  int length = snprintf(line, sizeof(line), "ready %d\n", (int)getpid());
  if (!in_exec) {
    start_thread(read_file, &cached);
    usleep(300000);
    start_thread(map_file, &direct);
    usleep(300000);
  }
  (void)!write(1, line, (size_t)length);
  if (in_exec)
    execl("/proc/self/exe", "holder", path, "is through", NULL);
  for (;;)
    pause();
}

int main(int argc, char **argv) {
  char options[80], path[4096];
  if (argc == 3 && !strcmp(argv[0], "holder"))
    for (;;)
      pause();
  if (argc == 2 && !strcmp(argv[0], "holder"))
    hold(argv[1], false);
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  check(argc > 1 && device >= 0 && !unshare(CLONE_NEWNS));
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
  check(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  check(!mount("held", argv[1], "fuse", MS_NOSUID | MS_NODEV, options));
  snprintf(path, sizeof(path), "%s/file", argv[1]);
  if (!fork()) {
    if (argc == 3)
      hold(path, true);
    execl("/proc/self/exe", "holder", path, NULL);
    _exit(1);
  }
  alarm(60);
  run_server(device);
}
