#include "core/source/bpf/bpf.h"

#include "core/util/cleanup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#define READ_BYTES (1 << 20) /* fewer reads, each of which the kernel begins anew */

int denet_bpf_read_iterator(int link_fd, struct denet_buffer *records) {
  DENET_CLOSE int fd = bpf_iter_create(link_fd);
  if (fd < 0)
    return -errno;
  denet_buffer_clear(records);
  for (;;) {
    int error = denet_buffer_reserve(records, READ_BYTES);
    if (error)
      return error;
    ssize_t got =
        read(fd, records->bytes + records->length, records->capacity - records->length - 1);
    if (got == 0)
      return 0;
    if (got < 0 && errno != EINTR && errno != EAGAIN)
      return -errno;
    records->length += got > 0 ? (size_t)got : 0;
  }
}

int denet_bpf_explain(int failure, struct denet_error *error) {
  if (failure == -EPERM || failure == -EACCES)
    return denet_error_set(error, failure,
                           "BPF is not permitted: it needs CAP_BPF and CAP_PERFMON");
  return denet_error_set(error, failure, "the BPF programs cannot be loaded: %s",
                         strerror(-failure));
}
