/* Folders, opened step by step so that nobody can lead us elsewhere. What is made has mode 0750. */
#pragma once

#include <stdbool.h>

/* A descriptor of the folder at path, made with its parents if there is none, or -errno. The path
 * is the administrator's and may lead through symbolic links. */
int denet_dir_make(const char *path);

/* The same without making it. */
int denet_dir_open(const char *path);

/* A descriptor of the folder called name in folder, or -errno; a symbolic link is not followed.
 * make: it is made if there is none. A folder that could not be opened, below 0, is given back, so
 * that steps may follow each other unchecked. */
int denet_dir_open_below(int folder, const char *name, bool make);

/* Calls each() with the name of every entry of folder that begins with no dot, until it returns
 * other than 0, which is returned. 0 at the end; -errno when the folder cannot be read. */
int denet_dir_each(int folder, int (*each)(void *context, int folder, const char *name),
                   void *context);
