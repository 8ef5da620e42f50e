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
#define NOTES_MOST (NAMES_MOST + 65536)
#define KEPT_BYTES 320 /* of a section: its header, and what libelf has of it */

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

/* Reads a part of the file, and puts a NUL behind it. Returns it, owned by the caller, or NULL with
 * an error. */
static void *read_part(int fd, uint64_t offset, size_t bytes, int *out_error) {
  DENET_FREE char *part = malloc(bytes + 1);
  *out_error = part ? read_at(fd, offset, part, bytes) : -ENOMEM;
  if (*out_error)
    return NULL;
  part[bytes] = '\0';
  return DENET_TAKE(part);
}

/* A file without sections is valid, and so is one with absurd ones: then it has none. */
static int read_sections(struct denet_elf_file *file, const Elf64_Ehdr *header,
                         uint64_t file_bytes) {
  size_t count = header->e_shnum;
  int error;
  if (count > SECTIONS_MOST || header->e_shstrndx >= count ||
      header->e_shentsize != sizeof(Elf64_Shdr))
    return 0;
  file->sections = read_part(file->fd, header->e_shoff, count * sizeof(Elf64_Shdr), &error);
  if (!file->sections)
    return error == -ENOMEM ? error : 0;
  for (size_t i = 0; i < count; i++) {
    Elf64_Shdr *section = &file->sections[i];
    if (i == 0 || section->sh_type == SHT_NOBITS || section->sh_offset > file_bytes ||
        section->sh_size > file_bytes - section->sh_offset)
      section->sh_type = SHT_NULL;
  }
  const Elf64_Shdr *names = &file->sections[header->e_shstrndx];
  if (names->sh_type == SHT_NULL || names->sh_size == 0 || names->sh_size > NAMES_MOST)
    return 0;
  file->names = read_part(file->fd, names->sh_offset, names->sh_size, &error);
  if (!file->names)
    return error == -ENOMEM ? error : 0;
  file->names_index = header->e_shstrndx;
  file->names_bytes = names->sh_size;
  file->section_count = count;
  return 0;
}

/* Reads the headers without libelf, which takes memory for as many sections as a file claims to
 * have; the owner of the file may change that number between any two looks. */
int denet_elf_file_open(int fd, struct denet_elf_file *out_file) {
  DENET_CLEANUP(denet_elf_file_done) struct denet_elf_file file = {.fd = fd};
  struct stat status;
  Elf64_Ehdr header;
  if (fstat(fd, &status))
    return -errno;
  int error = read_at(fd, 0, &header, sizeof(header));
  if (error)
    return error;
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64 ||
      (header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phnum == 0 ||
      header.e_phnum > PROGRAMS_MOST || header.e_phentsize != sizeof(Elf64_Phdr))
    return -ENOEXEC;
  file.program_count = header.e_phnum;
  file.programs = read_part(fd, header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr), &error);
  if (file.programs)
    error = read_sections(&file, &header, (uint64_t)status.st_size);
  if (error)
    return error;
  *out_file = DENET_EXCHANGE(file, (struct denet_elf_file){.fd = -1});
  return 0;
}

void denet_elf_file_done(struct denet_elf_file *file) {
  free(file->programs);
  free(file->sections);
  free(file->names);
  *file = (struct denet_elf_file){.fd = -1};
}

/* Returns the index of the first section of this name; 0: there is none with content. */
static size_t find_section(const struct denet_elf_file *file, const char *name) {
  for (size_t i = 1; i < file->section_count; i++) {
    uint32_t at = file->sections[i].sh_name;
    if (at < file->names_bytes && strcmp(file->names + at, name) == 0)
      return file->sections[i].sh_type == SHT_NULL ? 0 : i;
  }
  return 0;
}

/* Appends a section, and makes its header lead there. Adds its bytes, once it is uncompressed. */
static int copy_section(int fd, Elf64_Shdr *section, uint64_t limit, struct denet_buffer *content,
                        uint64_t *total_bytes) {
  Elf64_Chdr compressed = {.ch_size = section->sh_size};
  if (section->sh_size > limit)
    return -EFBIG;
  int error = denet_buffer_reserve(content, section->sh_size);
  if (!error)
    error = read_at(fd, section->sh_offset, content->bytes + content->length, section->sh_size);
  if (error)
    return error;
  if (section->sh_flags & SHF_COMPRESSED) {
    if (section->sh_size < sizeof(compressed))
      return -ENOEXEC;
    memcpy(&compressed, content->bytes + content->length, sizeof(compressed));
  }
  if (compressed.ch_size > limit - *total_bytes)
    return -EFBIG;
  *total_bytes += compressed.ch_size;
  section->sh_offset = content->length;
  content->length += section->sh_size;
  return denet_buffer_append(content, "\0\0\0\0\0\0\0", 8 - content->length % 8);
}

/* Chooses sections: their headers, those of the sections that they link to, and that of the names
 * of sections go into a table of zeros. Returns false if there are none. */
static bool choose_sections(const struct denet_elf_file *file, const char *const *names,
                            size_t count, Elf64_Shdr *table) {
  bool is_any = false;
  for (size_t i = 0; i < count; i++) {
    size_t index = find_section(file, names[i]);
    uint32_t link = index ? file->sections[index].sh_link : 0;
    if (index)
      table[index] = file->sections[index];
    if (link && link < file->section_count && table[link].sh_type == SHT_NULL) {
      table[link] = file->sections[link];
      table[link].sh_name = (uint32_t)file->names_bytes - 1;
    }
    is_any |= index > 0;
  }
  if (is_any)
    table[file->names_index] =
        (Elf64_Shdr){.sh_name = (uint32_t)file->names_bytes - 1,
                     .sh_type = SHT_STRTAB,
                     .sh_offset = file->sections[file->names_index].sh_offset,
                     .sh_size = file->names_bytes};
  return is_any;
}

/* Makes the content of a copy: a header, the sections, the table of sections. */
static int make_content(const struct denet_elf_file *file, const char *const *names, size_t count,
                        uint64_t limit, struct denet_elf_copy *copy) {
  Elf64_Ehdr header = {
      .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
      .e_type = ET_DYN,
      .e_machine = EM_X86_64,
      .e_version = EV_CURRENT,
      .e_ehsize = sizeof(header),
      .e_shentsize = sizeof(Elf64_Shdr),
      .e_shnum = (uint16_t)file->section_count,
      .e_shstrndx = (uint16_t)file->names_index,
  };
  struct denet_buffer *content = &copy->content;
  uint64_t uncompressed = 0;
  DENET_FREE Elf64_Shdr *table = calloc(file->section_count + 1, sizeof(*table));
  if (!table)
    return -ENOMEM;
  if (!choose_sections(file, names, count, table))
    return -ENOENT;
  int error = denet_buffer_append(content, &header, sizeof(header));
  for (size_t i = 1; i < file->section_count && !error; i++)
    if (table[i].sh_type != SHT_NULL)
      error = copy_section(file->fd, &table[i], limit, content, &uncompressed);
  header.e_shoff = content->length;
  if (!error)
    error = denet_buffer_append(content, table, file->section_count * sizeof(*table));
  if (error)
    return error;
  memcpy(content->bytes, &header, sizeof(header));
  /* libelf would search a long time for the end of a name if it had none. */
  char *section_names = content->bytes + table[file->names_index].sh_offset;
  memcpy(section_names, file->names, file->names_bytes - 1);
  section_names[file->names_bytes - 1] = '\0';
  denet_buffer_trim(content);
  copy->bytes = content->length + uncompressed + file->section_count * KEPT_BYTES;
  return 0;
}

int denet_elf_file_copy(const struct denet_elf_file *file, const char *const *names, size_t count,
                        uint64_t limit, struct denet_elf_copy *out_copy) {
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  int error = make_content(file, names, count, limit, &copy);
  if (error)
    return error;
  elf_version(EV_CURRENT);
  copy.elf = elf_memory(copy.content.bytes, copy.content.length);
  if (!copy.elf)
    return -ENOENT;
  copy.dwarf = dwarf_begin_elf(copy.elf, DWARF_C_READ, NULL); /* uncompresses the sections */
  /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): denet_elf_copy_done() reads it. */
  *out_copy = DENET_EXCHANGE(copy, (struct denet_elf_copy){0});
  return 0;
}

void denet_elf_copy_done(struct denet_elf_copy *copy) {
  dwarf_end(copy->dwarf);
  elf_end(copy->elf);
  denet_buffer_done(&copy->content);
  *copy = (struct denet_elf_copy){0};
}

Elf_Scn *denet_elf_copy_section(const struct denet_elf_copy *copy, const char *name) {
  size_t names;
  if (elf_getshdrstrndx(copy->elf, &names))
    return NULL;
  for (Elf_Scn *section = NULL; (section = elf_nextscn(copy->elf, section));) {
    GElf_Shdr header;
    const char *found =
        gelf_getshdr(section, &header) ? elf_strptr(copy->elf, names, header.sh_name) : NULL;
    if (found && strcmp(found, name) == 0)
      return section;
  }
  return NULL;
}

bool denet_elf_file_build_id(const struct denet_elf_file *file, char out[DENET_BUILD_ID_BYTES]) {
  static const char *const name = ".note.gnu.build-id";
  DENET_CLEANUP(denet_elf_copy_done) struct denet_elf_copy copy = {0};
  const void *id;
  if (denet_elf_file_copy(file, &name, 1, NOTES_MOST, &copy))
    return false;
  ssize_t length = dwelf_elf_gnu_build_id(copy.elf, &id);
  for (ssize_t i = 0; i < length && 2 * i + 2 < DENET_BUILD_ID_BYTES; i++)
    snprintf(out + 2 * i, 3, "%02x", ((const unsigned char *)id)[i]);
  return length > 1;
}
