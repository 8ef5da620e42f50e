#include "tests/unit/proc_writer.h"

#include <inttypes.h>
#include <stdio.h>

#define NUMBER "%" PRIu64
#define INTERFACE                                                                                  \
  "%6s:%8" PRIu64 "       9    0    0    0     0          0         0 %8" PRIu64                   \
  "       9    0    0    0     0       0          0\n"

static const struct {
  const char *key, *value; /* value NULL: absent, or depends on other keys */
} keys[] = {
    {"comm", "prog"},
    {"cmdline", NULL}, /* "COMM\0--run\0" */
    {"exe", "/usr/bin/prog"},
    {"cgroup", NULL},
    {"net", NULL},     /* net/dev: "NAME:RECEIVED/SENT ...", in bytes */
    {"net_idle", "0"}, /* so many more interfaces before these */
    {"net_ns", "4026531840"},
    {"without", ""}, /* files that do not exist, with a comma between */
    /* stat */
    {"state", "S"},
    {"ppid", "1"},
    {"flags", "4194304"},
    {"minflt", "0"},
    {"cminflt", "0"},
    {"majflt", "0"},
    {"utime", "0"},
    {"stime", "0"},
    {"num_threads", "1"},
    {"starttime", "50000"},
    {"vsize", "4096000"},
    {"rss", "100"},
    {"startcode", "4194304"},
    {"startstack", "140730000000000"},
    {"processor", "0"},
    {"exit_code", "0"},
    /* io */
    {"rchar", "0"},
    {"wchar", "0"},
    {"read_bytes", "0"},
    {"write_bytes", "0"},
    /* status */
    {"uid", "1000"},
    {"voluntary_ctxt_switches", "0"},
    {"nonvoluntary_ctxt_switches", "0"},
    /* schedstat; the times on a CPU and their number are those of utime + stime if not named */
    {"run_ns", NULL},
    {"wait_ns", "0"},
};
_Static_assert(DENET_COUNT_OF(keys) == PROC_KEYS, "as many values as keys");

static size_t find_key(const char *name, size_t length) {
  for (size_t i = 0; i < DENET_COUNT_OF(keys); i++)
    if (strlen(keys[i].key) == length && !memcmp(keys[i].key, name, length))
      return i;
  ck_abort_msg("unknown key: %s", name);
}

/* Replaces the escapes of C in place. Returns the new length. */
static size_t decode(char *text, size_t length) {
  static const char letters[] = "nt\\\"", bytes[] = "\n\t\\\"";
  size_t out = 0;
  for (size_t i = 0; i < length; i++) {
    if (text[i] != '\\') {
      text[out++] = text[i];
      continue;
    }
    char letter = text[++i];
    const char *known = strchr(letters, letter);
    unsigned byte = known ? (unsigned char)bytes[known - letters] : 0;
    ck_assert_msg(known || strchr("x0", letter), "unknown escape: \\%c", letter);
    if (letter == 'x') {
      ck_assert_int_eq(sscanf(text + i + 1, "%2x", &byte), 1);
      i += 2;
    }
    text[out++] = (char)byte;
  }
  return out;
}

bool proc_next_word(char **rest, struct denet_text *out) {
  char *start = *rest + strspn(*rest, " "), *end = start;
  bool is_quoted = false;
  for (; *end && (is_quoted || *end != ' '); end++) {
    if (is_quoted && *end == '\\' && end[1])
      end++;
    else if (*end == '"')
      is_quoted = !is_quoted;
  }
  *rest = *end ? end + 1 : end;
  *end = '\0';
  *out = (struct denet_text){start, (size_t)(end - start)};
  return end > start;
}

static struct proc_entry *add_entry(struct proc_writer *writer, const char *id,
                                    const struct proc_entry *process) {
  ck_assert_uint_lt(writer->count, DENET_COUNT_OF(writer->entries));
  struct proc_entry *entry = &writer->entries[writer->count++];
  snprintf(entry->id, sizeof(entry->id), "%s", id);
  entry->process = process;
  return entry;
}

static struct proc_entry *find_entry(struct proc_writer *writer, const char *id,
                                     const struct proc_entry *process) {
  for (size_t i = 0; i < writer->count; i++)
    if (!strcmp(writer->entries[i].id, id) && writer->entries[i].process == process)
      return &writer->entries[i];
  return NULL;
}

/* Returns the process PID or the thread PID/TID; makes it if there is none, a process with its main
 * thread. */
static struct proc_entry *get_entry(struct proc_writer *writer, const char *name) {
  char pid[16];
  snprintf(pid, sizeof(pid), "%.*s", (int)strcspn(name, "/"), name);
  const char *tid = strchr(name, '/');
  struct proc_entry *process = find_entry(writer, pid, NULL);
  ck_assert_msg(process || !tid, "no process %s", pid);
  if (!process) {
    process = add_entry(writer, pid, NULL);
    add_entry(writer, pid, process);
  }
  struct proc_entry *thread = tid ? find_entry(writer, tid + 1, process) : NULL;
  return !tid ? process : thread ? thread : add_entry(writer, tid + 1, process);
}

static void set_values(struct proc_entry *entry, char *rest) {
  struct denet_text word;
  entry->is_gone = false;
  while (proc_next_word(&rest, &word)) {
    size_t length = strcspn(word.bytes, "=");
    ck_assert_msg(length < word.length, "no value: %s", word.bytes);
    char *value = (char *)word.bytes + length + 1;
    size_t value_length = word.length - length - 1;
    if (*value == '"') {
      value_length = decode(++value, value_length - 2);
      value[value_length] = '\0';
    }
    entry->values[find_key(word.bytes, length)] = (struct denet_text){value, value_length};
  }
}

bool proc_writer_read(struct proc_writer *writer, char *line) {
  static const char *const kinds[] = {"process ", "thread ", "gone ", "boot_id "};
  struct denet_text word, name;
  size_t kind = 0;
  while (kind < DENET_COUNT_OF(kinds) && strncmp(line, kinds[kind], strlen(kinds[kind])))
    kind++;
  if (kind == DENET_COUNT_OF(kinds))
    return false;
  proc_next_word(&line, &word);
  ck_assert(proc_next_word(&line, &name));
  struct proc_entry *entry = kind == 3 ? NULL : get_entry(writer, name.bytes);
  if (!entry)
    writer->boot_id = name.bytes;
  else if (kind == 2)
    entry->is_gone = true;
  else
    set_values(entry, line);
  return true;
}

static struct denet_text get(const struct proc_entry *entry, const char *name) {
  size_t key = find_key(name, strlen(name));
  while (!entry->values[key].bytes && entry->process)
    entry = entry->process;
  if (entry->values[key].bytes)
    return entry->values[key];
  return keys[key].value ? denet_text_of(keys[key].value) : (struct denet_text){0};
}

static uint64_t number(const struct proc_entry *entry, const char *name) {
  return strtoull(get(entry, name).bytes, NULL, 10);
}

static bool is_zombie(const struct proc_entry *entry) {
  bool is_main = !entry->process || !strcmp(entry->process->id, entry->id);
  return is_main && get(entry, "state").bytes[0] == 'Z';
}

static bool has_file(const struct proc_entry *entry, const char *name) {
  char wanted[32], without[128];
  snprintf(wanted, sizeof(wanted), ",%s,", name);
  snprintf(without, sizeof(without), ",%s,", get(entry, "without").bytes);
  return !strstr(without, wanted);
}

static void write_stat(const char *folder, const struct proc_entry *entry) {
  bool is_dead = is_zombie(entry);
  char state = get(entry, "state").bytes[0];
  uint64_t code = is_dead ? 0 : number(entry, "startcode");
  PROC_PRINT(folder, "stat",
             "%s (%s) %c " NUMBER " 1 1 0 -1 " NUMBER " " NUMBER " " NUMBER " " NUMBER " 0 " NUMBER
             " " NUMBER " 0 0 20 0 " NUMBER " 0 " NUMBER " " NUMBER " " NUMBER
             " 18446744073709551615 " NUMBER " " NUMBER " " NUMBER " 0 0 0 0 0 0 0 0 0 17 " NUMBER
             " 0 0 0 0 0 1 1 1 1 1 1 1 " NUMBER "\n",
             entry->id, get(entry, "comm").bytes, state == 'Z' && !is_dead ? 'S' : state,
             number(entry, "ppid"), number(entry, "flags") | (is_dead ? 4 : 0),
             number(entry, "minflt"), number(entry, "cminflt"), number(entry, "majflt"),
             number(entry, "utime"), number(entry, "stime"), number(entry, "num_threads"),
             number(entry, "starttime"), is_dead ? 0 : number(entry, "vsize"),
             is_dead ? 0 : number(entry, "rss"), code, code,
             is_dead ? 0 : number(entry, "startstack"), number(entry, "processor"),
             number(entry, "exit_code"));
}

/* Writes the files that a process and a thread have in common. */
static void write_counts(const char *folder, const struct proc_entry *entry) {
  bool is_dead = is_zombie(entry);
  uint64_t ticks = number(entry, "utime") + number(entry, "stime");
  uint64_t run_ns = get(entry, "run_ns").bytes ? number(entry, "run_ns") : ticks * 10000000;
  if (has_file(entry, "stat"))
    write_stat(folder, entry);
  if (has_file(entry, "statm"))
    PROC_PRINT(folder, "statm", NUMBER " " NUMBER " 50 10 0 80 0\n",
               is_dead ? 0 : number(entry, "vsize") / 4096, is_dead ? 0 : number(entry, "rss"));
  if (has_file(entry, "io"))
    PROC_PRINT(folder, "io",
               "rchar: " NUMBER "\nwchar: " NUMBER "\nsyscr: 3\nsyscw: 2\nread_bytes: " NUMBER
               "\nwrite_bytes: " NUMBER "\ncancelled_write_bytes: 77\n",
               number(entry, "rchar"), number(entry, "wchar"), number(entry, "read_bytes"),
               number(entry, "write_bytes"));
  if (has_file(entry, "status"))
    PROC_PRINT(folder, "status",
               "Tgid:\t%s\nPid:\t%s\nUid:\t" NUMBER "\t0\t0\t0\nvoluntary_ctxt_switches:\t" NUMBER
               "\nnonvoluntary_ctxt_switches:\t" NUMBER "\n",
               entry->process ? entry->process->id : entry->id, entry->id, number(entry, "uid"),
               number(entry, "voluntary_ctxt_switches"),
               number(entry, "nonvoluntary_ctxt_switches"));
  if (has_file(entry, "schedstat"))
    PROC_PRINT(folder, "schedstat", NUMBER " " NUMBER " " NUMBER "\n", run_ns,
               number(entry, "wait_ns"), run_ns / 10000000 + (run_ns > 0));
}

static void write_network(const char *folder, const struct proc_entry *process) {
  char name[32], interfaces[256], *rest = interfaces, text[32768];
  struct denet_text interface;
  uint64_t received, sent;
  size_t length = (size_t)snprintf(text, sizeof(text),
                                   "Inter-|   Receive  |  Transmit\n face |bytes    packets errs "
                                   "drop fifo frame compressed multicast|bytes    packets errs "
                                   "drop fifo colls carrier compressed\n");
  for (uint64_t i = 0; i < number(process, "net_idle"); i++) {
    snprintf(name, sizeof(name), "veth" NUMBER, i);
    length += (size_t)snprintf(text + length, sizeof(text) - length, INTERFACE, name, i, i);
  }
  snprintf(interfaces, sizeof(interfaces), "%s", get(process, "net").bytes);
  while (proc_next_word(&rest, &interface)) {
    ck_assert_int_eq(
        sscanf(interface.bytes, "%31[^:]:%" SCNu64 "/%" SCNu64, name, &received, &sent), 3);
    length +=
        (size_t)snprintf(text + length, sizeof(text) - length, INTERFACE, name, received, sent);
  }
  proc_make(folder, "net");
  proc_write(folder, "net/dev", text, length);
  proc_path path;
  proc_make(folder, "ns");
  snprintf(name, sizeof(name), "net:[" NUMBER "]", number(process, "net_ns"));
  ck_assert_int_eq(symlink(name, proc_join(folder, "ns/net", path)), 0);
}

/* Writes the texts, which a process and a thread have too. */
static void write_texts(const char *folder, const struct proc_entry *entry) {
  proc_path path;
  bool is_dead = is_zombie(entry);
  struct denet_text cmdline = get(entry, "cmdline"), cgroup = get(entry, "cgroup");
  if (is_dead || cmdline.bytes)
    proc_write(folder, "cmdline", cmdline.bytes, is_dead ? 0 : cmdline.length);
  else
    PROC_PRINT(folder, "cmdline", "%s%c--run%c", get(entry, "comm").bytes, 0, 0);
  if (!is_dead && has_file(entry, "exe"))
    ck_assert_int_eq(symlink(get(entry, "exe").bytes, proc_join(folder, "exe", path)), 0);
  if (cgroup.bytes)
    PROC_PRINT(folder, "cgroup", "0::%s\n", cgroup.bytes);
}

static void write_process(const char *folder, const struct proc_entry *process) {
  write_counts(folder, process);
  write_texts(folder, process);
  if (get(process, "net").bytes)
    write_network(folder, process);
  if (has_file(process, "task"))
    proc_make(folder, "task");
  else
    PROC_PRINT(folder, "task", "not a folder\n");
}

static int remove_below(const char *path, const struct stat *status, int type, struct FTW *walk) {
  return walk->level ? proc_remove_entry(path, status, type, walk) : 0;
}

void proc_writer_write(struct proc_writer *writer, const char *folder) {
  nftw(folder, remove_below, 16, FTW_DEPTH | FTW_PHYS);
  if (!find_entry(writer, "1", NULL)) {
    static char init[64];
    strcpy(init, "ppid=0 comm=init starttime=1 uid=0");
    set_values(get_entry(writer, "1"), init);
  }
  if (writer->boot_id) {
    proc_make(folder, "sys");
    proc_make(folder, "sys/kernel");
    proc_make(folder, "sys/kernel/random");
    PROC_PRINT(folder, "sys/kernel/random/boot_id", "%s\n", writer->boot_id);
  }
  for (size_t i = 0; i < writer->count; i++) {
    const struct proc_entry *entry = &writer->entries[i], *process = entry->process;
    proc_path name, path;
    if (entry->is_gone || (process && (process->is_gone || !has_file(process, "task"))))
      continue;
    snprintf(name, sizeof(name), process ? "%s/task/%s" : "%s", process ? process->id : entry->id,
             entry->id);
    proc_make(folder, name);
    if (process)
      write_counts(proc_join(folder, name, path), entry), write_texts(path, entry);
    else
      write_process(proc_join(folder, name, path), entry);
  }
}
