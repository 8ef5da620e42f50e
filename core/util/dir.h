/* Folders, opened step by step so that no symbolic link leads elsewhere. New ones have mode 0750.
 */
#pragma once

#include <stdbool.h>

/* Returns a descriptor of the folder at path, or -errno. The path is the administrator's and may
 * lead through symbolic links. is_made: makes the folder and its parents if there is none. */
int denet_dir_open(const char *path, bool is_made);

/* Returns a descriptor of the folder called name in folder, or -errno; follows no symbolic link.
 * is_made: makes the folder if there is none. A negative folder is an error of the step before and
 * is returned, so that steps may follow each other unchecked. */
int denet_dir_open_below(int folder, const char *name, bool is_made);

/* Calls each() for every name in folder that does not begin with a dot, until it returns other than
 * 0, which is returned. 0 at the end; -errno if the folder cannot be read. */
int denet_dir_each(int folder, int (*each)(void *context, int folder, const char *name),
                   void *context);
