/* job FOLDER CPU_MS BYTES PAGES NUMBER: a short life of known cost: burns CPU_MS of CPU, touches
 * PAGES pages of new memory, writes BYTES to a file in FOLDER that nobody else sees, brings them to
 * the disk, and ends with the status NUMBER modulo 200. */
#include "talk.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static void touch_pages(size_t count) {
  size_t bytes = count * PAGE_BYTES;
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    _exit(201);
  madvise(memory, bytes, MADV_NOHUGEPAGE); /* one fault a page, not one for 512 */
  for (size_t i = 0; i < bytes; i += PAGE_BYTES)
    ((volatile char *)memory)[i] = 1;
}

static void write_file(const char *folder, size_t bytes) {
  static const char block[PAGE_BYTES] = "x";
  char path[4096];
  snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || unlink(path))
    _exit(202);
  for (size_t length; bytes; bytes -= length) {
    length = bytes < sizeof(block) ? bytes : sizeof(block);
    if (write(fd, block, length) != (ssize_t)length)
      _exit(203);
  }
  if (fsync(fd))
    _exit(204);
}

int main(int count, char **arguments) {
  if (count != 6)
    return 209;
  burn_seconds(CLOCK_PROCESS_CPUTIME_ID, atoi(arguments[2]) / 1e3);
  if (atoi(arguments[4]))
    touch_pages((size_t)atoi(arguments[4]));
  if (atoi(arguments[3]))
    write_file(arguments[1], (size_t)atoi(arguments[3]));
  return atoi(arguments[5]) % 200;
}
