// The barriers that kernels have reached, and the one that a test has taken away.
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "tests/emulation/block.h"
#include "tests/emulation/emulation.h"

namespace trireme::emulation {

namespace {

struct Barriers {
  std::map<std::string, bool, std::less<>> stands;  // by "file:line"
  std::string ignored;
  // The map by what a call has at hand. Other units of compilation have other copies of a header's file name.
  std::map<std::tuple<const char*, unsigned>, bool*> by_call;
};

Barriers& barriers() {
  static Barriers& all = *new Barriers;
  return all;
}

}  // namespace

bool barrier_stands(const Site& site) {
  Barriers& all = barriers();
  bool*& stands = all.by_call[{site.file_name(), site.line()}];
  if (stands == nullptr) {
    const std::string name = std::string(site.file_name()) + ":" + std::to_string(site.line());
    stands = &all.stands.try_emplace(name, name != all.ignored).first->second;
  }
  return *stands;
}

std::vector<std::string> barrier_sites() {
  std::vector<std::string> sites;
  for (const auto& [site, stands] : barriers().stands) sites.push_back(site);
  return sites;
}

void forget_barriers() {
  barriers().by_call.clear();
  barriers().stands.clear();
}

void ignore_barrier(std::string_view site) {
  Barriers& all = barriers();
  all.ignored = site;
  for (auto& [name, stands] : all.stands) stands = name != site;
}

}  // namespace trireme::emulation
