#include "launch/suggestion.h"

#include <algorithm>
#include <numeric>

namespace trireme::launch {

int edit_distance(const std::string& a, const std::string& b) {
  // Three rows of the table: two back, one back, and the one being filled.
  std::vector<int> before(b.size() + 1);
  std::vector<int> above(b.size() + 1);
  std::vector<int> row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, above[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::optional<std::string> nearest_name(const std::string& word, const std::vector<std::string>& names) {
  if (word.empty()) return std::nullopt;
  std::optional<std::string> best;
  int best_distance = std::max<int>(1, static_cast<int>(word.size()) / 3);
  for (const std::string& name : names) {
    const int distance = edit_distance(word, name);
    if (distance < best_distance || (distance == best_distance && !best)) {
      best = name;
      best_distance = distance;
    }
  }
  if (best || word.size() < 3) return best;
  for (const std::string& name : names) {
    if (name.find(word) != std::string::npos && (!best || name.size() < best->size())) best = name;
  }
  return best;
}

}  // namespace trireme::launch
