#include "core/rules/cgroup_path.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS 64
#define ID_SHOWN 12
#define UID_DIGITS 36 /* of a pod, with 4 '-'; 32 of one that the kubelet has from a file */
#define UID_DIGITS_FROM_FILE 32

static bool begins(struct denet_text text, const char *start) {
  return text.length >= strlen(start) && memcmp(text.bytes, start, strlen(start)) == 0;
}

static bool ends(struct denet_text text, const char *end) {
  size_t length = strlen(end);
  return text.length >= length && memcmp(text.bytes + text.length - length, end, length) == 0;
}

static bool equals(struct denet_text text, const char *string) {
  return text.length == strlen(string) && begins(text, string);
}

/* Returns the text without so many bytes at its start and its end. */
static struct denet_text strip(struct denet_text text, size_t start, size_t end) {
  return (struct denet_text){text.bytes + start, text.length - start - end};
}

/* Takes the next component that is not empty off the path; false at its end. */
static bool take_component(struct denet_text *path, struct denet_text *out) {
  while (begins(*path, "/"))
    *path = strip(*path, 1, 0);
  const char *slash = path->length ? memchr(path->bytes, '/', path->length) : NULL;
  *out = slash ? (struct denet_text){path->bytes, (size_t)(slash - path->bytes)} : *path;
  *path = strip(*path, out->length, 0);
  return out->length > 0;
}

/* Returns how many bytes from the start on are hexadecimal digits or, if allowed, separators. */
static size_t count_digits(struct denet_text text, const char *separators) {
  size_t count = 0;
  while (count < text.length && text.bytes[count] &&
         (strchr("0123456789abcdef", text.bytes[count]) || strchr(separators, text.bytes[count])))
    count++;
  return count;
}

/* "/system.slice/docker-ID.scope", "/docker/ID", "/x.slice:cri-containerd:ID". conmon runs on the
 * host, for the container whose id it has. */
static bool find_id(struct denet_text component, struct denet_text *out_id) {
  struct denet_text name = strip(component, 0, ends(component, ".scope") ? strlen(".scope") : 0);
  if (name.length < ID_DIGITS)
    return false;
  struct denet_text id = strip(name, name.length - ID_DIGITS, 0),
                    before = strip(name, 0, ID_DIGITS);
  bool is_id = count_digits(id, "") == ID_DIGITS && !ends(before, "conmon-") &&
               (!before.length || ends(before, "-") || ends(before, ":"));
  *out_id = is_id ? id : *out_id;
  return is_id;
}

/* "/lxc.payload.NAME", "/lxc/NAME", "/machine.slice/systemd-nspawn@NAME.service/payload",
 * "/machine.slice/machine-NAME.scope". A scope of libvirt-qemu is a virtual machine, and
 * systemd-nspawn itself runs in "supervisor". */
static bool find_name(struct denet_text before, struct denet_text component,
                      struct denet_text below, struct denet_text *out_name) {
  static const struct {
    const char *start, *end;
  } forms[] = {{"lxc.payload.", ""}, {"systemd-nspawn@", ".service"}, {"machine-", ".scope"}};
  if (equals(before, "lxc") || equals(before, "lxc.payload")) {
    *out_name = component;
    return true;
  }
  for (size_t i = 0; i < DENET_COUNT_OF(forms); i++) {
    size_t start = strlen(forms[i].start), end = strlen(forms[i].end);
    if (component.length <= start + end || !begins(component, forms[i].start) ||
        !ends(component, forms[i].end) || begins(component, "machine-qemu") ||
        begins(below, "/supervisor"))
      continue;
    *out_name = strip(component, start, end);
    return true;
  }
  return false;
}

/* "/kubepods-burstable-podUID.slice" with '_' for '-', "/kubepods/burstable/podUID",
 * "/machine-libpod_pod_ID.slice". Returns the part of the component, or out_pod as it is. */
static struct denet_text find_pod(struct denet_text component, struct denet_text pod) {
  for (size_t at = 0; at + strlen("pod") < component.length; at++) {
    struct denet_text rest = strip(component, at, 0);
    bool is_podman = begins(rest, "libpod_pod_"), is_start = !at || component.bytes[at - 1] == '-';
    if (!is_start || (!is_podman && !begins(rest, "pod")))
      continue;
    rest = strip(rest, strlen(is_podman ? "libpod_pod_" : "pod"), 0);
    size_t count = count_digits(rest, is_podman ? "" : "-_");
    if (is_podman && count == ID_DIGITS)
      return (struct denet_text){rest.bytes, ID_SHOWN};
    if (!is_podman && (count == UID_DIGITS || count == UID_DIGITS_FROM_FILE))
      return (struct denet_text){rest.bytes, count};
  }
  return pod;
}

const char *const denet_unit_suffixes[] = {".service", ".scope", ".socket",
                                           ".mount",   ".swap",  NULL};

static bool is_unit_name(struct denet_text name) {
  for (const char *const *suffix = denet_unit_suffixes; *suffix; suffix++)
    if (name.length > strlen(*suffix) && ends(name, *suffix))
      return true;
  return false;
}

/* Appends the name, behind a NUL unless it is the first. */
static int append_name(struct denet_buffer *names, struct denet_text name) {
  int error = names->length ? denet_buffer_append(names, "", 1) : 0;
  return error ? error : denet_buffer_append(names, name.bytes, name.length);
}

/* Appends the name, and once more without backslashes if it has any. */
static int append_escaped(struct denet_buffer *names, struct denet_text name) {
  int error = append_name(names, name);
  if (error || !name.length || !memchr(name.bytes, '\\', name.length))
    return error;
  error = append_name(names, name);
  size_t end = names->length - name.length;
  for (size_t i = end; !error && i < names->length; i++)
    if (names->bytes[i] != '\\')
      names->bytes[end++] = names->bytes[i];
  names->length = error ? names->length : end;
  if (!error)
    names->bytes[end] = '\0';
  return error;
}

int denet_cgroup_path_unescape(struct denet_text name, struct denet_buffer *out) {
  int error = 0;
  for (size_t i = 0; i < name.length && !error;) {
    struct denet_text rest = strip(name, i, 0);
    char byte = '\0'; /* no name has one, so "\x00" is no escape */
    if (begins(rest, "\\x") && count_digits(strip(rest, 2, 0), "") >= 2)
      byte = (char)strtoul((const char[]){rest.bytes[2], rest.bytes[3], '\0'}, NULL, 16);
    error = denet_buffer_append(out, byte ? &byte : rest.bytes, 1);
    i += byte ? strlen("\\x2d") : 1;
  }
  return error;
}

/* Appends the container's id in both forms, or its name. */
static int append_container(struct denet_buffer *names, struct denet_text id,
                            struct denet_text name) {
  if (!id.length)
    return denet_cgroup_path_unescape(name, names);
  int error = append_name(names, (struct denet_text){id.bytes, ID_SHOWN});
  return error ? error : append_name(names, id);
}

int denet_cgroup_path_read(struct denet_text path, struct denet_buffer out_names[]) {
  struct denet_text before = {0}, component, rest = path, id = {0}, name = {0}, pod = {0};
  struct denet_text user_unit = {0};
  bool is_inside = false, is_below_user = false;
  if (!path.bytes)
    rest = path = denet_text_of("");
  for (unsigned i = 0; i < DENET_CGROUP_NAMES; i++)
    denet_buffer_clear(&out_names[i]);
  int error = append_escaped(&out_names[DENET_CGROUP_PATH], path);
  while (!error && !is_inside && take_component(&rest, &component)) {
    pod = find_pod(component, pod);
    is_inside = find_id(component, &id) || find_name(before, component, rest, &name);
    struct denet_text unit = strip(component, begins(component, "_") ? 1 : 0, 0);
    if (is_unit_name(unit)) {
      error = append_escaped(&out_names[DENET_CGROUP_UNIT], unit);
      user_unit = is_below_user ? unit : user_unit;
      is_below_user |= begins(unit, "user@");
    }
    before = component;
  }
  if (!error)
    error = append_escaped(&out_names[DENET_CGROUP_USER_UNIT], user_unit);
  if (!error)
    error = append_container(&out_names[DENET_CGROUP_CONTAINER], id, name);
  if (!error)
    error = append_name(&out_names[DENET_CGROUP_POD], pod);
  for (size_t i = 0; i < pod.length && !error; i++)
    if (out_names[DENET_CGROUP_POD].bytes[i] == '_')
      out_names[DENET_CGROUP_POD].bytes[i] = '-';
  return error;
}
