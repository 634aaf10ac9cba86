// Names of kernels in reports, from the program's own symbol table: kernels in unnamed namespaces are not exported, so
// the dynamic linker does not know them.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>

#include "tests/emulation/launch.h"

namespace trireme::emulation {

namespace {

std::string demangled(const char* name) {
  int status = 0;
  char* readable = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  const std::string text = status == 0 ? readable : name;
  std::free(readable);
  return text;
}

/// The symbol at `offset` of an ELF file of this machine's kind; empty where there is none.
std::string symbol_at(const std::vector<char>& file, uint64_t offset) {
  if (file.size() < sizeof(Elf64_Ehdr) || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return "";
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(file.data());
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(file.data() + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* names = file.data() + sections[sections[i].sh_link].sh_offset;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(file.data() + sections[i].sh_offset);
    for (uint64_t s = 0; s < sections[i].sh_size / sizeof(Elf64_Sym); ++s)
      if (symbols[s].st_value == offset && ELF64_ST_TYPE(symbols[s].st_info) == STT_FUNC)
        return demangled(names + symbols[s].st_name);
  }
  return "";
}

}  // namespace

std::string function_name(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) != 0 && info.dli_fname != nullptr) {
    if (info.dli_sname != nullptr && info.dli_saddr == address) return demangled(info.dli_sname);
    std::ifstream stream("/proc/self/exe", std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
    const auto base = reinterpret_cast<uint64_t>(info.dli_fbase);
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(file.data());
    const bool moved = file.size() >= sizeof(Elf64_Ehdr) && header->e_type == ET_DYN;
    const std::string name = symbol_at(file, reinterpret_cast<uint64_t>(address) - (moved ? base : 0));
    if (!name.empty()) return name;
  }
  char number[32];
  std::snprintf(number, sizeof number, "at %p", address);
  return number;
}

}  // namespace trireme::emulation
