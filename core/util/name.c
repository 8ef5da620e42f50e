#include "core/util/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_LENGTH 17 /* "-" and 16 hexadecimal digits */
#define FNV_OFFSET UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

/* Not isalnum(), which goes by the locale. */
static const char safe_bytes[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

uint64_t denet_name_hash(struct denet_text raw) {
  uint64_t hash = FNV_OFFSET;
  for (size_t i = 0; i < raw.length; i++)
    hash = (hash ^ (unsigned char)raw.bytes[i]) * FNV_PRIME;
  return hash;
}

/* Writes the safe form of raw, which ends in the digits of *hash if there is one. */
static void write_safe(struct denet_text raw, const uint64_t *hash, denet_name out_name) {
  size_t limit = hash ? DENET_NAME_MAX - DIGITS_LENGTH : DENET_NAME_MAX;
  size_t length = raw.length < limit ? raw.length : limit;
  for (size_t i = 0; i < length; i++)
    out_name[i] = (char)(raw.bytes[i] && strchr(safe_bytes, raw.bytes[i]) ? raw.bytes[i] : '_');
  if (!length || out_name[0] == '.')
    out_name[0] = '_';
  length += !length;
  out_name[length] = '\0';
  if (hash)
    snprintf(out_name + length, DIGITS_LENGTH + 1, "-%016" PRIx64, *hash);
}

void denet_name_safe(struct denet_text raw, denet_name out_name) {
  uint64_t hash = denet_name_hash(raw);
  write_safe(raw, raw.length > DENET_NAME_MAX ? &hash : NULL, out_name);
}

void denet_name_distinct(struct denet_text raw, unsigned attempt, denet_name out_name) {
  uint64_t hash = denet_name_hash(raw);
  for (; attempt > 0; attempt >>= 8)
    hash = (hash ^ (attempt & 0xff)) * FNV_PRIME;
  write_safe(raw, &hash, out_name);
}
