#include "core/util/name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#define DIGITS_LENGTH 17 /* "-" and 16 hexadecimal digits */
#define FNV_OFFSET UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

/* Not isalnum(), which goes by the locale. */
static bool byte_is_safe(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

/* Writes the safe form of at most limit bytes of raw; its length. */
static size_t write_safe(struct denet_text raw, size_t limit, denet_name out_name) {
  size_t length = raw.length < limit ? raw.length : limit;
  for (size_t i = 0; i < length; i++) {
    out_name[i] = raw.bytes[i];
    if (!byte_is_safe(raw.bytes[i]))
      out_name[i] = '_';
  }
  if (length == 0)
    length = 1;
  if (raw.length == 0 || out_name[0] == '.')
    out_name[0] = '_';
  out_name[length] = '\0';
  return length;
}

static uint64_t hash_byte(uint64_t hash, unsigned char byte) { return (hash ^ byte) * FNV_PRIME; }

static void write_with_digits(struct denet_text raw, uint64_t hash, denet_name out_name) {
  size_t length = write_safe(raw, DENET_NAME_MAX - DIGITS_LENGTH, out_name);
  snprintf(out_name + length, DIGITS_LENGTH + 1, "-%016" PRIx64, hash);
}

void denet_name_safe(struct denet_text raw, denet_name out_name) {
  if (raw.length > DENET_NAME_MAX)
    write_with_digits(raw, denet_name_hash(raw), out_name);
  else
    write_safe(raw, DENET_NAME_MAX, out_name);
}

void denet_name_distinct(struct denet_text raw, unsigned attempt, denet_name out_name) {
  uint64_t hash = denet_name_hash(raw);
  for (; attempt > 0; attempt >>= 8)
    hash = hash_byte(hash, attempt & 0xff);
  write_with_digits(raw, hash, out_name);
}

uint64_t denet_name_hash(struct denet_text raw) {
  uint64_t hash = FNV_OFFSET;
  for (size_t i = 0; i < raw.length; i++)
    hash = hash_byte(hash, (unsigned char)raw.bytes[i]);
  return hash;
}
