#include "core/source/bpf/lifecycle.h"

#include "core/source/procfs/parse.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_lives(const void *a, const void *b) {
  const struct denet_lifecycle_entry *left = a, *right = b;
  if (left->pid != right->pid)
    return left->pid < right->pid ? -1 : 1;
  return (left->start_ns > right->start_ns) - (left->start_ns < right->start_ns);
}

static void free_life(void *node) {
  struct denet_lifecycle_entry *life = node;
  free(life->texts);
  free(life);
}

void denet_lifecycle_done(struct denet_lifecycle *lifecycle) {
  tdestroy(lifecycle->tree, free_life);
  free(lifecycle->lives);
  *lifecycle = (struct denet_lifecycle){0};
}

struct denet_lifecycle_entry *denet_lifecycle_find(const struct denet_lifecycle *lifecycle,
                                                   pid_t pid, uint64_t start_ns) {
  struct denet_lifecycle_entry key = {.pid = pid, .start_ns = start_ns};
  void *found = tfind(&key, &lifecycle->tree, compare_lives);
  return found ? *(struct denet_lifecycle_entry **)found : NULL;
}

struct denet_lifecycle_entry *denet_lifecycle_add(struct denet_lifecycle *lifecycle, pid_t pid,
                                                  uint64_t start_ns) {
  struct denet_lifecycle_entry *life = denet_lifecycle_find(lifecycle, pid, start_ns);
  if (life)
    return life;
  life = calloc(1, sizeof(*life));
  if (!life)
    return NULL;
  life->pid = pid;
  life->start_ns = start_ns;
  if (!tsearch(life, &lifecycle->tree, compare_lives)) {
    free(life);
    return NULL;
  }
  lifecycle->size++;
  return life;
}

static size_t count_texts(const struct denet_bpf_texts *texts) {
  return (size_t)texts->argument_bytes + texts->executable_bytes + texts->cgroup_bytes;
}

static int note_texts(struct denet_lifecycle_entry *life, const void *event) {
  struct denet_bpf_texts texts;
  memcpy(&texts, event, sizeof(texts));
  size_t size = sizeof(texts) + count_texts(&texts);
  struct denet_bpf_texts *copy = malloc(size);
  if (!copy)
    return -ENOMEM;
  memcpy(copy, event, size);
  free(life->texts);
  life->texts = copy;
  life->is_heard = false;
  return 0;
}

/* The least that an event of a kind has; 0 for what is no event. */
static size_t size_of(denet_u32 kind) {
  switch (kind) {
  case DENET_BPF_FORK:
    return sizeof(struct denet_bpf_fork);
  case DENET_BPF_TEXTS:
    return sizeof(struct denet_bpf_texts);
  case DENET_BPF_EXIT:
    return sizeof(struct denet_bpf_exit);
  case DENET_BPF_FREE:
    return sizeof(struct denet_bpf_free);
  default:
    return 0;
  }
}

/* Whether it is an event, whole; its head then. */
static bool is_event(const void *event, size_t size, struct denet_bpf_head *out_head) {
  struct denet_bpf_head head = {0};
  if (size >= sizeof(head))
    memcpy(&head, event, sizeof(head));
  size_t least = size_of(head.kind);
  if (!least || size < least || !head.pid || head.pid > INT32_MAX)
    return false;
  struct denet_bpf_texts texts;
  if (head.kind == DENET_BPF_TEXTS) {
    memcpy(&texts, event, sizeof(texts));
    if (count_texts(&texts) > size - sizeof(texts))
      return false;
  }
  *out_head = head;
  return true;
}

int denet_lifecycle_note(struct denet_lifecycle *lifecycle, const void *event, size_t size) {
  struct denet_bpf_head head;
  if (!is_event(event, size, &head))
    return -EINVAL;
  struct denet_lifecycle_entry *life =
      denet_lifecycle_add(lifecycle, (pid_t)head.pid, head.start_ns);
  if (!life)
    return -ENOMEM;
  if (head.kind == DENET_BPF_TEXTS)
    return note_texts(life, event);
  if (head.kind == DENET_BPF_FORK) {
    struct denet_bpf_fork fork;
    memcpy(&fork, event, sizeof(fork));
    life->was_forked = true;
    life->parent_pid = (pid_t)fork.parent_pid;
  } else if (head.kind == DENET_BPF_EXIT) {
    /* Several threads that exit at once may each be the last one: one of them is the main one. */
    denet_u64 main_age_ns = life->exit.main_age_ns;
    memcpy(&life->exit, event, sizeof(life->exit));
    if (!life->exit.main_age_ns)
      life->exit.main_age_ns = main_age_ns;
    life->has_exited = true;
  } else {
    memcpy(&life->end, event, sizeof(life->end));
    life->is_over = true;
  }
  return 0;
}

static void list_life(const void *node, VISIT visit, void *context) {
  struct denet_lifecycle *lifecycle = context;
  if (visit == postorder || visit == leaf)
    lifecycle->lives[lifecycle->count++] = *(struct denet_lifecycle_entry *const *)node;
}

int denet_lifecycle_list(struct denet_lifecycle *lifecycle) {
  lifecycle->count = 0;
  if (lifecycle->size > lifecycle->capacity) {
    struct denet_lifecycle_entry **grown =
        reallocarray(lifecycle->lives, lifecycle->size, sizeof(struct denet_lifecycle_entry *));
    if (!grown)
      return -ENOMEM;
    lifecycle->lives = grown;
    lifecycle->capacity = lifecycle->size;
  }
  twalk_r(lifecycle->tree, list_life, lifecycle);
  return 0;
}

void denet_lifecycle_drop(struct denet_lifecycle *lifecycle, struct denet_lifecycle_entry *life) {
  tdelete(life, &lifecycle->tree, compare_lives);
  lifecycle->size--;
  free_life(life);
}

/* Joins names that come leaf first, each with its NUL, into a path. */
static int join_names(struct denet_text names, struct denet_buffer *out) {
  size_t end = names.length;
  if (!end)
    return -ENOENT;
  while (end) {
    size_t start = end - 1; /* the NUL; then back to behind the one before */
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

int denet_lifecycle_entry_text(const struct denet_lifecycle_entry *life, enum denet_text_kind kind,
                               struct denet_buffer *out) {
  const struct denet_bpf_texts *texts = life->texts;
  if (!texts)
    return -ENOENT;
  const char *bytes = (const char *)(texts + 1);
  struct denet_text arguments = {bytes, texts->argument_bytes};
  struct denet_text executable = {bytes + texts->argument_bytes, texts->executable_bytes};
  struct denet_text cgroup = {executable.bytes + executable.length, texts->cgroup_bytes};
  if (kind == DENET_TEXT_EXECUTABLE)
    return join_names(executable, out);
  if (kind == DENET_TEXT_CGROUP)
    return join_names(cgroup, out); /* of the root: one empty name */
  arguments = denet_parse_arguments(arguments);
  return denet_buffer_append(out, arguments.bytes, arguments.length);
}

void denet_lifecycle_entry_record(const struct denet_lifecycle_entry *entry,
                                  struct denet_bpf_process *out_record) {
  const struct denet_bpf_free *end = &entry->end;
  const struct denet_bpf_exit *exit = &entry->exit;
  *out_record = (struct denet_bpf_process){
      .identity = {.brief = {.head = end->head, .exec_id = end->exec_id},
                   .parent_pid =
                       entry->was_forked ? (denet_u32)entry->parent_pid : exit->parent_pid,
                   .flags = end->flags,
                   .state = end->state | DENET_BPF_ZOMBIE},
      .usage = end->usage,
      .seen_ns = exit->exit_ns,
      .rss_pages = exit->rss_pages ? exit->rss_pages : end->peak_rss_pages,
      .vm_pages = exit->rss_pages ? exit->vm_pages : 0,
      .uid = end->uid,
      .cpu = end->cpu,
      .exit_code = end->exit_code,
  };
  out_record->usage.age_ns += exit->main_age_ns;
  memcpy(out_record->identity.brief.name, end->name, sizeof(end->name));
}
