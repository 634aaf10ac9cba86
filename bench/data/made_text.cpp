#include "bench/data/made_text.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string_view>
#include <unordered_set>

#include "runtime/error.h"

namespace trireme::data {
namespace {

constexpr uint64_t kLongestFile = 4 << 20;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Whether lead bytes have their continuations, and there is no control character but tab.
bool is_text(std::string_view line) {
  int expected = 0;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_continuation = (byte & 0xC0) == 0x80;
    if (is_continuation != (expected > 0) || byte >= 0xF5 || byte == 0xC0 || byte == 0xC1) return false;
    if (byte < ' ' && byte != '\t') return false;
    expected = is_continuation ? expected - 1 : byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC0 ? 1 : 0;
  }
  return expected == 0;
}

void add_lines(const std::filesystem::path& path, std::unordered_set<std::string>& lines) {
  std::error_code ignored;
  if (std::filesystem::file_size(path, ignored) > kLongestFile) return;
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  if (content.view().find('\0') != std::string_view::npos) return;
  std::istringstream text(content.str());
  for (std::string line; std::getline(text, line);) {
    if (line.find_first_not_of(" \t") != std::string::npos && is_text(line)) lines.insert(line);
  }
}

std::vector<std::string> distinct_lines(const std::vector<std::string>& sources) {
  std::unordered_set<std::string> lines;
  for (const std::string& source : sources) {
    if (!std::filesystem::is_directory(source)) {
      add_lines(source, lines);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source)) {
      if (entry.is_regular_file()) add_lines(entry.path(), lines);
    }
  }
  std::vector<std::string> sorted(lines.begin(), lines.end());
  std::ranges::sort(sorted);
  return sorted;
}

/// Replaces a letter in some of the words of at least three letters from `begin` on.
void misspell(std::string& text, size_t begin, double share, std::mt19937_64& random) {
  std::bernoulli_distribution is_misspelt(share);
  while (begin < text.size()) {
    size_t end = begin;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end - begin >= 3 && is_misspelt(random))
      text[begin + random() % (end - begin)] = static_cast<char>('a' + random() % 26);
    begin = end + 1;
  }
}

}  // namespace

std::string make_text(const MadeTextOptions& options) {
  std::vector<std::string> lines = distinct_lines(options.sources);
  if (lines.empty()) throw runtime::Error(runtime::ErrorKind::usage, "there is no text in the sources of the bench");
  std::mt19937_64 random(options.seed);
  std::string text;
  text.reserve(static_cast<size_t>(options.bytes) + kLongestFile);
  while (static_cast<int64_t>(text.size()) < options.bytes) {
    std::ranges::shuffle(lines, random);
    for (const std::string& line : lines) {
      const size_t begin = text.size();
      text += line;
      text += '\n';
      misspell(text, begin, options.misspelt, random);
      if (static_cast<int64_t>(text.size()) >= options.bytes) break;
    }
  }
  return text;
}

}  // namespace trireme::data
