#include "core/stacks/symbols/xz.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <lzma.h>
#include <sys/mman.h>

static int write_all(int fd, const unsigned char *bytes, size_t count) {
  while (count) {
    ssize_t done = write(fd, bytes, count);
    if (done < 0 && errno != EINTR)
      return -errno;
    bytes += done > 0 ? done : 0;
    count -= done > 0 ? (size_t)done : 0;
  }
  return 0;
}

static int decompress(lzma_stream *stream, uint64_t limit, int fd) {
  unsigned char piece[16384];
  lzma_ret outcome = LZMA_OK;
  while (outcome == LZMA_OK) {
    stream->next_out = piece;
    stream->avail_out = sizeof(piece);
    outcome = lzma_code(stream, LZMA_FINISH);
    if (stream->total_out > limit)
      return -EFBIG;
    int error = write_all(fd, piece, sizeof(piece) - stream->avail_out);
    if (error)
      return error;
  }
  if (outcome == LZMA_STREAM_END)
    return 0;
  return outcome == LZMA_MEM_ERROR ? -ENOMEM : outcome == LZMA_MEMLIMIT_ERROR ? -EFBIG : -ENOEXEC;
}

int denet_xz_decompress(const unsigned char *compressed, size_t bytes, uint64_t limit) {
  DENET_CLEANUP(lzma_end) lzma_stream stream = LZMA_STREAM_INIT;
  DENET_CLOSE int fd = memfd_create("denet", MFD_CLOEXEC);
  if (fd < 0)
    return -errno;
  if (lzma_stream_decoder(&stream, limit, 0) != LZMA_OK)
    return -ENOMEM;
  stream.next_in = compressed;
  stream.avail_in = bytes;
  int error = decompress(&stream, limit, fd);
  return error ? error : DENET_TAKE_FD(fd);
}
