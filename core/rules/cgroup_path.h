/* The names in a cgroup path: systemd units, the container and its pod. Pure. */
#pragma once

#include "core/util/buffer.h"

/* What names of units end in, with processes of their own; NULL behind the last. */
extern const char *const denet_unit_suffixes[];

enum denet_cgroup_name {
  DENET_CGROUP_UNIT,
  DENET_CGROUP_USER_UNIT,
  DENET_CGROUP_CONTAINER,
  DENET_CGROUP_POD,
  DENET_CGROUP_PATH,
  DENET_CGROUP_NAMES
};

/* Replaces the content of each buffer by the names of the path, the name to show first and each
 * further one behind a NUL. What there is none of is empty. 0 or -ENOMEM.
 *
 * UNIT: components that end in .service, .scope, .socket, .mount or .swap (systemd.unit(5)), the
 * outermost first, without the '_' that systemd puts before a name that is also the name of a
 * kernel file (cg_unescape(), src/basic/cgroup-util.c). Only the host's own: none below the
 * component of the outermost container, which can be a unit itself.
 * USER_UNIT: the innermost of them below user@UID.service.
 * CONTAINER: the first 12 digits of the id of the outermost container, then the whole id; or its
 * name, if it has one (LXC, systemd-nspawn), unescaped. An id is 64 hexadecimal digits at the end
 * of a component or before its ".scope", as docker, podman, containerd and CRI-O make them.
 * POD: the UID of a Kubernetes pod with '-', or 12 digits of the id of a podman pod.
 * PATH: the path.
 *
 * UNIT, USER_UNIT and PATH are as systemctl(1) prints them. If one has a backslash, it follows once
 * more without backslashes: in a glob, and in a string of collectd's configuration, "\x2d" is
 * "x2d". */
int denet_cgroup_path_read(struct denet_text path, struct denet_buffer out_names[]);

/* Appends a name of a unit; "\x2d" becomes '-' and so on (systemd-escape(1)). 0 or -ENOMEM. */
int denet_cgroup_path_unescape(struct denet_text name, struct denet_buffer *out);
