/* The BPF source: one pass of the kernel's task iterator gives every process of the host, and its
 * events tell what began and ended in between. Texts of living processes and network counts come
 * from /proc. */
#include "core/source/bpf/source.h"

#include "core/source/procfs/procfs.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define PID_NAMESPACE_INODE 0xEFFFFFFC /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* A process gets its start time a little before it can be seen. */
#define FORK_NS UINT64_C(2000000000)
/* The kernel tells of an end only after an RCU grace period, which a lazy one draws out to 10 s. */
#define END_NS UINT64_C(12000000000)
/* A life of which nothing more is heard; its last event was lost. */
#define LIFE_NS UINT64_C(30000000000)
/* How long the rules may look at what has begun. */
#define HEAR_NS UINT64_C(20000000)
/* Of events in one pass, three or four to a process. The rest waits in the kernel. */
#define EVENTS_MOST 16000

static struct denet_bpf_source *self(struct denet_source *source) {
  return (struct denet_bpf_source *)source;
}

struct denet_lifecycle_entry *denet_bpf_source_entry(const struct denet_bpf_source *bpf,
                                                     const struct denet_process *process) {
  return denet_lifecycle_find(&bpf->lifecycle, process->pid, process->born_ns);
}

/* What is told of the process's end from now on is of one that nobody knows any more. */
static void give_up(struct denet_bpf_source *bpf, const struct denet_process *process) {
  struct denet_lifecycle_entry *life =
      denet_lifecycle_add(&bpf->lifecycle, process->pid, process->born_ns);
  if (life)
    life->was_given_up = true;
}

/* Takes the end of a process that is not there any more, if it can be had. */
static bool try_end(struct denet_bpf_source *bpf, struct denet_process *process) {
  struct denet_lifecycle_entry *life = denet_bpf_source_entry(bpf, process);
  if (!life || !life->is_over) {
    denet_loader_ask(bpf->programs, process->pid, process->born_ns);
    denet_bpf_source_drain(bpf);
    life = denet_bpf_source_entry(bpf, process);
  }
  if (!life || !life->is_over)
    return false;
  denet_bpf_source_take_end(bpf, process, life);
  return true;
}

/* A process that was there and is not: it goes as soon as its end is told, or can't be any more.
 * Returns whether it stays until then. */
static bool awaits_end(struct denet_bpf_source *bpf, struct denet_process *process) {
  if (try_end(bpf, process))
    return false;
  if (!process->notes.bpf.missed_ns)
    process->notes.bpf.missed_ns = bpf->begun_ns;
  if (!process->ended && bpf->begun_ns - process->notes.bpf.missed_ns < END_NS)
    return true;
  give_up(bpf, process);
  return false;
}

static int pass_unseen(struct denet_bpf_source *bpf, struct denet_process_table *table,
                       pid_t limit) {
  struct denet_process *process;
  int error = 0;
  while (!error && (process = denet_process_table_next_unseen(table, limit))) {
    if (awaits_end(bpf, process))
      error = denet_process_table_upsert(table, process->pid, &process);
    else
      denet_process_table_remove(table);
  }
  return error;
}

/* Finds or makes the record's process. */
static int see_process(struct denet_bpf_source *bpf, struct denet_process_table *table,
                       const struct denet_bpf_head *head, struct denet_process **out_process) {
  struct denet_process *process;
  int error = pass_unseen(bpf, table, (pid_t)head->pid);
  if (!error)
    error = denet_process_table_upsert(table, (pid_t)head->pid, &process);
  if (error)
    return error;
  if (!process->is_new && process->born_ns != head->start_ns) {
    if (!try_end(bpf, process))
      give_up(bpf, process);
    error = denet_process_table_replace(table, &process);
  }
  *out_process = process;
  return error;
}

/* By now it may have been given to another parent. */
static void take_birth(const struct denet_bpf_source *bpf, struct denet_process *process) {
  const struct denet_lifecycle_entry *life =
      process->is_new ? denet_bpf_source_entry(bpf, process) : NULL;
  if (life && life->was_forked)
    process->parent_pid = life->parent_pid;
}

static void set_watched(struct denet_bpf_source *bpf, struct denet_process *process,
                        bool is_watched) {
  denet_loader_watch(bpf->programs, process->pid, is_watched);
  process->notes.bpf.wants_full = is_watched;
}

/* The process runs another program than when it was seen last. */
static void take_exec(const struct denet_bpf_source *bpf, struct denet_process *process,
                      const char name[DENET_BPF_COMM], uint64_t exec_id) {
  snprintf(process->name, sizeof(process->name), "%.*s", DENET_COMM_BYTES - 1, name);
  process->exec_stamp = exec_id;
  process->never_execd = false;
  process->execd = process->changed = true;
  process->notes.bpf.execd_ns = bpf->begun_ns;
}

static int take_brief(struct denet_bpf_source *bpf, struct denet_process_table *table,
                      const struct denet_bpf_brief *brief) {
  struct denet_process *process;
  int error = see_process(bpf, table, &brief->head, &process);
  if (error)
    return error;
  if (process->is_new) { /* it was not seen when it should have been: now all are told at length */
    denet_process_table_undo(table);
    bpf->has_missed = true;
    return 0;
  }
  process->notes.bpf.missed_ns = 0;
  process->notes.bpf.wants_full = false;
  if (process->exec_stamp != brief->exec_id)
    take_exec(bpf, process, brief->name, brief->exec_id);
  if (strncmp(process->name, brief->name, sizeof(process->name)) != 0) {
    snprintf(process->name, sizeof(process->name), "%.*s", DENET_COMM_BYTES - 1, brief->name);
    process->changed = true;
  }
  return 0;
}

static int take_process(struct denet_bpf_source *bpf, struct denet_process_table *table,
                        struct denet_bpf_process *record) {
  struct denet_process *process;
  int error = see_process(bpf, table, &record->identity.brief.head, &process);
  if (error)
    return error;
  process->notes.bpf.missed_ns = 0;
  denet_bpf_source_identify(bpf, process, &record->identity, record->exit_code);
  take_birth(bpf, process);
  /* One that nobody counts need not be told of at length. */
  if (!process->members)
    set_watched(bpf, process, false);
  if (process->ended || process->no_mm)
    denet_bpf_source_take_exit(bpf, process, record);
  return denet_task_sums_add(&bpf->task_sums, record);
}

/* Takes what the pass could not see: a process that lived and died before it is nowhere else. */
static int take_life(struct denet_bpf_source *bpf, struct denet_process_table *table,
                     struct denet_lifecycle_entry *life) {
  struct denet_process *process = denet_process_table_find(table, life->pid);
  bool is_known = process && process->born_ns == life->start_ns;
  if (is_known && !life->is_over && life->texts && life->texts->exec_id > process->exec_stamp)
    take_exec(bpf, process, life->texts->name, life->texts->exec_id);
  if (!life->is_over || life->is_taken)
    return 0;
  if (life->was_given_up || (!is_known && life->start_ns < bpf->opened_ns)) {
    life->is_taken = true; /* of one that is known no more, or was before our time */
    return 0;
  }
  int error = is_known ? 0 : denet_process_table_add_gone(table, life->pid, &process);
  if (!error)
    denet_bpf_source_take_end(bpf, process, life);
  return error;
}

static int take_lives(struct denet_bpf_source *bpf, struct denet_process_table *table) {
  int error = 0;
  for (size_t i = 0; i < bpf->lifecycle.count && !error; i++)
    error = take_life(bpf, table, bpf->lifecycle.lives[i]);
  return error;
}

static int fill_roster(struct denet_bpf_source *bpf, struct denet_process_table *table) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  denet_task_sums_clear(&bpf->task_sums);
  int error = denet_process_table_begin(table);
  while (!error && (head = denet_task_sums_next(&bpf->records, &offset)))
    if (head->kind == DENET_BPF_PROCESS)
      error = take_process(bpf, table, (struct denet_bpf_process *)head);
    else if (head->kind == DENET_BPF_BRIEF)
      error = take_brief(bpf, table, (const struct denet_bpf_brief *)head);
  if (!error)
    error = pass_unseen(bpf, table, INT32_MAX);
  if (!error)
    error = take_lives(bpf, table);
  denet_process_table_end(table, !error);
  return error;
}

/* By the last pass: however far the passes are from each other, at least two have looked for it. */
static bool is_stale(const struct denet_bpf_source *bpf, const struct denet_lifecycle_entry *life) {
  return life->met_ns && bpf->begun_ns - life->met_ns > LIFE_NS;
}

/* Forgets what is not needed any more since the last pass: ends that were taken, and what began and
 * has been settled by the rules. */
static void forget_settled(struct denet_bpf_source *bpf, const struct denet_process_table *table) {
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *life = bpf->lifecycle.lives[i];
    const struct denet_process *process = denet_process_table_find(table, life->pid);
    bool is_there = process && process->born_ns == life->start_ns;
    bool is_newer = life->texts && is_there && life->texts->exec_id > process->exec_stamp;
    bool is_needed = (life->has_exited || life->is_over) && !(is_there && process->ended);
    bool is_settled = is_there && !process->changed && !is_newer && !is_needed;
    bool is_lost = !is_there && !life->is_taken && is_stale(bpf, life);
    if (is_lost && is_needed && !life->was_given_up)
      bpf->notes_lost++;
    if (life->is_taken || is_settled || is_lost)
      denet_lifecycle_drop(&bpf->lifecycle, life);
  }
  bpf->lifecycle.count = 0;
}

static int take_event(void *context, const void *event, size_t size) {
  struct denet_bpf_source *bpf = context;
  int error = denet_lifecycle_note(&bpf->lifecycle, event, size);
  if (error) {
    bpf->note_failure = error;
    bpf->notes_lost++;
  }
  return ++bpf->events < EVENTS_MOST ? 0 : -ENOBUFS;
}

void denet_bpf_source_drain(struct denet_bpf_source *bpf) {
  denet_loader_drain(bpf->programs, take_event, bpf);
}

/* What has exited and was not in the pass is over, but for a zombie that is younger than the pass.
 * The kernel keeps what it has of one that was given up until somebody asks. */
static bool is_awaited(const struct denet_bpf_source *bpf,
                       const struct denet_lifecycle_entry *life) {
  bool has_exited = life->has_exited && life->exit.exit_ns < bpf->begun_ns;
  return (has_exited || life->was_given_up) && !life->is_over;
}

/* Brings the lifecycle's list up to date, and asks for the ends of those that are known to be over.
 */
static int list_lives(struct denet_bpf_source *bpf) {
  int error = denet_lifecycle_list(&bpf->lifecycle);
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *life = bpf->lifecycle.lives[i];
    if (!life->met_ns)
      life->met_ns = bpf->begun_ns;
    if (is_awaited(bpf, life))
      denet_loader_ask(bpf->programs, life->pid, life->start_ns);
  }
  return error;
}

static int read_pass(struct denet_bpf_source *bpf) {
  uint64_t settled_ns = bpf->settled_ns > FORK_NS ? bpf->settled_ns - FORK_NS : 0;
  bpf->is_relisted = settled_ns == 0;
  denet_task_sums_clear(&bpf->task_sums); /* they point into the records */
  int error = denet_loader_list(bpf->programs, settled_ns, &bpf->records);
  denet_bpf_source_drain(bpf);
  int list_error = list_lives(bpf);
  denet_bpf_source_drain(bpf);
  bpf->source.lost = denet_loader_lost(bpf->programs) + bpf->notes_lost;
  return error ? error : list_error;
}

static int scan(struct denet_source *source, struct denet_process_table *table,
                struct denet_error *error) {
  struct denet_bpf_source *bpf = self(source);
  forget_settled(bpf, table);
  bpf->begun_ns = bpf->env->boot_ns(bpf->env->context);
  source->table = table;
  bpf->note_failure = 0;
  bpf->events = 0;
  bpf->has_missed = false;
  int failure = read_pass(bpf);
  if (failure)
    return denet_error_set(error, failure, "the task iterator cannot be read: %s",
                           strerror(-failure));
  failure = fill_roster(bpf, table);
  denet_task_sums_add_threads(&bpf->task_sums, &bpf->records);
  denet_procfs_forget_nets(bpf->procfs);
  bpf->settled_ns = failure || bpf->has_missed ? 0 : bpf->begun_ns;
  failure = failure ? failure : bpf->note_failure;
  if (failure)
    return denet_error_set(error, failure, "not every process can be followed: %s",
                           strerror(-failure));
  return 0;
}

/* As much of the process as the event told. */
static struct denet_process imagine(const struct denet_lifecycle_entry *life) {
  struct denet_process process = {.pid = life->pid,
                                  .parent_pid = life->parent_pid,
                                  .born_ns = life->start_ns,
                                  .exec_stamp = life->texts->exec_id,
                                  .vanished = true};
  memcpy(process.name, life->texts->name, sizeof(process.name));
  return process;
}

static bool drain_events(struct denet_source *source,
                         bool (*is_wanted)(void *context, struct denet_process *process),
                         void *context) {
  struct denet_bpf_source *bpf = self(source);
  denet_bpf_source_drain(bpf);
  if (bpf->events > EVENTS_MOST / 2 || denet_lifecycle_list(&bpf->lifecycle))
    return true;
  uint64_t deadline_ns = bpf->env->boot_ns(bpf->env->context) + HEAR_NS;
  for (size_t i = 0; i < bpf->lifecycle.count; i++) {
    struct denet_lifecycle_entry *life = bpf->lifecycle.lives[i];
    if (!life->texts || life->is_heard)
      continue;
    life->is_heard = true;
    struct denet_process process = imagine(life);
    if (!life->has_exited && is_wanted(context, &process))
      return true;
    if (bpf->env->boot_ns(bpf->env->context) > deadline_ns)
      return true; /* the rules take their time: the tick bounds it */
  }
  return false;
}

/* Reads everything again at length: a process came to count somewhere that had been told of in
 * brief. Its next pass will have it. */
static void relist(struct denet_bpf_source *bpf) {
  size_t offset = 0;
  struct denet_bpf_head *head;
  if (bpf->is_relisted)
    return;
  bpf->is_relisted = true;
  denet_task_sums_clear(&bpf->task_sums);
  if (denet_loader_list(bpf->programs, 0, &bpf->records))
    return;
  while ((head = denet_task_sums_next(&bpf->records, &offset))) {
    if (head->kind != DENET_BPF_PROCESS)
      continue;
    const struct denet_process *process =
        denet_process_table_find(bpf->source.table, (pid_t)head->pid);
    bool is_known = process && process->born_ns == head->start_ns;
    if (is_known && denet_task_sums_add(&bpf->task_sums, (struct denet_bpf_process *)head))
      return;
  }
  denet_task_sums_add_threads(&bpf->task_sums, &bpf->records);
}

const struct denet_task_sum *denet_bpf_source_find_sum(struct denet_bpf_source *bpf,
                                                       struct denet_process *process) {
  if (!process->notes.bpf.wants_full)
    set_watched(bpf, process, true);
  const struct denet_task_sum *sum = denet_task_sums_find(&bpf->task_sums, process->pid);
  if (sum)
    return sum;
  relist(bpf);
  return denet_task_sums_find(&bpf->task_sums, process->pid);
}

static void free_bpf(struct denet_source *source) {
  struct denet_bpf_source *bpf = self(source);
  denet_loader_free(bpf->programs);
  denet_source_free(bpf->procfs);
  denet_lifecycle_done(&bpf->lifecycle);
  denet_buffer_done(&bpf->records);
  denet_task_sums_done(&bpf->task_sums);
  free(bpf);
}

static void free_sourcep(struct denet_bpf_source **bpf) {
  if (*bpf)
    free_bpf(&(*bpf)->source);
}

/* The kernel names processes by the pids of the host. Ours must be the same, and ProcPath's. */
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
    failure = denet_loader_open(error, &bpf->programs);
  if (failure)
    return failure;
  bpf->opened_ns = env->boot_ns(env->context);
  bpf->source = (struct denet_source){.name = "bpf",
                                      .source_id = DENET_SOURCE_ID_BPF,
                                      .unavailable = bpf->procfs->unavailable,
                                      .seen_unavailable = bpf->procfs->unavailable,
                                      .event_fd = denet_loader_event_fd(bpf->programs),
                                      .scan = scan,
                                      .drain_events = drain_events,
                                      .measure = denet_bpf_source_measure,
                                      .read_text = denet_bpf_source_read_text,
                                      .read_uid = denet_bpf_source_read_uid,
                                      .free = free_bpf};
  *out_source = &DENET_TAKE(bpf)->source;
  return 0;
}
