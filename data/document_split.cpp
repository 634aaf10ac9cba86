#include "data/document_split.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <tuple>

namespace trireme::data {
namespace {

bool before(const runtime::Hash128& a, const runtime::Hash128& b) {
  return std::tie(a.high, a.low) < std::tie(b.high, b.low);
}

/// UTF-8 (RFC 3629): bytes 10xxxxxx continue a character.
bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace

void CorpusSurvey::add(int64_t bytes, const runtime::Hash128& hash) {
  const int64_t number = documents_++;
  bytes_ += bytes;
  const Document one{.bytes = bytes, .hash = hash, .number = number};
  if (!shortest_ || bytes < shortest_->bytes || (bytes == shortest_->bytes && before(hash, shortest_->hash)))
    shortest_ = one;
  if (!longest_ || bytes > longest_->bytes || (bytes == longest_->bytes && before(longest_->hash, hash)))
    longest_ = one;
  smallest_hash_ = std::min(smallest_hash_, hash.high);
  largest_hash_ = std::max(largest_hash_, hash.high);
  const std::array<uint64_t, 3> line = {hash.low, hash.high, static_cast<uint64_t>(bytes)};
  sha_.update(std::as_bytes(std::span(line)));
}

DocumentSplit::DocumentSplit(double fraction, const CorpusSurvey& survey)
    : threshold_(static_cast<uint64_t>(std::ldexp(fraction, 64))) {
  if (fraction == 0 || survey.documents() < 2) return;
  if (survey.smallest_hash_ >= threshold_) forced_validation_ = survey.shortest_->number;
  if (survey.largest_hash_ < threshold_) forced_train_ = survey.longest_->number;
}

bool DocumentSplit::is_validation(const runtime::Hash128& hash, int64_t number) const {
  if (number == forced_validation_) return true;
  return hash.high < threshold_ && number != forced_train_;
}

int64_t validation_target(int64_t bytes, double fraction) {
  const auto held_back = static_cast<int64_t>(std::llround(static_cast<double>(bytes) * fraction));
  return bytes - std::clamp<int64_t>(held_back, 1, bytes - 1);
}

std::optional<int64_t> validation_cut(std::string_view window, int64_t window_begin, int64_t target, int64_t bytes) {
  if (bytes < 2) return std::nullopt;
  const auto at = static_cast<size_t>(target - window_begin);
  const size_t line_end = window.substr(at, kValidationCutReach).find('\n');
  if (line_end != std::string_view::npos && target + static_cast<int64_t>(line_end) + 1 < bytes) {
    return target + static_cast<int64_t>(line_end) + 1;
  }
  size_t cut = at;
  while (cut < window.size() && !begins_character(window[cut])) ++cut;
  if (cut < window.size()) return window_begin + static_cast<int64_t>(cut);
  for (cut = at; cut > 0 && !begins_character(window[cut]);) --cut;
  return window_begin + static_cast<int64_t>(cut) > 0 ? std::optional(window_begin + static_cast<int64_t>(cut))
                                                      : std::nullopt;
}

}  // namespace trireme::data
