#include "core/stacks/symbols/symbols.h"

#include "core/stacks/symbols/xz.h"
#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <string.h>

/* Functions before an address that are looked at for one that has it. */
#define NESTED_MOST 8
/* Bytes of a function of assembler code whose size the file does not have. */
#define UNSIZED_MOST 4096

struct symbol {
  uint64_t address;
  uint32_t bytes; /* 0: up to the next one */
  uint32_t name : 31, is_local : 1;
};

struct denet_symbols {
  struct symbol *all; /* by address, one for each; owned, as are the names */
  size_t count, capacity;
  char *names;
  size_t names_bytes, names_capacity;
  uint64_t limit;
};

/* One table of a file, with its names. */
struct table {
  const struct denet_elf_file *file;
  unsigned char *entries, *names;
  size_t count, names_bytes;
};

static void free_table(struct table *table) {
  free(table->entries);
  free(table->names);
}

static int read_table(const struct denet_elf_file *file, const char *name, uint64_t limit,
                      struct table *out_table) {
  const Elf64_Shdr *section = denet_elf_file_section(file, name);
  const Elf64_Shdr *names = section ? denet_elf_file_section_at(file, section->sh_link) : NULL;
  if (!names || section->sh_flags & SHF_COMPRESSED || names->sh_flags & SHF_COMPRESSED)
    return -ENOENT;
  DENET_CLEANUP(free_table) struct table table = {.file = file};
  int error = denet_elf_file_read(file, section, limit, &table.entries);
  if (!error)
    error = denet_elf_file_read(file, names, limit, &table.names);
  if (error)
    return error;
  table.count = section->sh_size / sizeof(Elf64_Sym);
  table.names_bytes = names->sh_size;
  *out_table = table;
  /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): free_table() reads it. */
  table = (struct table){0};
  return 0;
}

/* Labels of assembler code have no type; they are functions if their section has code. */
static bool is_function(const struct denet_elf_file *file, const Elf64_Sym *symbol) {
  unsigned type = ELF64_ST_TYPE(symbol->st_info);
  if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0)
    return false;
  if (type == STT_FUNC || type == STT_GNU_IFUNC)
    return true;
  return type == STT_NOTYPE && symbol->st_shndx < file->section_count &&
         file->sections[symbol->st_shndx].sh_flags & SHF_EXECINSTR;
}

static int add(struct denet_symbols *symbols, const Elf64_Sym *entry, const char *name,
               size_t length) {
  if (denet_array_reserve(&symbols->all, &symbols->capacity, symbols->count + 1,
                          sizeof(*symbols->all)) ||
      denet_array_reserve(&symbols->names, &symbols->names_capacity,
                          symbols->names_bytes + length + 1, 1))
    return -ENOMEM;
  if (denet_symbols_bytes(symbols) > symbols->limit)
    return -EFBIG;
  symbols->all[symbols->count++] = (struct symbol){
      .address = entry->st_value,
      .bytes = entry->st_size > UINT32_MAX ? UINT32_MAX : (uint32_t)entry->st_size,
      .name = symbols->names_bytes & 0x7fffffff,
      .is_local = ELF64_ST_BIND(entry->st_info) == STB_LOCAL,
  };
  memcpy(symbols->names + symbols->names_bytes, name, length);
  symbols->names_bytes += length;
  symbols->names[symbols->names_bytes++] = '\0';
  return 0;
}

static int add_table(struct denet_symbols *symbols, const struct table *table) {
  for (size_t i = 0; i < table->count; i++) {
    Elf64_Sym entry;
    memcpy(&entry, table->entries + i * sizeof(entry), sizeof(entry));
    if (!is_function(table->file, &entry) || entry.st_name >= table->names_bytes)
      continue;
    const char *name = (const char *)table->names + entry.st_name;
    size_t length = strcspn(name, "@"); /* clock_nanosleep@@GLIBC_2.17 */
    if (length == 0)
      continue;
    int error = add(symbols, &entry, name, length);
    if (error)
      return error;
  }
  return 0;
}

static int add_from(struct denet_symbols *symbols, const struct denet_elf_file *file,
                    const char *name) {
  DENET_CLEANUP(free_table) struct table table = {0};
  int error = read_table(file, name, symbols->limit, &table);
  return error ? error : add_table(symbols, &table);
}

/* Adds the symbols that .dynsym lacks, from a compressed ELF file in the file: Fedora has it in
 * programs whose .symtab is elsewhere. */
static int add_compressed(struct denet_symbols *symbols, const struct denet_elf_file *file) {
  DENET_FREE unsigned char *compressed = NULL;
  const Elf64_Shdr *section = denet_elf_file_section(file, ".gnu_debugdata");
  if (!section)
    return 0;
  int error = denet_elf_file_read(file, section, symbols->limit, &compressed);
  if (error)
    return error == -EFBIG ? 0 : error;
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file inner = {.fd = -1};
  DENET_CLOSE int fd = denet_xz_decompress(compressed, section->sh_size, symbols->limit);
  if (fd < 0 || denet_elf_file_open(fd, &inner))
    return fd == -ENOMEM ? fd : 0;
  error = add_from(symbols, &inner, ".symtab");
  return error == -ENOMEM ? error : 0;
}

static int add_all(struct denet_symbols *symbols, const struct denet_elf_file *file,
                   const struct denet_elf_file *debug) {
  int error = add_from(symbols, file, ".symtab");
  if (error == -ENOENT && debug)
    error = add_from(symbols, debug, ".symtab");
  if (error != -ENOENT)
    return error;
  error = add_from(symbols, file, ".dynsym");
  return error && error != -ENOENT ? error : add_compressed(symbols, file);
}

/* Compares two names of one address, the one to show first: without underscores in front, global,
 * short. */
static int compare_names(const struct denet_symbols *symbols, const struct symbol *a,
                         const struct symbol *b) {
  const char *left = symbols->names + a->name, *right = symbols->names + b->name;
  size_t left_marks = strspn(left, "_"), right_marks = strspn(right, "_");
  if (left_marks != right_marks)
    return left_marks < right_marks ? -1 : 1;
  if (a->is_local != b->is_local)
    return a->is_local ? 1 : -1;
  size_t left_length = strlen(left), right_length = strlen(right);
  if (left_length != right_length)
    return left_length < right_length ? -1 : 1;
  return strcmp(left, right);
}

static int compare_symbols(const void *left, const void *right, void *context) {
  const struct symbol *a = left, *b = right;
  if (a->address != b->address)
    return a->address < b->address ? -1 : 1;
  return compare_names(context, a, b);
}

/* Sorts by address and keeps one symbol for each, with a size if any of them has one. */
static void sort(struct denet_symbols *symbols) {
  size_t kept = 0;
  if (symbols->count)
    qsort_r(symbols->all, symbols->count, sizeof(*symbols->all), compare_symbols, symbols);
  for (size_t i = 0; i < symbols->count; i++) {
    const struct symbol *symbol = &symbols->all[i];
    if (kept == 0 || symbols->all[kept - 1].address != symbol->address)
      symbols->all[kept++] = *symbol;
    else if (symbols->all[kept - 1].bytes == 0)
      symbols->all[kept - 1].bytes = symbol->bytes;
  }
  symbols->count = kept;
}

static void trim(struct denet_symbols *symbols) {
  struct symbol *all = reallocarray(symbols->all, symbols->count, sizeof(*all));
  char *names = realloc(symbols->names, symbols->names_bytes);
  if (all) {
    symbols->all = all;
    symbols->capacity = symbols->count;
  }
  if (names) {
    symbols->names = names;
    symbols->names_capacity = symbols->names_bytes;
  }
}

static void free_symbolsp(struct denet_symbols **symbols) { denet_symbols_free(*symbols); }

int denet_symbols_new(const struct denet_elf_file *file, const struct denet_elf_file *debug,
                      uint64_t limit, struct denet_symbols **out_symbols) {
  DENET_CLEANUP(free_symbolsp) struct denet_symbols *symbols = calloc(1, sizeof(*symbols));
  if (!symbols)
    return -ENOMEM;
  symbols->limit = limit < INT32_MAX ? limit : INT32_MAX; /* names are found by 31 bits */
  int error = add_all(symbols, file, debug);
  if (error)
    return error;
  if (symbols->count == 0)
    return -ENOENT;
  sort(symbols);
  trim(symbols);
  *out_symbols = DENET_TAKE(symbols);
  return 0;
}

void denet_symbols_free(struct denet_symbols *symbols) {
  if (!symbols)
    return;
  free(symbols->all);
  free(symbols->names);
  free(symbols);
}

uint64_t denet_symbols_bytes(const struct denet_symbols *symbols) {
  return sizeof(*symbols) + symbols->capacity * sizeof(*symbols->all) + symbols->names_capacity;
}

size_t denet_symbols_count(const struct denet_symbols *symbols) { return symbols->count; }

/* Sorts the key behind a symbol with its address. */
static int compare_with_address(const void *item, const void *key) {
  return ((const struct symbol *)item)->address <= *(const uint64_t *)key ? -1 : 1;
}

const char *denet_symbols_find(const struct denet_symbols *symbols, uint64_t address) {
  size_t behind = denet_array_lower_bound(symbols->all, symbols->count, sizeof(*symbols->all),
                                          &address, compare_with_address);
  for (size_t back = 1; back <= behind && back <= NESTED_MOST; back++) {
    const struct symbol *symbol = &symbols->all[behind - back];
    uint64_t bytes = symbol->bytes || back > 1 ? symbol->bytes : UNSIZED_MOST;
    if (address - symbol->address < bytes)
      return symbols->names + symbol->name;
  }
  return NULL;
}
