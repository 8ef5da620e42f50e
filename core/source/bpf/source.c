/* The BPF source: one pass of the kernel's task iterator lists every process of the host, and
 * events report forks, execs and exits between two passes. Texts of living processes and network
 * counts come from /proc. */
#include "core/source/bpf/source.h"

#include "core/source/procfs/procfs.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
/* Events of one pass, three or four for each process. The others wait in the kernel. */
#define EVENTS_MOST 16000

struct denet_lifecycle_entry *denet_bpf_source_entry(const struct denet_bpf_source *bpf,
                                                     const struct denet_process *process) {
  return denet_lifecycle_find(&bpf->lifecycle, process->pid, process->born_ns);
}

/* The process leaves the table without its final usage, which is dropped when it comes. */
static void give_up(struct denet_bpf_source *bpf, const struct denet_process *process) {
  struct denet_lifecycle_entry *entry =
      denet_lifecycle_add(&bpf->lifecycle, process->pid, process->born_ns);
  if (entry)
    entry->was_given_up = true;
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
  if (has_execd)
    process->notes.bpf.execd_ns = bpf->begun_ns;
}

/* The process is gone: takes over who it was. Its final usage stays in the entry until it is
 * measured. */
static void take_final(const struct denet_bpf_source *bpf, struct denet_process *process,
                       struct denet_lifecycle_entry *entry) {
  struct denet_bpf_process record;
  entry->is_applied = true;
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

/* Gives the process its final usage. Returns false if the kernel does not have it yet. */
static bool try_final(struct denet_bpf_source *bpf, struct denet_process *process) {
  struct denet_lifecycle_entry *entry = denet_bpf_source_entry(bpf, process);
  if (!entry || !entry->was_freed) {
    denet_loader_request_exit(bpf->loader, process->pid, process->born_ns);
    denet_bpf_source_drain(bpf);
    entry = denet_bpf_source_entry(bpf, process);
  }
  if (!entry || !entry->was_freed)
    return false;
  take_final(bpf, process, entry);
  return true;
}

/* Returns whether a process that the pass does not list stays in the table, to wait for its final
 * usage. */
static bool awaits_final(struct denet_bpf_source *bpf, struct denet_process *process) {
  if (try_final(bpf, process))
    return false;
  if (!process->notes.bpf.missed_ns)
    process->notes.bpf.missed_ns = bpf->begun_ns;
  if (!process->ended && bpf->begun_ns - process->notes.bpf.missed_ns < FINAL_NS)
    return true;
  give_up(bpf, process);
  return false;
}

static int pass_unseen(struct denet_bpf_source *bpf, struct denet_process_table *table,
                       pid_t limit) {
  struct denet_process *process;
  int error = 0;
  while (!error && (process = denet_process_table_next_unseen(table, limit))) {
    if (awaits_final(bpf, process))
      error = denet_process_table_upsert(table, process->pid, &process);
    else
      denet_process_table_remove(table);
  }
  return error;
}

/* Finds or adds the process of a record. */
static int upsert_process(struct denet_bpf_source *bpf, struct denet_process_table *table,
                          const struct denet_bpf_head *head, struct denet_process **out_process) {
  struct denet_process *process;
  int error = pass_unseen(bpf, table, (pid_t)head->pid);
  if (!error)
    error = denet_process_table_upsert(table, (pid_t)head->pid, &process);
  if (error)
    return error;
  if (!process->is_new && process->born_ns != head->start_ns) {
    if (!try_final(bpf, process))
      give_up(bpf, process);
    error = denet_process_table_replace(table, &process);
  }
  *out_process = process;
  return error;
}

static void set_full(struct denet_bpf_source *bpf, struct denet_process *process, bool is_full) {
  denet_loader_set_full(bpf->loader, process->pid, is_full);
  process->notes.bpf.wants_full = is_full;
}

/* The process runs another program than at the last pass. */
static void take_exec(const struct denet_bpf_source *bpf, struct denet_process *process,
                      const char name[DENET_BPF_COMM], uint64_t exec_id) {
  snprintf(process->name, sizeof(process->name), "%.*s", DENET_COMM_BYTES - 1, name);
  process->exec_stamp = exec_id;
  process->never_execd = false;
  process->execd = process->changed = true;
  process->notes.bpf.execd_ns = bpf->begun_ns;
}

static int take_compact(struct denet_bpf_source *bpf, struct denet_process_table *table,
                        const struct denet_bpf_compact *compact) {
  struct denet_process *process;
  int error = upsert_process(bpf, table, &compact->head, &process);
  if (error)
    return error;
  if (process->is_new) { /* an earlier pass missed it: the next one has full records only */
    denet_process_table_undo(table);
    bpf->has_missed = true;
    return 0;
  }
  process->notes.bpf.missed_ns = 0;
  process->notes.bpf.wants_full = false;
  if (process->exec_stamp != compact->exec_id)
    take_exec(bpf, process, compact->name, compact->exec_id);
  if (strncmp(process->name, compact->name, sizeof(process->name)) != 0) {
    snprintf(process->name, sizeof(process->name), "%.*s", DENET_COMM_BYTES - 1, compact->name);
    process->changed = true;
  }
  return 0;
}

/* Puts the exit event into a process that exits or is a zombie, and into its record: when it
 * exited, and the memory that it had. */
static void take_exit(const struct denet_lifecycle_entry *entry, struct denet_process *process,
                      struct denet_bpf_process *record) {
  record->usage.age_ns += entry->exit.main_age_ns;
  if (!entry->has_exited)
    return;
  process->ended_ns = entry->exit.exit_ns;
  if (!record->vm_pages && entry->exit.rss_pages) {
    record->rss_pages = entry->exit.rss_pages;
    record->vm_pages = entry->exit.vm_pages;
  }
}

static int take_process(struct denet_bpf_source *bpf, struct denet_process_table *table,
                        struct denet_bpf_process *record) {
  struct denet_process *process;
  int error = upsert_process(bpf, table, &record->identity.compact.head, &process);
  if (error)
    return error;
  process->notes.bpf.missed_ns = 0;
  identify(bpf, process, record);
  bool is_ending = process->ended || process->no_mm;
  const struct denet_lifecycle_entry *entry =
      process->is_new || is_ending ? denet_bpf_source_entry(bpf, process) : NULL;
  if (process->is_new && entry && entry->was_forked)
    process->parent_pid = entry->parent_pid; /* it may have another parent by now */
  /* A process that counts in no group needs no full records. */
  if (!process->members)
    set_full(bpf, process, false);
  if (entry && is_ending)
    take_exit(entry, process, record);
  return denet_task_sums_add(&bpf->task_sums, record);
}

/* Takes the events of one process: its exec, and its final usage. A process that was born and freed
 * between two passes is in no record. */
static int take_entry(struct denet_bpf_source *bpf, struct denet_process_table *table,
                      struct denet_lifecycle_entry *entry) {
  struct denet_process *process = denet_process_table_find(table, entry->pid);
  bool is_known = process && process->born_ns == entry->start_ns;
  if (is_known && !entry->was_freed && entry->texts && entry->texts->exec_id > process->exec_stamp)
    take_exec(bpf, process, entry->texts->name, entry->texts->exec_id);
  if (!entry->was_freed || entry->is_applied)
    return 0;
  bool was_before_us = !is_known && entry->start_ns < bpf->opened_ns;
  if (entry->was_given_up || was_before_us) {
    entry->is_applied = true;
    return 0;
  }
  int error = is_known ? 0 : denet_process_table_add_gone(table, entry->pid, &process);
  if (!error)
    take_final(bpf, process, entry);
  return error;
}

static int fill_table(struct denet_bpf_source *bpf, struct denet_process_table *table) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  denet_task_sums_clear(&bpf->task_sums);
  int error = denet_process_table_begin(table);
  while (!error && (head = denet_task_sums_next(&bpf->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      error = take_process(bpf, table, (struct denet_bpf_process *)head);
    else if (head->kind == DENET_BPF_COMPACT)
      error = take_compact(bpf, table, (const struct denet_bpf_compact *)head);
  if (!error)
    error = pass_unseen(bpf, table, INT32_MAX);
  for (size_t i = 0; i < bpf->lifecycle.count && !error; i++)
    error = take_entry(bpf, table, bpf->lifecycle.entries[i]);
  denet_process_table_end(table, !error);
  return error;
}

/* Removes the entries that the last pass has used up: the final usage is in the table, the rules
 * have matched the new program, or the process is unknown and its last event was lost. By begun_ns
 * of the last pass: at least two passes have looked for it, however far apart they are. */
static void remove_used(struct denet_bpf_source *bpf, const struct denet_process_table *table) {
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    const struct denet_process *process = denet_process_table_find(table, entry->pid);
    bool is_there = process && process->born_ns == entry->start_ns;
    bool is_newer = entry->texts && is_there && entry->texts->exec_id > process->exec_stamp;
    bool is_needed = (entry->has_exited || entry->was_freed) && !(is_there && process->ended);
    bool is_matched = is_there && !process->changed && !is_newer && !is_needed;
    bool is_stale = entry->listed_ns && bpf->begun_ns - entry->listed_ns > ENTRY_NS;
    bool is_lost = !is_there && !entry->is_applied && is_stale;
    if (is_lost && is_needed && !entry->was_given_up)
      bpf->events_lost++;
    if (entry->is_applied || is_matched || is_lost)
      denet_lifecycle_remove(&bpf->lifecycle, entry);
  }
  bpf->lifecycle.count = 0;
}

static int take_event(void *context, const void *event, size_t size) {
  struct denet_bpf_source *bpf = context;
  int error = denet_lifecycle_note(&bpf->lifecycle, event, size);
  if (error) {
    bpf->note_failure = error;
    bpf->events_lost++;
  }
  return ++bpf->events < EVENTS_MOST ? 0 : -ENOBUFS;
}

void denet_bpf_source_drain(struct denet_bpf_source *bpf) {
  denet_loader_drain(bpf->loader, take_event, bpf);
}

/* Lists the entries, and requests the final usage of processes that this pass does not list: those
 * that exited before it began, and those that were given up, for which the kernel keeps a task. */
static int list_entries(struct denet_bpf_source *bpf) {
  int error = denet_lifecycle_list(&bpf->lifecycle);
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    bool has_exited = entry->has_exited && entry->exit.exit_ns < bpf->begun_ns;
    if (!entry->listed_ns)
      entry->listed_ns = bpf->begun_ns;
    if ((has_exited || entry->was_given_up) && !entry->was_freed)
      denet_loader_request_exit(bpf->loader, entry->pid, entry->start_ns);
  }
  return error;
}

static int read_pass(struct denet_bpf_source *bpf) {
  uint64_t full_since_ns = bpf->complete_ns > FORK_NS ? bpf->complete_ns - FORK_NS : 0;
  bpf->is_full = full_since_ns == 0;
  denet_task_sums_clear(&bpf->task_sums); /* they point into the records */
  int error = denet_loader_list(bpf->loader, full_since_ns, &bpf->records);
  denet_bpf_source_drain(bpf);
  int list_error = list_entries(bpf);
  denet_bpf_source_drain(bpf);
  bpf->source.lost = denet_loader_lost(bpf->loader) + bpf->events_lost;
  return error ? error : list_error;
}

static int scan(struct denet_source *source, struct denet_process_table *table,
                struct denet_error *error) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  remove_used(bpf, table);
  bpf->begun_ns = bpf->env->boot_ns(bpf->env->context);
  source->table = table;
  bpf->note_failure = 0;
  bpf->events = 0;
  bpf->has_missed = false;
  int failure = read_pass(bpf);
  if (failure)
    return denet_error_set(error, failure, "the task iterator cannot be read: %s",
                           strerror(-failure));
  failure = fill_table(bpf, table);
  denet_task_sums_add_threads(&bpf->task_sums, &bpf->records);
  denet_procfs_begin_pass(bpf->procfs);
  bpf->complete_ns = failure || bpf->has_missed ? 0 : bpf->begun_ns;
  failure = failure ? failure : bpf->note_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be followed: %s",
                           strerror(-failure));
  return 0;
}

/* Makes a process of what the entry says, for the rules. */
static struct denet_process from_entry(const struct denet_lifecycle_entry *entry) {
  struct denet_process process = {.pid = entry->pid,
                                  .parent_pid = entry->parent_pid,
                                  .born_ns = entry->start_ns,
                                  .exec_stamp = entry->texts->exec_id,
                                  .vanished = true};
  memcpy(process.name, entry->texts->name, sizeof(process.name));
  return process;
}

static bool drain_events(struct denet_source *source,
                         bool (*is_wanted)(void *context, struct denet_process *process),
                         void *context) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  denet_bpf_source_drain(bpf);
  if (bpf->events > EVENTS_MOST / 2 || denet_lifecycle_list(&bpf->lifecycle))
    return true;
  uint64_t deadline_ns = bpf->env->boot_ns(bpf->env->context) + CHECK_NS;
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *entry = bpf->lifecycle.entries[i];
    if (!entry->texts || entry->is_checked)
      continue;
    entry->is_checked = true;
    struct denet_process process = from_entry(entry);
    if (!entry->has_exited && is_wanted(context, &process))
      return true;
    if (bpf->env->boot_ns(bpf->env->context) > deadline_ns)
      return true; /* the rules are slow: a tick has bounds */
  }
  return false;
}

/* Lists all processes again, with full records: a process with a compact record counts in a group
 * from now on. The next pass has its full record. */
static void rescan(struct denet_bpf_source *bpf) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  if (bpf->is_full)
    return;
  bpf->is_full = true;
  if (denet_loader_list(bpf->loader, 0, &bpf->rescanned))
    return; /* the sums of the pass stay */
  struct denet_buffer before = bpf->records;
  bpf->records = bpf->rescanned;
  bpf->rescanned = before;
  denet_task_sums_clear(&bpf->task_sums);
  int error = 0;
  while (!error && (head = denet_task_sums_next(&bpf->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      error = denet_task_sums_add(&bpf->task_sums, (struct denet_bpf_process *)head);
  denet_task_sums_add_threads(&bpf->task_sums, &bpf->records);
  if (error) /* a process without its threads would be a jump later */
    denet_task_sums_clear(&bpf->task_sums);
}

const struct denet_task_sum *denet_bpf_source_find_sum(struct denet_bpf_source *bpf,
                                                       struct denet_process *process) {
  if (!process->notes.bpf.wants_full)
    set_full(bpf, process, true);
  const struct denet_task_sum *sum = denet_task_sums_find(&bpf->task_sums, process->pid);
  if (!sum) {
    rescan(bpf);
    sum = denet_task_sums_find(&bpf->task_sums, process->pid);
  }
  bool is_its = sum && sum->record->identity.compact.head.start_ns == process->born_ns;
  return is_its ? sum : NULL; /* another process may have the pid by now */
}

static void free_bpf(struct denet_source *source) {
  struct denet_bpf_source *bpf = (struct denet_bpf_source *)source;
  denet_loader_free(bpf->loader);
  denet_source_free(bpf->procfs);
  denet_lifecycle_done(&bpf->lifecycle);
  denet_buffer_done(&bpf->records);
  denet_buffer_done(&bpf->rescanned);
  denet_task_sums_done(&bpf->task_sums);
  free(bpf);
}

static void free_sourcep(struct denet_bpf_source **bpf) {
  if (*bpf)
    free_bpf(&(*bpf)->source);
}

/* BPF programs see the pids of the initial pid namespace: this process and ProcPath must have them
 * too. */
static int check_pids(const struct denet_bpf_source *bpf, struct denet_error *error) {
  struct stat namespace;
  if (stat("/proc/self/ns/pid", &namespace) || namespace.st_ino != PID_NAMESPACE_INODE)
    return denet_error_set(error, -ENOTSUP,
                           "collectd runs in a pid namespace of its own, and BPF names processes "
                           "by the pids of the host");
  if (!denet_procfs_has_own_pids(bpf->procfs))
    return denet_error_set(error, -ENOTSUP,
                           "%s has the pids of another pid namespace, which are not those that "
                           "BPF names processes by",
                           bpf->env->proc_path);
  return 0;
}

int denet_bpf_open(const struct denet_env *env, struct denet_error *error,
                   struct denet_source **out_source) {
  DENET_CLEANUP(free_sourcep) struct denet_bpf_source *bpf = calloc(1, sizeof(*bpf));
  if (!bpf)
    return denet_error_set(error, -ENOMEM, "there is no memory");
  bpf->env = env;
  int failure = denet_procfs_open(env, error, &bpf->procfs);
  if (!failure)
    failure = check_pids(bpf, error);
  if (!failure)
    failure = denet_loader_open(error, &bpf->loader);
  if (failure)
    return failure;
  bpf->opened_ns = env->boot_ns(env->context);
  bpf->source = (struct denet_source){.name = "bpf",
                                      .source_id = DENET_SOURCE_ID_BPF,
                                      .unavailable = bpf->procfs->unavailable,
                                      .seen_unavailable = bpf->procfs->unavailable,
                                      .event_fd = denet_loader_event_fd(bpf->loader),
                                      .scan = scan,
                                      .drain_events = drain_events,
                                      .measure = denet_bpf_source_measure,
                                      .read_text = denet_bpf_source_read_text,
                                      .read_uid = denet_bpf_source_read_uid,
                                      .free = free_bpf};
  *out_source = &DENET_TAKE(bpf)->source;
  return 0;
}
