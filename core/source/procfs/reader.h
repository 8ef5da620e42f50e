/* A thread that reads files for somebody who may not be held up by whoever can hold them up. Not
 * thread-safe: one owner, who calls, waits and dismisses. */
#pragma once

#include "core/util/buffer.h"

#include <stdbool.h>
#include <stdint.h>

struct denet_reader_file {
  char path[64];  /* below the folder; a symbolic link is not followed, what it says is the text */
  size_t limit;   /* more bytes are not read */
  bool is_spared; /* not to be read: text and outcome stay as they are */
  struct denet_buffer text;
  int outcome; /* of denet_buffer_read_path() */
};

struct denet_reader; /* owned by whoever made it */

/* NULL when there is no memory or no thread to be had. */
struct denet_reader *denet_reader_new(void);

/* Has the files from the one at from until count read, in this order, while it is not busy. They
 * are the reader's, and folder is used, until it is busy no more, has been given up or dismissed.
 */
void denet_reader_call(struct denet_reader *reader, int folder, struct denet_reader_file *files,
                       unsigned from, unsigned count);

/* Whether it is still reading, or else since when it is not, CLOCK_MONOTONIC, ns. */
bool denet_reader_is_busy(struct denet_reader *reader, uint64_t *out_since_ns);

/* Waits until it is busy no more; or waits for something other than a CPU and has for patience_ns;
 * or times_most times as long. Returns whether it is busy no more. */
bool denet_reader_wait(struct denet_reader *reader, uint64_t patience_ns, unsigned times_most);

/* Waits until it is busy no more and returns how many files there are; or until it has read nothing
 * for patience_ns and waits for something other than a CPU. Then it is given up, and can only be
 * dismissed: returns the place of the file that holds it up. Of that and those behind it nothing
 * comes to be known. */
unsigned denet_reader_finish(struct denet_reader *reader, uint64_t patience_ns);

/* Does not wait for who is held up: such a thread ends by itself when its read does. */
void denet_reader_dismiss(struct denet_reader *reader);
