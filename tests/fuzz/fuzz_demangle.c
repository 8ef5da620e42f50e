/* Names of functions from a file, which any user can write. */
#include "core/stacks/symbols/demangle.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MOST (16u << 20) /* bytes that a stack's frame may take for a moment */

void fuzz_one(struct denet_text text) {
  struct denet_buffer name = {0};
  char *mangled = fuzz_string(text);
  CLAIM(denet_buffer_append_string(&name, "as before") == 0);
  if (denet_demangle(mangled, &name)) {
    CLAIM(name.length == strlen(name.bytes) && name.length <= NAME_MOST);
    CLAIM(!strncmp(mangled, "_Z", 2));
  } else {
    CLAIM(!strcmp(name.bytes, "as before"));
  }
  denet_buffer_done(&name);
  free(mangled);
}
