#include "core/stacks/symbols/symbols.h"

#include "core/util/array.h"
#include "core/util/cleanup.h"

#include <errno.h>
#include <gelf.h>
#include <lzma.h>
#include <string.h>
#include <sys/mman.h>

/* Functions before an address that are looked at for one that has it. */
#define NESTED_MOST 8
/* Bytes of a function of assembler code whose size the file does not have. */
#define UNSIZED_MOST 4096
#define DECOMPRESSED_MOST (UINT64_C(64) << 20)

struct denet_symbol {
  uint64_t address;
  uint32_t bytes; /* 0: up to the next one */
  uint32_t name : 31, is_local : 1;
};

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
  size_t at = symbols->names.length;
  if (denet_array_reserve(&symbols->all, &symbols->capacity, symbols->count + 1,
                          sizeof(*symbols->all)) ||
      denet_buffer_append(&symbols->names, name, length) ||
      denet_buffer_append(&symbols->names, "", 1))
    return -ENOMEM;
  if (denet_symbols_bytes(symbols) > symbols->limit)
    return -EFBIG;
  symbols->all[symbols->count++] = (struct denet_symbol){
      .address = entry->st_value,
      .bytes = entry->st_size > UINT32_MAX ? UINT32_MAX : (uint32_t)entry->st_size,
      .name = at & 0x7fffffff,
      .is_local = ELF64_ST_BIND(entry->st_info) == STB_LOCAL,
  };
  return 0;
}

/* Adds the functions of a table: .symtab or .dynsym. -ENOENT: there is none. */
static int add_table(struct denet_symbols *symbols, const struct denet_elf_file *file,
                     const char *name) {
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  GElf_Shdr header, link_header;
  int error = denet_elf_file_copy(file, &name, 1, 2 * symbols->limit, &copy);
  if (error)
    return error;
  Elf_Scn *section = denet_elf_copy_section(&copy, name);
  Elf_Scn *link = gelf_getshdr(section, &header) ? elf_getscn(copy.elf, header.sh_link) : NULL;
  const Elf_Data *entries = elf_rawdata(section, NULL), *names = elf_rawdata(link, NULL);
  if (!entries || !names || !gelf_getshdr(link, &link_header) ||
      (header.sh_flags | link_header.sh_flags) & SHF_COMPRESSED)
    return -ENOENT;
  for (size_t i = 0; i < entries->d_size / sizeof(Elf64_Sym) && !error; i++) {
    const Elf64_Sym *entry = (const Elf64_Sym *)entries->d_buf + i;
    if (!is_function(file, entry) || entry->st_name >= names->d_size)
      continue;
    const char *function = (const char *)names->d_buf + entry->st_name;
    size_t length = strcspn(function, "@"); /* clock_nanosleep@@GLIBC_2.17 */
    if (length)
      error = add(symbols, entry, function, length);
  }
  return error;
}

/* Decompresses .xz data into a file that is only in memory. Returns its descriptor, which the
 * caller owns; -ENOMEM; another -errno if the data is broken, or more than limit bytes come out or
 * are needed. */
static int decompress(const Elf_Data *data, uint64_t limit) {
  size_t in = 0, out = 0, room = limit < DECOMPRESSED_MOST ? limit : DECOMPRESSED_MOST;
  DENET_FREE unsigned char *content = malloc(room);
  if (!content)
    return -ENOMEM;
  lzma_ret outcome = lzma_stream_buffer_decode(&limit, 0, NULL, data->d_buf, &in, data->d_size,
                                               content, &out, room);
  if (outcome != LZMA_OK)
    return outcome == LZMA_MEM_ERROR ? -ENOMEM : -ENOEXEC;
  DENET_CLOSE int fd = memfd_create("denet", MFD_CLOEXEC);
  return fd >= 0 && write(fd, content, out) == (ssize_t)out ? DENET_TAKE_FD(fd) : -ENOMEM;
}

/* Adds the symbols that .dynsym lacks, from a compressed ELF file in the file: Fedora has it in
 * programs whose .symtab is elsewhere. */
static int add_compressed(struct denet_symbols *symbols, const struct denet_elf_file *file) {
  static const char *const name = ".gnu_debugdata";
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file inner = {.fd = -1};
  int error = denet_elf_file_copy(file, &name, 1, symbols->limit, &copy);
  const Elf_Data *data = error ? NULL : elf_rawdata(denet_elf_copy_section(&copy, name), NULL);
  DENET_CLOSE int fd = data ? decompress(data, symbols->limit) : -1;
  if (fd >= 0)
    error = denet_elf_file_open(fd, &inner);
  if (fd >= 0 && !error)
    error = add_table(symbols, &inner, ".symtab");
  return error == -ENOMEM || fd == -ENOMEM ? -ENOMEM : 0;
}

static int add_all(struct denet_symbols *symbols, const struct denet_elf_file *file,
                   const struct denet_elf_file *debug) {
  int error = add_table(symbols, file, ".symtab");
  if (error == -ENOENT && debug)
    error = add_table(symbols, debug, ".symtab");
  if (error != -ENOENT)
    return error;
  error = add_table(symbols, file, ".dynsym");
  return error && error != -ENOENT ? error : add_compressed(symbols, file);
}

/* Compares two symbols by address. Of several names of one address the one to show is first: that
 * with fewer underscores in front, global, short. */
static int compare_symbols(const void *left, const void *right, void *context) {
  const struct denet_symbol *a = left, *b = right;
  const char *names = context, *one = names + a->name, *other = names + b->name;
  if (a->address != b->address)
    return a->address < b->address ? -1 : 1;
  size_t marks = strspn(one, "_"), other_marks = strspn(other, "_");
  if (marks != other_marks)
    return marks < other_marks ? -1 : 1;
  if (a->is_local != b->is_local)
    return a->is_local ? 1 : -1;
  size_t length = strlen(one), other_length = strlen(other);
  if (length != other_length)
    return length < other_length ? -1 : 1;
  return strcmp(one, other);
}

int denet_symbols_init(const struct denet_elf_file *file, const struct denet_elf_file *debug,
                       uint64_t limit, struct denet_symbols *out_symbols) {
  DENET_CLEANUP(denet_symbols_done)
  struct denet_symbols symbols = {
      .limit = limit < INT32_MAX ? limit : INT32_MAX}; /* names are found by 31 bits */
  int error = add_all(&symbols, file, debug);
  if (error)
    return error;
  if (symbols.count == 0)
    return -ENOENT;
  /* One symbol for each address, with a size if any of them has one. */
  qsort_r(symbols.all, symbols.count, sizeof(*symbols.all), compare_symbols, symbols.names.bytes);
  size_t kept = 1;
  for (size_t i = 1; i < symbols.count; i++) {
    struct denet_symbol *last = &symbols.all[kept - 1];
    if (last->address != symbols.all[i].address)
      symbols.all[kept++] = symbols.all[i];
    else if (last->bytes == 0)
      last->bytes = symbols.all[i].bytes;
  }
  symbols.count = kept;
  denet_buffer_trim(&symbols.names);
  struct denet_symbol *trimmed = reallocarray(symbols.all, symbols.count, sizeof(*trimmed));
  if (trimmed) {
    symbols.all = trimmed;
    symbols.capacity = symbols.count;
  }
  *out_symbols = DENET_EXCHANGE(symbols, (struct denet_symbols){0});
  return 0;
}

void denet_symbols_done(struct denet_symbols *symbols) {
  free(symbols->all);
  denet_buffer_done(&symbols->names);
  *symbols = (struct denet_symbols){0};
}

uint64_t denet_symbols_bytes(const struct denet_symbols *symbols) {
  return sizeof(*symbols) + symbols->capacity * sizeof(*symbols->all) + symbols->names.capacity;
}

const char *denet_symbols_find(const struct denet_symbols *symbols, uint64_t address) {
  size_t behind =
      denet_array_upper_bound(symbols->all, symbols->count, sizeof(*symbols->all), address);
  for (size_t back = 1; back <= behind && back <= NESTED_MOST; back++) {
    const struct denet_symbol *symbol = &symbols->all[behind - back];
    uint64_t bytes = symbol->bytes || back > 1 ? symbol->bytes : UNSIZED_MOST;
    if (address - symbol->address < bytes)
      return symbols->names.bytes + symbol->name;
  }
  return NULL;
}
