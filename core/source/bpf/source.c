/* The BPF source: one pass of the kernel's task iterator lists every process of the host, and
 * events report forks, execs and exits between two passes. Texts of living processes and network
 * counts come from /proc. */
#include "core/source/bpf/source.h"

#include "core/util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_NAMESPACE_INODE 0xEFFFFFFC /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* A process may have its start time this long before a pass can list it. */
#define FORK_NS UINT64_C(2000000000)
/* How long a process that no pass lists any more waits for its final usage. The kernel sends it
 * after an RCU grace period, which takes up to 10 s with lazy callbacks. */
#define FINAL_NS UINT64_C(12000000000)
/* How long an entry of the lifecycle without a process stays: its last event was lost. */
#define ENTRY_NS UINT64_C(30000000000)
/* How long the rules may check the programs of one drain. */
#define CHECK_NS UINT64_C(20000000)
/* How long the event of an exec may take to come; after that it was lost. */
#define EXEC_NS UINT64_C(2000000000)
/* Events of one pass, three or four for each process. The others wait in the kernel. */
#define EVENTS_MOST 16000

struct denet_bpf_head *denet_bpf_source_next_task(struct denet_buffer *records, size_t *offset) {
  struct denet_bpf_head *head = (void *)(records->bytes + *offset);
  size_t left = records->length - *offset;
  if (left < sizeof(*head))
    return NULL;
  size_t size = head->kind == DENET_BPF_COMPACT   ? sizeof(struct denet_bpf_compact)
                : head->kind == DENET_BPF_PROCESS ? sizeof(struct denet_bpf_process)
                : head->kind == DENET_BPF_THREAD  ? sizeof(struct denet_bpf_thread)
                                                  : SIZE_MAX;
  if (left < size)
    return NULL;
  *offset += size;
  return head;
}

static void identify(const struct denet_bpf_source *bpf, struct denet_process *process,
                     const struct denet_bpf_process *record) {
  const struct denet_bpf_compact *compact = &record->identity.compact;
  struct denet_identity identity = {
      .start_ticks = compact->head.start_ns / bpf->env->tick_ns,
      .born_ns = compact->head.start_ns,
      .parent_pid = (pid_t)record->identity.parent_pid,
      .name = compact->name, /* the kernel ends it with a NUL (__set_task_comm, fs/exec.c) */
      .kernel_thread = record->identity.flags & PF_KTHREAD,
      .never_execd = record->identity.flags & PF_FORKNOEXEC,
      .has_exec_stamp = true,
      .exec_stamp = compact->exec_id,
      .has_reaped = record->identity.state & DENET_BPF_HAS_REAPED,
      .is_zombie = record->identity.state & DENET_BPF_ZOMBIE,
      .no_mm = record->identity.state & DENET_BPF_NO_MM,
      .threads = record->identity.threads,
      .has_exit_status = true,
      .exit_status = record->exit_code,
      .oom_killed = record->identity.state & DENET_BPF_OOM_KILLED,
  };
  bool has_execd = !process->is_new && process->exec_stamp != compact->exec_id;
  denet_process_identify(process, &identity);
  process->notes.bpf.uid = record->uid;
  if (has_execd)
    process->notes.bpf.execd_ns = bpf->begun_ns;
}

/* The process is gone: takes over who it was. Its final usage stays in the entry until it is
 * measured. If it has no texts of its own, it ran what its parent ran at the fork. */
static void take_final(const struct denet_bpf_source *bpf, struct denet_process *process,
                       struct denet_lifecycle_entry *entry) {
  struct denet_bpf_process record;
  entry->is_applied = true;
  if (!entry->texts)
    entry->texts = DENET_TAKE(entry->inherited);
  process->notes.bpf.missed_ns = 0;
  process->vanished = true;
  if (process->ended) /* a pass has listed it as a zombie */
    return;
  denet_lifecycle_entry_record(entry, &record);
  if (!process->is_new)
    record.identity.parent_pid = (denet_u32)process->parent_pid;
  identify(bpf, process, &record);
  if (entry->has_exited)
    process->ended_ns = entry->exit.exit_ns;
}

/* Returns whether the final usage has come and the one of each process that exited before too: the
 * kernel sends them in any order before Linux 6.3, and a child must be in the trees of its parent
 * before these end. */
static bool is_final(const struct denet_bpf_source *bpf,
                     const struct denet_lifecycle_entry *entry) {
  return entry->was_freed && entry->exit.exit_ns <= bpf->pending_ns;
}

/* Gives its final usage to a process that no pass lists any more. Returns whether it stays in the
 * table to wait for that, if it may; else what comes is dropped. */
static bool awaits_final(struct denet_bpf_source *bpf, struct denet_process *process,
                         bool may_wait) {
  struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (!entry || !entry->was_freed) {
    denet_loader_request_exit(bpf->loader, process->pid, process->born_ns);
    denet_loader_drain(bpf->loader);
    entry = denet_bpf_source_entry(bpf, process);
  }
  if (!process->notes.bpf.missed_ns)
    process->notes.bpf.missed_ns = bpf->begun_ns;
  may_wait &= !process->ended && bpf->begun_ns - process->notes.bpf.missed_ns < FINAL_NS;
  if (entry && (may_wait ? is_final(bpf, entry) : entry->was_freed)) {
    take_final(bpf, process, entry);
    return false;
  }
  if (may_wait)
    return true;
  entry = denet_lifecycle_add(&bpf->lifecycle, process->pid, process->born_ns);
  if (entry)
    entry->was_given_up = true;
  return false;
}

/* Handles the processes below the limit that the pass does not list. */
static int pass_unseen(struct denet_bpf_source *bpf, pid_t limit) {
  struct denet_process *process;
  int error = 0;
  while (!error && (process = denet_process_table_next_unseen(bpf->source.table, limit))) {
    if (awaits_final(bpf, process, true))
      error = denet_process_table_upsert(bpf->source.table, process->pid, &process);
    else
      denet_process_table_remove(bpf->source.table);
  }
  return error;
}

/* Takes over what program a known process runs, and its name. */
static void take_program(const struct denet_bpf_source *bpf, struct denet_process *process,
                         const char name[DENET_BPF_COMM], uint64_t exec_id) {
  bool has_execd = process->exec_stamp != exec_id;
  if (!has_execd && !strncmp(process->name, name, sizeof(process->name)))
    return;
  snprintf(process->name, sizeof(process->name), "%.*s", DENET_COMM_BYTES - 1, name);
  process->changed = true;
  if (!has_execd)
    return;
  process->exec_stamp = exec_id;
  process->never_execd = false;
  process->execd = true;
  process->notes.bpf.execd_ns = bpf->begun_ns;
}

static void set_record(const struct denet_bpf_source *bpf, struct denet_process *process,
                       struct denet_bpf_process *record) {
  process->notes.bpf.record = record;
  process->notes.bpf.list = bpf->lists;
  process->notes.bpf.listed_threads = 1;
}

/* Takes a full record. The exit event of a process that exits or is a zombie says when it exited,
 * and the memory that it had. */
static void take_full(struct denet_bpf_source *bpf, struct denet_process *process,
                      struct denet_bpf_process *record) {
  identify(bpf, process, record);
  bool is_ending = process->ended || process->no_mm;
  const struct denet_lifecycle_entry *entry =
      process->is_new || is_ending ? denet_bpf_source_entry(bpf, process) : NULL;
  if (process->is_new && entry && entry->was_forked)
    process->parent_pid = entry->parent_pid; /* it may have another parent by now */
  /* A process that counts in no group needs no full records. */
  if (!process->members)
    denet_loader_set_full(bpf->loader, process->pid, false);
  set_record(bpf, process, record);
  if (!entry || !is_ending)
    return;
  record->usage.age_ns += entry->exit.main_age_ns;
  if (entry->has_exited)
    process->ended_ns = entry->exit.exit_ns;
  if (!record->vm_pages && entry->exit.rss_pages) {
    record->rss_pages = entry->exit.rss_pages;
    record->vm_pages = entry->exit.vm_pages;
  }
}

/* Returns whether the parent of a process that is new has exited, is in no pass and has no final
 * usage yet, or waits likewise for its own parent: the process is listed together with it, to join
 * its trees. */
static bool awaits_parent(const struct denet_bpf_source *bpf,
                          const struct denet_lifecycle_entry *entry) {
  while (entry && entry->was_forked && bpf->begun_ns - entry->listed_ns <= FINAL_NS &&
         !denet_process_table_find(bpf->source.table, entry->parent_pid)) {
    entry = denet_lifecycle_find_last(&bpf->lifecycle, entry->parent_pid, entry->start_ns);
    if (!entry || !entry->has_exited || entry->is_applied || entry->was_given_up ||
        entry->start_ns < bpf->opened_ns)
      return false;
    if (!is_final(bpf, entry))
      return true;
  }
  return false;
}

/* Takes a record of a process, full or compact. */
static int take_process(struct denet_bpf_source *bpf, struct denet_bpf_head *head) {
  const struct denet_bpf_compact *compact = (const void *)head;
  struct denet_process *process;
  int error = pass_unseen(bpf, (pid_t)head->pid);
  if (!error)
    error = denet_process_table_upsert(bpf->source.table, (pid_t)head->pid, &process);
  if (!error && !process->is_new && process->born_ns != head->start_ns) {
    awaits_final(bpf, process, false);
    error = denet_process_table_replace(bpf->source.table, &process);
  }
  if (error)
    return error;
  process->notes.bpf.missed_ns = 0;
  bool is_early =
      process->is_new &&
      awaits_parent(bpf, denet_lifecycle_find(&bpf->lifecycle, process->pid, head->start_ns));
  if (head->kind == DENET_BPF_PROCESS && !is_early) {
    take_full(bpf, process, (struct denet_bpf_process *)head);
  } else if (!process->is_new) {
    take_program(bpf, process, compact->name, compact->exec_id);
  } else { /* this pass or an earlier one leaves it out: the next one has full records only */
    denet_process_table_undo(bpf->source.table);
    bpf->has_missed = true;
  }
  return 0;
}

/* Takes the events of one process: its exec, and its final usage. A process that was born and freed
 * between two passes is in no record. */
static int take_entry(struct denet_bpf_source *bpf, struct denet_lifecycle_entry *entry) {
  struct denet_process *process = denet_process_table_find(bpf->source.table, entry->pid);
  bool is_known = process && process->born_ns == entry->start_ns;
  if (is_known && !entry->was_freed && entry->texts && entry->texts->exec_id > process->exec_stamp)
    take_program(bpf, process, entry->texts->name, entry->texts->exec_id);
  if (!entry->was_freed || entry->is_applied)
    return 0;
  if (entry->was_given_up || (!is_known && entry->start_ns < bpf->opened_ns)) {
    entry->is_applied = true;
    return 0;
  }
  if (!is_final(bpf, entry) || (!is_known && awaits_parent(bpf, entry)))
    return 0;
  int error = is_known ? 0 : denet_process_table_add_gone(bpf->source.table, entry->pid, &process);
  if (!error)
    take_final(bpf, process, entry);
  return error;
}

/* Adds the usage of a thread to the record of its process. */
static void add_thread(struct denet_process *process, struct denet_bpf_process *record,
                       const struct denet_bpf_thread *thread) {
  /* A usage consists of counters only. */
  denet_u64 *sums = (denet_u64 *)&record->usage;
  const denet_u64 *parts = (const denet_u64 *)&thread->usage;
  for (size_t i = 0; i < sizeof(record->usage) / sizeof(*sums); i++)
    sums[i] += parts[i];
  process->notes.bpf.listed_threads++;
  record->identity.state |= thread->state & DENET_BPF_ON_CPU;
  if (!record->vm_pages) { /* the main thread has no mm_struct any more */
    record->rss_pages = thread->rss_pages;
    record->vm_pages = thread->vm_pages;
  }
}

/* Adds the threads of the last list to their processes. The iterator lists tasks by their ids: a
 * thread may come before its process. */
static void add_threads(struct denet_bpf_source *bpf) {
  size_t offset = 0;
  const struct denet_bpf_head *head;
  struct denet_process *process = NULL;
  while ((head = denet_bpf_source_next_task(&bpf->records, &offset))) {
    if (head->kind != DENET_BPF_THREAD)
      continue;
    if (!process || process->pid != (pid_t)head->pid)
      process = denet_process_table_find(bpf->source.table, (pid_t)head->pid);
    struct denet_bpf_process *record = process ? denet_bpf_source_record(bpf, process) : NULL;
    if (record)
      add_thread(process, record, (const struct denet_bpf_thread *)head);
  }
}

static int fill_table(struct denet_bpf_source *bpf) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  int error = denet_process_table_begin(bpf->source.table);
  while (!error && (head = denet_bpf_source_next_task(&bpf->records, &offset)))
    error = head->kind == DENET_BPF_THREAD ? 0 : take_process(bpf, head);
  if (!error)
    error = pass_unseen(bpf, INT32_MAX);
  for (size_t i = 0; i < bpf->lifecycle.count && !error; i++)
    if (bpf->lifecycle.entries[i]->listed_ns) /* else it has come while the table was filled */
      error = take_entry(bpf, bpf->lifecycle.entries[i]);
  denet_process_table_end(bpf->source.table, !error);
  add_threads(bpf);
  return error;
}

/* Removes the entries that the last pass has used up: the final usage is in the table, the rules
 * have matched the new program, or the process is unknown and its last event was lost. By begun_ns
 * of the last pass: at least two passes have looked for it, however far apart they are. */
static void remove_used(struct denet_bpf_source *bpf, const struct denet_process_table *table) {
  for (size_t i = bpf->lifecycle.count; i-- > 0;) {
    const struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    if (!entry->listed_ns) /* it has come since the last pass */
      continue;
    const struct denet_process *process = denet_process_table_find(table, entry->pid);
    bool is_there = process && process->born_ns == entry->start_ns;
    bool is_newer = entry->texts && is_there && entry->texts->exec_id > process->exec_stamp;
    bool is_needed = (entry->has_exited || entry->was_freed) && !(is_there && process->ended);
    bool is_matched = is_there && !process->changed && !is_newer && !is_needed;
    bool is_stale = bpf->begun_ns - entry->listed_ns > ENTRY_NS;
    bool is_lost = !is_there && !entry->is_applied && is_stale;
    if (is_lost && is_needed && !entry->was_given_up)
      bpf->events_lost++;
    if (entry->is_applied || is_matched || is_lost)
      denet_lifecycle_remove(&bpf->lifecycle, i);
  }
}

static int take_event(void *context, void *event, size_t size) {
  struct denet_bpf_source *bpf = context;
  int error = denet_lifecycle_note(&bpf->lifecycle, event, size);
  if (error) {
    bpf->note_failure = error;
    bpf->events_lost++;
  }
  return ++bpf->events < EVENTS_MOST ? 0 : -ENOBUFS;
}

/* Requests the final usage of processes that this pass does not list: those that exited before it
 * began, and those that were given up, for which the kernel keeps a task. Where the kernel takes no
 * requests, notes since when a final usage is awaited that no process of the table awaits. */
static void request_exits(struct denet_bpf_source *bpf) {
  bpf->pending_ns = UINT64_MAX;
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    bool has_exited = entry->has_exited && entry->exit.exit_ns < bpf->begun_ns;
    if (!entry->listed_ns)
      entry->listed_ns = bpf->begun_ns;
    if (!(has_exited || entry->was_given_up) || entry->was_freed ||
        denet_loader_request_exit(bpf->loader, entry->pid, entry->start_ns))
      continue;
    bool is_awaited = !entry->was_given_up && bpf->begun_ns - entry->listed_ns <= FINAL_NS &&
                      !denet_process_table_find(bpf->source.table, entry->pid);
    if (is_awaited && entry->exit.exit_ns < bpf->pending_ns)
      bpf->pending_ns = entry->exit.exit_ns;
  }
}

/* Lists all tasks. Older records are not valid any more, or after a failure stay as they are. */
static int list_tasks(struct denet_bpf_source *bpf, uint64_t full_since_ns) {
  bpf->is_full = full_since_ns == 0;
  int error = denet_loader_list(bpf->loader, full_since_ns, &bpf->next_records);
  if (error)
    return error;
  bpf->next_records = DENET_EXCHANGE(bpf->records, bpf->next_records);
  bpf->lists++;
  return 0;
}

static int scan(struct denet_source *source, struct denet_process_table *table,
                struct denet_error *error) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  bpf->note_failure = 0;
  bpf->events = 0;
  denet_loader_drain(bpf->loader); /* before the texts are removed that a fork has inherited */
  remove_used(bpf, table);
  denet_procfs_begin_pass(bpf->procfs);
  bpf->begun_ns = bpf->env->boot_ns(bpf->env->context);
  source->table = table;
  bpf->has_missed = false;
  bpf->lists++; /* also if there is no list the records of the last pass are not valid any more */
  int failure = list_tasks(bpf, bpf->complete_ns > FORK_NS ? bpf->complete_ns - FORK_NS : 0);
  denet_loader_drain(bpf->loader);
  request_exits(bpf);
  denet_loader_drain(bpf->loader);
  source->lost = denet_loader_lost(bpf->loader) + bpf->events_lost;
  if (failure)
    return denet_error_set(error, failure, "the task iterator cannot be read: %m");
  failure = fill_table(bpf);
  bpf->complete_ns = failure || bpf->has_missed ? 0 : bpf->begun_ns;
  /* Two processes that are always there: some sandboxes leave out pid 1. */
  if (bpf->complete_ns &&
      (!denet_process_table_find(table, 1) || !denet_process_table_find(table, getpid())))
    source->seen_unavailable |= DENET_UNAVAILABLE_TASKS;
  failure = failure ? failure : bpf->note_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be followed: %m");
  return 0;
}

static bool drain_events(struct denet_source *source,
                         bool (*is_wanted)(void *context, struct denet_process *process),
                         void *context) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  denet_loader_drain(bpf->loader);
  if (bpf->events > EVENTS_MOST / 2)
    return true;
  uint64_t deadline_ns = bpf->env->boot_ns(bpf->env->context) + CHECK_NS;
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    if (!entry->texts || entry->is_checked)
      continue;
    entry->is_checked = true;
    struct denet_process process = {.pid = entry->pid,
                                    .parent_pid = entry->parent_pid,
                                    .born_ns = entry->start_ns,
                                    .exec_stamp = entry->texts->exec_id,
                                    .vanished = true};
    memcpy(process.name, entry->texts->name, sizeof(process.name));
    if (!entry->has_exited && is_wanted(context, &process))
      return true;
    if (bpf->env->boot_ns(bpf->env->context) > deadline_ns)
      return true; /* the rules are slow: a tick has bounds */
  }
  return false;
}

void denet_bpf_source_list_in_full(struct denet_bpf_source *bpf,
                                   const struct denet_process *process) {
  denet_loader_set_full(bpf->loader, process->pid, true);
  if (bpf->is_full || denet_bpf_source_record(bpf, process) || list_tasks(bpf, 0))
    return;
  size_t offset = 0;
  struct denet_bpf_head *head;
  while ((head = denet_bpf_source_next_task(&bpf->records, &offset))) {
    if (head->kind != DENET_BPF_PROCESS)
      continue;
    struct denet_process *listed = denet_process_table_find(bpf->source.table, (pid_t)head->pid);
    if (listed && listed->born_ns == head->start_ns) /* another process may have the pid by now */
      set_record(bpf, listed, (struct denet_bpf_process *)head);
  }
  add_threads(bpf);
}

/* --- Texts --- */

/* Reads the text from the event of the program that the process runs, or ran at its end. Returns
 * DENET_GONE if there is no such event. */
static int read_event(const struct denet_bpf_source *bpf, const struct denet_process *process,
                      enum denet_text_kind kind, struct denet_buffer *out) {
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (!entry || !entry->texts || entry->texts->exec_id != process->exec_stamp)
    return DENET_GONE;
  denet_buffer_clear(out);
  return denet_lifecycle_entry_text(entry, kind, out);
}

/* Reads the text from /proc. Returns DENET_GONE if it may be of another program than the pass saw,
 * or if it is empty because the process exits or is in its exec, whose event has not come yet. */
static int read_proc(struct denet_bpf_source *bpf, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_source *procfs = &bpf->procfs->source;
  int outcome = procfs->read_text(procfs, process, kind, out);
  bpf->source.seen_unavailable |= procfs->seen_unavailable & DENET_UNAVAILABLE_EXECUTABLE;
  denet_loader_drain(bpf->loader);
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  const struct denet_bpf_texts *texts = entry ? entry->texts : NULL;
  uint64_t execd_ns = process->notes.bpf.execd_ns;
  uint64_t since_ns = execd_ns ? execd_ns : process->born_ns;
  bool is_ours = execd_ns || process->born_ns > bpf->opened_ns;
  bool is_due = is_ours && bpf->begun_ns < since_ns + EXEC_NS && !bpf->source.lost;
  bool has_execd = texts && texts->exec_id > process->exec_stamp;
  bool has_event = texts && texts->exec_id == process->exec_stamp;
  bool is_in_exec = is_due && process->execd && !process->never_execd && !has_event;
  bool is_emptied = entry && (entry->has_exited || has_event) && !outcome && !out->length;
  return has_execd || is_emptied || is_in_exec ? DENET_GONE : outcome;
}

static int read_text(struct denet_source *source, struct denet_process *process,
                     enum denet_text_kind kind, struct denet_buffer *out) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  int from_event = read_event(bpf, process, kind, out);
  /* /proc may have more than the event: the arguments are cut or were not resident, or the path was
   * too deep. */
  size_t most = DENET_BPF_ARGUMENT_BYTES - 2; /* without a NUL at the end */
  bool is_cut = kind == DENET_TEXT_ARGUMENTS && (!out->length || out->length >= most);
  if (process->vanished || (!from_event && !is_cut))
    return from_event;
  int outcome = read_proc(bpf, process, kind, out);
  if (!outcome)
    return 0;
  /* The text of an event, which may have come meanwhile, is better than none. An empty one is not,
   * if /proc may have more at another time. */
  from_event = read_event(bpf, process, kind, out);
  bool may_come = outcome == DENET_LATER || denet_error_is_transient(outcome);
  bool is_empty = from_event || !out->length;
  return from_event == DENET_GONE || (may_come && is_empty) ? outcome : from_event;
}

static int read_uid(struct denet_source *source, const struct denet_process *process,
                    uid_t *out_uid) {
  const struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  struct denet_source *procfs = &bpf->procfs->source;
  int outcome = 0;
  const struct denet_bpf_process *record = denet_bpf_source_record(bpf, process);
  const struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (record)
    *out_uid = record->uid;
  else if (entry && (entry->was_freed || entry->texts))
    *out_uid = entry->was_freed ? entry->final.uid : entry->texts->uid;
  else
    outcome = procfs->read_uid(procfs, process, out_uid);
  if (outcome != -EACCES && outcome != -EPERM)
    return outcome;
  *out_uid = process->notes.bpf.uid; /* /proc hides it */
  return 0;
}

/* --- The source --- */

static void free_bpf(struct denet_source *source) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  denet_loader_free(bpf->loader);
  denet_source_free((struct denet_source *)bpf->procfs);
  denet_lifecycle_done(&bpf->lifecycle);
  denet_buffer_done(&bpf->records);
  denet_buffer_done(&bpf->next_records);
  free(bpf);
}

/* BPF programs see the pids of the initial pid namespace: this process and ProcPath must have them
 * too. */
static int check_pids(const struct denet_bpf_source *bpf, struct denet_error *error) {
  struct stat namespace;
  if (stat("/proc/self/ns/pid", &namespace) || namespace.st_ino != PID_NAMESPACE_INODE)
    return denet_error_set(error, -ENOTSUP,
                           "collectd runs in a pid namespace of its own, and BPF names processes "
                           "by the pids of the host");
  if (!bpf->procfs->own_pids)
    return denet_error_set(error, -ENOTSUP,
                           "%s has the pids of another pid namespace, which are not those that "
                           "BPF names processes by",
                           bpf->env->proc_path);
  return 0;
}

int denet_bpf_open(const struct denet_env *env, struct denet_error *error,
                   struct denet_source **out_source) {
  struct denet_bpf_source *bpf = calloc(1, sizeof(*bpf));
  if (!bpf)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  bpf->env = env;
  struct denet_source *procfs = NULL;
  int failure = denet_procfs_open(env, error, &procfs);
  bpf->procfs = (struct denet_procfs *)procfs;
  if (!failure)
    failure = check_pids(bpf, error);
  if (!failure)
    failure = denet_loader_open(take_event, bpf, error, &bpf->loader);
  if (failure) {
    free_bpf(&bpf->source);
    return failure;
  }
  bpf->opened_ns = env->boot_ns(env->context);
  bpf->source = (struct denet_source){.name = "bpf",
                                      .source_id = DENET_SOURCE_ID_BPF,
                                      .unavailable = procfs->unavailable,
                                      .seen_unavailable = procfs->unavailable,
                                      .event_fd = denet_loader_event_fd(bpf->loader),
                                      .scan = scan,
                                      .drain_events = drain_events,
                                      .measure = denet_bpf_source_measure,
                                      .read_text = read_text,
                                      .read_uid = read_uid,
                                      .free = free_bpf};
  *out_source = &bpf->source;
  return 0;
}
