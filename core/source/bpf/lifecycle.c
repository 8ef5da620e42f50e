#include "core/source/bpf/lifecycle.h"

#include "core/source/procfs/parse.h"
#include "core/util/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_entry(const void *item, const void *key) {
  const struct denet_lifecycle_entry *left = *(struct denet_lifecycle_entry *const *)item;
  const struct denet_lifecycle_entry *right = key;
  if (left->pid != right->pid)
    return left->pid < right->pid ? -1 : 1;
  return (left->start_ns > right->start_ns) - (left->start_ns < right->start_ns);
}

/* Stores the index of the process's entry, or where it would be. Returns whether there is one. */
static bool find_index(const struct denet_lifecycle *lifecycle, pid_t pid, uint64_t start_ns,
                       size_t *out_index) {
  struct denet_lifecycle_entry key = {.pid = pid, .start_ns = start_ns};
  struct denet_lifecycle_entry **entries = lifecycle->entries;
  *out_index =
      denet_array_lower_bound(entries, lifecycle->count, sizeof(*entries), &key, compare_entry);
  return *out_index < lifecycle->count && !compare_entry(&entries[*out_index], &key);
}

void denet_lifecycle_remove(struct denet_lifecycle *lifecycle, size_t index) {
  struct denet_lifecycle_entry **at = lifecycle->entries + index;
  free((*at)->texts);
  free((*at)->inherited);
  free(*at);
  memmove(at, at + 1, (--lifecycle->count - index) * sizeof(*at));
}

void denet_lifecycle_done(struct denet_lifecycle *lifecycle) {
  while (lifecycle->count)
    denet_lifecycle_remove(lifecycle, lifecycle->count - 1);
  free(lifecycle->entries);
  *lifecycle = (struct denet_lifecycle){0};
}

struct denet_lifecycle_entry *denet_lifecycle_find(const struct denet_lifecycle *lifecycle,
                                                   pid_t pid, uint64_t start_ns) {
  size_t index;
  return find_index(lifecycle, pid, start_ns, &index) ? lifecycle->entries[index] : NULL;
}

struct denet_lifecycle_entry *denet_lifecycle_find_last(const struct denet_lifecycle *lifecycle,
                                                        pid_t pid, uint64_t start_ns) {
  size_t index;
  find_index(lifecycle, pid, start_ns + 1, &index);
  struct denet_lifecycle_entry *entry = index ? lifecycle->entries[index - 1] : NULL;
  return entry && entry->pid == pid ? entry : NULL;
}

struct denet_lifecycle_entry *denet_lifecycle_add(struct denet_lifecycle *lifecycle, pid_t pid,
                                                  uint64_t start_ns) {
  size_t index;
  if (find_index(lifecycle, pid, start_ns, &index))
    return lifecycle->entries[index];
  if (denet_array_reserve(&lifecycle->entries, &lifecycle->capacity, lifecycle->count + 1,
                          sizeof(*lifecycle->entries)))
    return NULL;
  struct denet_lifecycle_entry *entry = calloc(1, sizeof(*entry));
  if (!entry)
    return NULL;
  entry->pid = pid;
  entry->start_ns = start_ns;
  struct denet_lifecycle_entry **at = lifecycle->entries + index;
  memmove(at + 1, at, (lifecycle->count++ - index) * sizeof(*at));
  *at = entry;
  return entry;
}

static size_t count_texts(const struct denet_bpf_texts *texts) {
  return (size_t)texts->argument_bytes + texts->executable_bytes + texts->cgroup_bytes;
}

static bool is_whole(const struct denet_bpf_head *head, size_t size) {
  static const size_t least[] = {[DENET_BPF_FORK] = sizeof(struct denet_bpf_fork),
                                 [DENET_BPF_TEXTS] = sizeof(struct denet_bpf_texts),
                                 [DENET_BPF_EXIT] = sizeof(struct denet_bpf_exit),
                                 [DENET_BPF_FREE] = sizeof(struct denet_bpf_process)};
  if (size < sizeof(*head) || head->kind > DENET_BPF_FREE || !least[head->kind] ||
      size < least[head->kind] || !head->pid || head->pid > INT32_MAX)
    return false;
  const struct denet_bpf_texts *texts = (const void *)head;
  return head->kind != DENET_BPF_TEXTS || count_texts(texts) <= size - sizeof(*texts);
}

/* Replaces *copy by a copy of the texts, owned by the caller. Returns 0 or -ENOMEM. */
static int copy_texts(const struct denet_bpf_texts *texts, struct denet_bpf_texts **copy) {
  size_t size = sizeof(*texts) + count_texts(texts);
  struct denet_bpf_texts *space = realloc(*copy, size);
  if (!space)
    return -ENOMEM;
  *copy = memcpy(space, texts, size);
  return 0;
}

/* Copies the texts of the parent, whose entry may be removed before the end of the fork comes. */
static int note_fork(const struct denet_lifecycle *lifecycle, struct denet_lifecycle_entry *entry,
                     const struct denet_bpf_fork *fork) {
  entry->was_forked = true;
  entry->parent_pid = (pid_t)fork->parent_pid;
  const struct denet_lifecycle_entry *parent =
      denet_lifecycle_find_last(lifecycle, entry->parent_pid, entry->start_ns);
  if (!parent || parent->has_exited)
    return 0;
  const struct denet_bpf_texts *texts = parent->texts ? parent->texts : parent->inherited;
  return texts ? copy_texts(texts, &entry->inherited) : 0;
}

int denet_lifecycle_note(struct denet_lifecycle *lifecycle, const void *event, size_t size) {
  const struct denet_bpf_head *head = event;
  if (!is_whole(head, size))
    return -EINVAL;
  struct denet_lifecycle_entry *entry =
      denet_lifecycle_add(lifecycle, (pid_t)head->pid, head->start_ns);
  if (!entry)
    return -ENOMEM;
  denet_u64 main_age_ns = entry->exit.main_age_ns;
  switch (head->kind) {
  case DENET_BPF_TEXTS:
    entry->is_checked = false;
    return copy_texts(event, &entry->texts);
  case DENET_BPF_FORK:
    return note_fork(lifecycle, entry, event);
  case DENET_BPF_EXIT: /* of several threads that exit at once one is the main thread */
    entry->exit = *(const struct denet_bpf_exit *)event;
    if (!entry->exit.main_age_ns)
      entry->exit.main_age_ns = main_age_ns;
    entry->has_exited = true;
    break;
  default:
    entry->final = *(const struct denet_bpf_process *)event;
    entry->was_freed = true;
  }
  return 0;
}

/* Appends a path from its names, which come leaf first, a NUL after each: each NUL becomes the
 * slash before its name. */
static int join_names(struct denet_text names, struct denet_buffer *out) {
  int error = names.length ? denet_buffer_reserve(out, names.length) : -ENOENT;
  for (size_t start, end = names.length; end && !error; end = start) {
    const char *before = memrchr(names.bytes, '\0', end - 1);
    start = before ? (size_t)(before + 1 - names.bytes) : 0;
    denet_buffer_append(out, "/", 1); /* there is room */
    denet_buffer_append(out, names.bytes + start, end - 1 - start);
  }
  return error;
}

int denet_lifecycle_entry_text(const struct denet_lifecycle_entry *entry, enum denet_text_kind kind,
                               struct denet_buffer *out) {
  const struct denet_bpf_texts *texts = entry->texts;
  if (!texts)
    return -ENOENT;
  const char *bytes = (const char *)(texts + 1);
  struct denet_text arguments = {bytes, texts->argument_bytes};
  struct denet_text executable = {bytes + texts->argument_bytes, texts->executable_bytes};
  struct denet_text cgroup = {executable.bytes + executable.length, texts->cgroup_bytes};
  if (kind != DENET_TEXT_ARGUMENTS) /* the root cgroup has one empty name */
    return join_names(kind == DENET_TEXT_EXECUTABLE ? executable : cgroup, out);
  arguments = denet_parse_arguments(arguments);
  return denet_buffer_append(out, arguments.bytes, arguments.length);
}

void denet_lifecycle_entry_record(const struct denet_lifecycle_entry *entry,
                                  struct denet_bpf_process *out_record) {
  const struct denet_bpf_exit *exit = &entry->exit;
  struct denet_bpf_identity *identity = &out_record->identity;
  *out_record = entry->final;
  identity->parent_pid = entry->was_forked ? (denet_u32)entry->parent_pid : exit->parent_pid;
  identity->state = (identity->state & ~DENET_BPF_ON_CPU) | DENET_BPF_ZOMBIE;
  identity->threads = 0;
  out_record->usage.age_ns += exit->main_age_ns;
  out_record->seen_ns = exit->exit_ns;
  if (exit->rss_pages) {
    out_record->rss_pages = exit->rss_pages;
    out_record->vm_pages = exit->vm_pages;
  }
}
