#include "core/source/bpf/lifecycle.h"

#include "core/source/procfs/parse.h"
#include "core/util/array.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_entries(const void *a, const void *b) {
  const struct denet_lifecycle_entry *left = a, *right = b;
  if (left->pid != right->pid)
    return left->pid < right->pid ? -1 : 1;
  return (left->start_ns > right->start_ns) - (left->start_ns < right->start_ns);
}

static void free_entry(void *node) {
  struct denet_lifecycle_entry *entry = node;
  free(entry->texts);
  free(entry);
}

void denet_lifecycle_done(struct denet_lifecycle *lifecycle) {
  tdestroy(lifecycle->tree, free_entry);
  free(lifecycle->entries);
  *lifecycle = (struct denet_lifecycle){0};
}

struct denet_lifecycle_entry *denet_lifecycle_find(const struct denet_lifecycle *lifecycle,
                                                   pid_t pid, uint64_t start_ns) {
  struct denet_lifecycle_entry key = {.pid = pid, .start_ns = start_ns};
  void *found = tfind(&key, &lifecycle->tree, compare_entries);
  return found ? *(struct denet_lifecycle_entry **)found : NULL;
}

struct denet_lifecycle_entry *denet_lifecycle_add(struct denet_lifecycle *lifecycle, pid_t pid,
                                                  uint64_t start_ns) {
  struct denet_lifecycle_entry *entry = denet_lifecycle_find(lifecycle, pid, start_ns);
  if (entry)
    return entry;
  entry = calloc(1, sizeof(*entry));
  if (!entry)
    return NULL;
  entry->pid = pid;
  entry->start_ns = start_ns;
  if (!tsearch(entry, &lifecycle->tree, compare_entries)) {
    free(entry);
    return NULL;
  }
  lifecycle->size++;
  return entry;
}

static size_t count_texts(const struct denet_bpf_texts *texts) {
  return (size_t)texts->argument_bytes + texts->executable_bytes + texts->cgroup_bytes;
}

/* Returns 0 if the bytes are a whole event, and its head; else -EINVAL. An event is not aligned. */
static int check_event(const void *event, size_t size, struct denet_bpf_head *out_head) {
  static const size_t least[] = {[DENET_BPF_FORK] = sizeof(struct denet_bpf_fork),
                                 [DENET_BPF_TEXTS] = sizeof(struct denet_bpf_texts),
                                 [DENET_BPF_EXIT] = sizeof(struct denet_bpf_exit),
                                 [DENET_BPF_FREE] = sizeof(struct denet_bpf_process)};
  struct denet_bpf_head head = {0};
  struct denet_bpf_texts texts;
  if (size >= sizeof(head))
    memcpy(&head, event, sizeof(head));
  if (head.kind > DENET_BPF_FREE || !least[head.kind] || size < least[head.kind] || !head.pid ||
      head.pid > INT32_MAX)
    return -EINVAL;
  if (head.kind == DENET_BPF_TEXTS) {
    memcpy(&texts, event, sizeof(texts));
    if (count_texts(&texts) > size - sizeof(texts))
      return -EINVAL;
  }
  *out_head = head;
  return 0;
}

static int note_texts(struct denet_lifecycle_entry *entry, const void *event) {
  struct denet_bpf_texts texts;
  memcpy(&texts, event, sizeof(texts));
  size_t size = sizeof(texts) + count_texts(&texts);
  struct denet_bpf_texts *copy = malloc(size);
  if (!copy)
    return -ENOMEM;
  memcpy(copy, event, size);
  free(entry->texts);
  entry->texts = copy;
  entry->is_checked = false;
  return 0;
}

int denet_lifecycle_note(struct denet_lifecycle *lifecycle, const void *event, size_t size) {
  struct denet_bpf_head head;
  struct denet_bpf_fork fork;
  int error = check_event(event, size, &head);
  if (error)
    return error;
  struct denet_lifecycle_entry *entry =
      denet_lifecycle_add(lifecycle, (pid_t)head.pid, head.start_ns);
  if (!entry)
    return -ENOMEM;
  denet_u64 main_age_ns = entry->exit.main_age_ns;
  switch (head.kind) {
  case DENET_BPF_TEXTS:
    return note_texts(entry, event);
  case DENET_BPF_FORK:
    memcpy(&fork, event, sizeof(fork));
    entry->was_forked = true;
    entry->parent_pid = (pid_t)fork.parent_pid;
    break;
  case DENET_BPF_EXIT: /* of several threads that exit at once one is the main thread */
    memcpy(&entry->exit, event, sizeof(entry->exit));
    if (!entry->exit.main_age_ns)
      entry->exit.main_age_ns = main_age_ns;
    entry->has_exited = true;
    break;
  default:
    memcpy(&entry->final, event, sizeof(entry->final));
    entry->was_freed = true;
  }
  return 0;
}

static void list_entry(const void *node, VISIT visit, void *context) {
  struct denet_lifecycle *lifecycle = context;
  if (visit == postorder || visit == leaf)
    lifecycle->entries[lifecycle->count++] = *(struct denet_lifecycle_entry *const *)node;
}

int denet_lifecycle_list(struct denet_lifecycle *lifecycle) {
  lifecycle->count = 0;
  int error = denet_array_reserve(&lifecycle->entries, &lifecycle->capacity, lifecycle->size,
                                  sizeof(struct denet_lifecycle_entry *));
  if (!error)
    twalk_r(lifecycle->tree, list_entry, lifecycle);
  return error;
}

void denet_lifecycle_remove(struct denet_lifecycle *lifecycle,
                            struct denet_lifecycle_entry *entry) {
  tdelete(entry, &lifecycle->tree, compare_entries);
  lifecycle->size--;
  free_entry(entry);
}

/* Appends a path from its names, which come leaf first, a NUL after each. */
static int join_names(struct denet_text names, struct denet_buffer *out) {
  size_t end = names.length;
  if (!end)
    return -ENOENT;
  while (end) {
    size_t start = end - 1; /* the NUL of the name */
    while (start && names.bytes[start - 1])
      start--;
    int error = denet_buffer_append(out, "/", 1);
    if (!error)
      error = denet_buffer_append(out, names.bytes + start, end - 1 - start);
    if (error)
      return error;
    end = start;
  }
  return 0;
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
  if (kind == DENET_TEXT_EXECUTABLE)
    return join_names(executable, out);
  if (kind == DENET_TEXT_CGROUP)
    return join_names(cgroup, out); /* the root cgroup has one empty name */
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
