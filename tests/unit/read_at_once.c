/* Replaces reads in other threads by reads in the caller's thread (the linker's --wrap). A tick
 * waits for other threads for some milliseconds only, which may be too short on a busy machine; a
 * test that compares lines needs the text. Faults can only be made in reads of the caller's thread.
 */
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
