/* In the place of reads aside (the linker's --wrap), whose thread is waited for no longer than so
 * many milliseconds: on a busy machine they are soon over, and a test that tells lines to the byte
 * wants the text. There is no thread for batches either, so that they are read here, where faults
 * can be made. */
#include "core/source/procfs/aside.h"
#include "core/source/procfs/reader.h"

int __wrap_denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                            const char *path, size_t limit, struct denet_buffer *out);
int __wrap_denet_aside_read(struct denet_aside *aside, struct denet_aside_key key, int folder,
                            const char *path, size_t limit, struct denet_buffer *out) {
  (void)aside;
  (void)key;
  return denet_buffer_read_path(out, folder, path, limit);
}

struct denet_reader *__wrap_denet_reader_new(void);
struct denet_reader *__wrap_denet_reader_new(void) {
  return NULL;
}
