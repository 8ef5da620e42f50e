/* The BPF source of a build without one. */
#include "core/source/source.h"

#include <errno.h>

int denet_bpf_open(const struct denet_env *env, struct denet_error *error,
                   struct denet_source **out_source) {
  (void)env;
  (void)out_source;
  return denet_error_set(error, -ENOTSUP, "this denet was built without BPF");
}
