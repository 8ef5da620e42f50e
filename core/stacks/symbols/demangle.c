#include "core/stacks/symbols/demangle.h"

#include "core/util/cleanup.h"

#include <string.h>

#define MANGLED_MOST 1024
#define REPEATS_MOST 24

/* A function of the C++ runtime library (Itanium C++ ABI, section 3.4). Returns malloc'd memory. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the ABI's name. */
char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

/* Returns whether the name stays short. Parts of it may refer to earlier parts, so that a short
 * name may stand for gigabytes; it becomes at most 3^(repeats / 3) times as long. */
static bool stays_short(const char *mangled) {
  int repeats = 0;
  size_t length = strlen(mangled);
  for (size_t i = 0; i + 1 < length; i++) {
    char first = mangled[i], second = mangled[i + 1];
    /* S_, S0_, T_, T0_; but St, Sa, Ss and their kind are short words. */
    bool is_repeat =
        (first == 'S' || first == 'T') &&
        (second == '_' || (second >= '0' && second <= '9') || (second >= 'A' && second <= 'Z'));
    repeats += is_repeat ? 1 : first == 'D' && second == 'p' ? REPEATS_MOST / 2 : 0;
  }
  return length <= MANGLED_MOST && repeats <= REPEATS_MOST;
}

/* Returns the length without the "::h" and 16 digits of a hash at the end of older Rust names. */
static size_t length_without_hash(const char *name) {
  size_t length = strlen(name);
  if (length <= 19 || memcmp(name + length - 19, "::h", 3) != 0 ||
      strspn(name + length - 16, "0123456789abcdef") != 16)
    return length;
  return length - 19;
}

bool denet_demangle(const char *mangled, struct denet_buffer *out) {
  if (strncmp(mangled, "_Z", 2) != 0 || !stays_short(mangled))
    return false;
  DENET_FREE char *name = __cxa_demangle(mangled, NULL, NULL, NULL);
  if (!name)
    return false;
  denet_buffer_clear(out);
  return denet_buffer_append(out, name, length_without_hash(name)) == 0;
}
