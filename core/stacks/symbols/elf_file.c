#include "core/stacks/symbols/elf_file.h"

#include "core/util/cleanup.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <sys/stat.h>

/* Linked programs have some 30 sections and 15 segments. */
#define SECTIONS_MOST 4096
#define PROGRAMS_MOST 128
#define NAMES_MOST (1u << 20)
#define NOTES_MOST 65536
#define EXTRACT_MOST 16

static int read_at(int fd, uint64_t offset, void *out, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = pread(fd, (char *)out + done, bytes - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return -errno;
    if (got == 0)
      return -ENOEXEC;
    done += (size_t)got;
  }
  return 0;
}

static bool has_bytes(const struct denet_elf_file *file, uint64_t offset, uint64_t bytes) {
  return offset <= file->bytes && bytes <= file->bytes - offset;
}

/* Reads count entries of a table. The caller owns *out_table. */
static int read_table(const struct denet_elf_file *file, uint64_t offset, size_t count, size_t size,
                      void **out_table) {
  DENET_FREE void *table = NULL;
  if (!has_bytes(file, offset, count * size))
    return -ENOEXEC;
  table = malloc(count * size + 1);
  if (!table)
    return -ENOMEM;
  int error = read_at(file->fd, offset, table, count * size);
  if (!error)
    *out_table = DENET_TAKE(table);
  return error;
}

static int read_names(struct denet_elf_file *file, size_t index) {
  const Elf64_Shdr *section = denet_elf_file_section_at(file, index);
  if (!section || section->sh_size == 0)
    return -ENOEXEC;
  int error = denet_elf_file_read(file, section, NAMES_MOST, (unsigned char **)&file->names);
  if (!error)
    file->names_bytes = section->sh_size + 1;
  return error;
}

/* A file without sections is valid, and so is one with absurd ones: then it has none. */
static int read_sections(struct denet_elf_file *file, const Elf64_Ehdr *header) {
  size_t count = header->e_shnum;
  void *sections;
  if (count == 0 || count > SECTIONS_MOST || header->e_shentsize != sizeof(Elf64_Shdr))
    return 0;
  int error = read_table(file, header->e_shoff, count, sizeof(Elf64_Shdr), &sections);
  if (error)
    return error == -ENOMEM ? error : 0;
  file->sections = sections;
  file->section_count = count;
  error = read_names(file, header->e_shstrndx);
  if (error)
    file->section_count = 0;
  return error == -ENOMEM ? error : 0;
}

static int read_programs(struct denet_elf_file *file, const Elf64_Ehdr *header) {
  size_t count = header->e_phnum;
  void *programs;
  if (count == 0 || count > PROGRAMS_MOST || header->e_phentsize != sizeof(Elf64_Phdr))
    return -ENOEXEC;
  int error = read_table(file, header->e_phoff, count, sizeof(Elf64_Phdr), &programs);
  if (error)
    return error;
  file->programs = programs;
  file->program_count = count;
  return 0;
}

/* Reads the headers without libelf, which takes memory for as many sections as a file claims to
 * have; the owner of the file may change that number between any two looks. */
static int read_headers(struct denet_elf_file *file) {
  Elf64_Ehdr header;
  int error = read_at(file->fd, 0, &header, sizeof(header));
  if (error)
    return error;
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64 ||
      (header.e_type != ET_EXEC && header.e_type != ET_DYN))
    return -ENOEXEC;
  error = read_programs(file, &header);
  return error ? error : read_sections(file, &header);
}

int denet_elf_file_open(int fd, struct denet_elf_file *out_file) {
  struct stat status;
  if (fstat(fd, &status))
    return -errno;
  DENET_CLEANUP(denet_elf_file_done)
  struct denet_elf_file file = {.fd = fd, .bytes = (uint64_t)status.st_size};
  int error = read_headers(&file);
  if (error)
    return error;
  *out_file = file;
  file = (struct denet_elf_file){.fd = -1};
  return 0;
}

void denet_elf_file_done(struct denet_elf_file *file) {
  free(file->programs);
  free(file->sections);
  free(file->names);
  *file = (struct denet_elf_file){.fd = -1};
}

const Elf64_Shdr *denet_elf_file_section_at(const struct denet_elf_file *file, size_t index) {
  if (index == 0 || index >= file->section_count || file->sections[index].sh_type == SHT_NOBITS)
    return NULL;
  const Elf64_Shdr *section = &file->sections[index];
  return has_bytes(file, section->sh_offset, section->sh_size) ? section : NULL;
}

const Elf64_Shdr *denet_elf_file_section(const struct denet_elf_file *file, const char *name) {
  for (size_t i = 1; i < file->section_count; i++) {
    uint32_t at = file->sections[i].sh_name;
    if (at < file->names_bytes && strcmp(file->names + at, name) == 0)
      return denet_elf_file_section_at(file, i);
  }
  return NULL;
}

int denet_elf_file_read(const struct denet_elf_file *file, const Elf64_Shdr *section,
                        uint64_t limit, unsigned char **out_bytes) {
  void *bytes;
  if (section->sh_size > limit)
    return -EFBIG;
  int error = read_table(file, section->sh_offset, section->sh_size, 1, &bytes);
  if (error)
    return error;
  *out_bytes = bytes;
  (*out_bytes)[section->sh_size] = '\0';
  return 0;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

/* A file that is being made: one header, the sections, their names, the table of sections. */
struct extract {
  Elf64_Shdr sections[EXTRACT_MOST + 2]; /* 0 is none, the last the names */
  const Elf64_Shdr *originals[EXTRACT_MOST + 2];
  size_t section_count;
  char names[1024];
  size_t names_bytes;
  uint64_t bytes; /* so far, with the header */
  uint64_t uncompressed;
};

/* Gets a section's bytes once it is uncompressed. */
static int get_uncompressed(const struct denet_elf_file *file, const Elf64_Shdr *section,
                            uint64_t *out_bytes) {
  Elf64_Chdr header;
  *out_bytes = section->sh_size;
  if (!(section->sh_flags & SHF_COMPRESSED))
    return 0;
  if (section->sh_size < sizeof(header))
    return -ENOEXEC;
  int error = read_at(file->fd, section->sh_offset, &header, sizeof(header));
  *out_bytes = error ? 0 : header.ch_size;
  return error;
}

static int add_section(const struct denet_elf_file *file, const char *name, uint64_t limit,
                       struct extract *extract) {
  const Elf64_Shdr *section = denet_elf_file_section(file, name);
  size_t name_bytes = strlen(name) + 1;
  uint64_t uncompressed;
  if (!section)
    return 0;
  if (extract->names_bytes + name_bytes > sizeof(extract->names))
    return -ENOEXEC;
  int error = get_uncompressed(file, section, &uncompressed);
  if (error)
    return error;
  if (section->sh_size > limit || uncompressed > limit ||
      extract->uncompressed + uncompressed > limit)
    return -EFBIG;
  extract->originals[extract->section_count] = section;
  Elf64_Shdr *copy = &extract->sections[extract->section_count++];
  *copy = *section;
  copy->sh_name = (uint32_t)extract->names_bytes;
  copy->sh_offset = extract->bytes; /* a multiple of 8 */
  copy->sh_link = copy->sh_info = 0;
  memcpy(extract->names + extract->names_bytes, name, name_bytes);
  extract->names_bytes += name_bytes;
  extract->bytes += round_up(section->sh_size, 8);
  extract->uncompressed += uncompressed;
  return 0;
}

static void add_names(struct extract *extract) {
  Elf64_Shdr *section = &extract->sections[extract->section_count++];
  *section = (Elf64_Shdr){
      .sh_type = SHT_STRTAB,
      .sh_offset = extract->bytes,
      .sh_size = extract->names_bytes,
      .sh_addralign = 1,
  };
  extract->bytes += round_up(extract->names_bytes, 8);
}

static int fill(const struct denet_elf_file *file, const struct extract *extract, char *content) {
  Elf64_Ehdr header = {
      .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
      .e_type = ET_DYN,
      .e_machine = EM_X86_64,
      .e_version = EV_CURRENT,
      .e_shoff = extract->bytes,
      .e_ehsize = sizeof(header),
      .e_shentsize = sizeof(Elf64_Shdr),
      .e_shnum = (uint16_t)extract->section_count,
      .e_shstrndx = (uint16_t)(extract->section_count - 1),
  };
  memcpy(content, &header, sizeof(header));
  for (size_t i = 1; i + 1 < extract->section_count; i++) {
    const Elf64_Shdr *section = &extract->sections[i];
    int error = read_at(file->fd, extract->originals[i]->sh_offset, content + section->sh_offset,
                        section->sh_size);
    if (error)
      return error;
  }
  memcpy(content + extract->sections[extract->section_count - 1].sh_offset, extract->names,
         extract->names_bytes);
  memcpy(content + extract->bytes, extract->sections, extract->section_count * sizeof(Elf64_Shdr));
  return 0;
}

/* Makes the content of a copy. 0, then the caller owns *out_content, or -errno. */
static int extract_sections(const struct denet_elf_file *file, const char *const *names,
                            size_t count, uint64_t limit, struct extract *extract,
                            char **out_content) {
  int error = 0;
  for (size_t i = 0; i < count && i < EXTRACT_MOST && !error; i++)
    error = add_section(file, names[i], limit, extract);
  if (error)
    return error;
  if (extract->section_count == 1)
    return -ENOENT;
  add_names(extract);
  DENET_FREE char *content =
      calloc(1, extract->bytes + extract->section_count * sizeof(Elf64_Shdr));
  if (!content)
    return -ENOMEM;
  error = fill(file, extract, content);
  if (!error)
    *out_content = DENET_TAKE(content);
  return error;
}

int denet_elf_file_copy(const struct denet_elf_file *file, const char *const *names, size_t count,
                        uint64_t limit, struct denet_elf_copy *out_copy) {
  struct extract extract = {
      .section_count = 1, .names_bytes = 1, .bytes = round_up(sizeof(Elf64_Ehdr), 8)};
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  int error = extract_sections(file, names, count, limit, &extract, &copy.content);
  if (error)
    return error;
  size_t bytes = extract.bytes + extract.section_count * sizeof(Elf64_Shdr);
  elf_version(EV_CURRENT);
  copy.elf = elf_memory(copy.content, bytes);
  if (!copy.elf)
    return -ENOENT;
  copy.dwarf = dwarf_begin_elf(copy.elf, DWARF_C_READ, NULL); /* uncompresses the sections */
  copy.bytes = bytes + extract.uncompressed;
  *out_copy = copy;
  /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): denet_elf_copy_done() reads it. */
  copy = (struct denet_elf_copy){0};
  return 0;
}

void denet_elf_copy_done(struct denet_elf_copy *copy) {
  dwarf_end(copy->dwarf);
  elf_end(copy->elf);
  free(copy->content);
  *copy = (struct denet_elf_copy){0};
}

void *denet_elf_copy_section(const struct denet_elf_copy *copy, const char *name) {
  size_t names;
  if (elf_getshdrstrndx(copy->elf, &names))
    return NULL;
  for (Elf_Scn *section = NULL; (section = elf_nextscn(copy->elf, section));) {
    GElf_Shdr header;
    const char *found =
        gelf_getshdr(section, &header) ? elf_strptr(copy->elf, names, header.sh_name) : NULL;
    if (found && strcmp(found, name) == 0)
      return (header.sh_flags & SHF_COMPRESSED) ? NULL : elf_getdata(section, NULL);
  }
  return NULL;
}

size_t denet_elf_file_build_id(const struct denet_elf_file *file, unsigned char *out, size_t size) {
  static const char *const sections[] = {".note.gnu.build-id"};
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  const void *id;
  if (denet_elf_file_copy(file, sections, 1, NOTES_MOST, &copy))
    return 0;
  ssize_t length = dwelf_elf_gnu_build_id(copy.elf, &id);
  if (length <= 0)
    return 0;
  size_t taken = (size_t)length < size ? (size_t)length : size;
  memcpy(out, id, taken);
  return taken;
}
