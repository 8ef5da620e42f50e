/* What the fuzz targets have in common. A target is one file with an LLVMFuzzerTestOneInput(), see
 * libFuzzer: it is called with any bytes, and not only must not crash but makes claims. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The entry of a target: 0. bytes are borrowed, and may be NULL where length is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What does not hold is a finding: the run ends there. */
#define CLAIM(claim) fuzz_claim((claim), #claim, __FILE__, __LINE__)
void fuzz_claim(bool holds, const char *claim, const char *file, int line);

/* A copy with nothing behind it, so that reading one byte too many is seen; the caller frees it. */
struct denet_text fuzz_copy(const uint8_t *bytes, size_t length);

/* A copy up to the first NUL, ended by one; the caller frees it. */
char *fuzz_string(struct denet_text text);

/* Takes a line off the front of text, without its newline. False at the end. */
bool fuzz_take_line(struct denet_text *text, struct denet_text *out_line);

/* Takes size bytes off the front of text into out; zeros stand for those that are not there. */
void fuzz_take(struct denet_text *text, void *out, size_t size);
uint8_t fuzz_take_byte(struct denet_text *text);

/* A file of memory alone with this content, to be closed by the caller. */
int fuzz_file(struct denet_text content);

/* Whether part lies within whole, or is absent. */
bool fuzz_is_within(struct denet_text part, struct denet_text whole);

/* A name as name.h promises it. */
bool fuzz_is_safe_name(const char *name);

/* A sentence as error.h promises it, and not the empty one. */
bool fuzz_is_sentence(const char *text);

/* One JSON object in one line of UTF-8. */
bool fuzz_is_json_line(struct denet_text line);
