/* job FOLDER CPU_MS BYTES PAGES NUMBER: a short process of known usage: it uses CPU_MS of CPU,
 * touches PAGES pages of new memory, writes BYTES to a new file in FOLDER and to the disk, and ends
 * with the status NUMBER modulo 200. */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static void touch_pages(size_t count) {
  size_t bytes = count * PAGE_BYTES;
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED);
  madvise(memory, bytes, MADV_NOHUGEPAGE); /* one fault for each page, not for 512 */
  for (size_t i = 0; i < bytes; i += PAGE_BYTES)
    ((volatile char *)memory)[i] = 1;
}

static void write_file(const char *folder, size_t bytes) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  check(fd >= 0 && !unlink(path));
  write_bytes(fd, bytes);
  check(!fsync(fd));
}

int main(int count, char **arguments) {
  if (count != 6)
    return 209;
  burn_ns(CLOCK_PROCESS_CPUTIME_ID, ns_of_ms(arguments[2]));
  if (atoi(arguments[4]))
    touch_pages((size_t)atoi(arguments[4]));
  if (atoi(arguments[3]))
    write_file(arguments[1], (size_t)atoi(arguments[3]));
  return atoi(arguments[5]) % 200;
}
