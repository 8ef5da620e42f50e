/* Helpers of the fuzz targets. A target is one file with a fuzz_one(), which libFuzzer calls with
 * any bytes by way of fuzz.c. It must not crash, and checks claims about the result. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The entry of a target. input is borrowed, and an allocation of exactly its length, so that a read
 * beyond it is found. */
void fuzz_one(struct denet_text input);

/* Ends the run as a finding if the claim does not hold. */
#define CLAIM(claim) fuzz_claim((claim), #claim, __FILE__, __LINE__)
void fuzz_claim(bool holds, const char *claim, const char *file, int line);

/* Returns a copy of exactly length bytes, so that a read beyond it is found; the caller frees it.
 */
struct denet_text fuzz_copy(const uint8_t *bytes, size_t length);

/* Returns a copy up to the first NUL, NUL-terminated; the caller frees it. */
char *fuzz_string(struct denet_text text);

/* Takes a line off the front of text, without its newline. Returns false at the end. */
bool fuzz_take_line(struct denet_text *text, struct denet_text *out_line);

/* Takes size bytes off the front of text into out; missing bytes are 0. */
void fuzz_take(struct denet_text *text, void *out, size_t size);
uint8_t fuzz_take_byte(struct denet_text *text);

/* Returns an O_PATH descriptor of a new folder in TMPDIR, which is removed when the process ends.
 * It is made once. out_path, if not NULL: its path, borrowed. */
int fuzz_folder(const char **out_path);

/* Writes a file of this name and content in the folder. */
void fuzz_write(const char *name, struct denet_text content);

/* Returns a memory file with this content; the caller closes it. */
int fuzz_file(struct denet_text content);

/* Returns whether part lies within whole or is absent. */
bool fuzz_is_within(struct denet_text part, struct denet_text whole);

/* Returns whether none of length bytes is a control byte. */
bool fuzz_is_printable(const char *text, size_t length);

/* Returns whether name is as name.h specifies it. */
bool fuzz_is_safe_name(const char *name);

/* Returns whether text is a sentence as error.h specifies it, and not empty. */
bool fuzz_is_sentence(const char *text);

/* Returns whether line is one JSON object in one line of UTF-8. */
bool fuzz_is_json_line(struct denet_text line);
