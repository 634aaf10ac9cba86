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

void CorpusSurvey::add(std::string_view document, const runtime::Hash128& hash) {
  const int64_t number = documents_++;
  const auto length = static_cast<int64_t>(document.size());
  bytes_ += length;
  const Document one{.bytes = length, .hash = hash, .number = number};
  if (!shortest_ || length < shortest_->bytes || (length == shortest_->bytes && before(hash, shortest_->hash)))
    shortest_ = one;
  if (!longest_ || length > longest_->bytes || (length == longest_->bytes && before(longest_->hash, hash)))
    longest_ = one;
  smallest_hash_ = std::min(smallest_hash_, hash.high);
  largest_hash_ = std::max(largest_hash_, hash.high);
  const std::array<uint64_t, 3> line = {hash.low, hash.high, static_cast<uint64_t>(length)};
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

std::optional<size_t> validation_cut(std::string_view document, double fraction) {
  if (document.size() < 2) return std::nullopt;
  const auto held_back = static_cast<size_t>(std::llround(static_cast<double>(document.size()) * fraction));
  const size_t at = document.size() - std::clamp<size_t>(held_back, 1, document.size() - 1);
  const size_t line_end = document.find('\n', at);
  if (line_end != std::string_view::npos && line_end + 1 < document.size()) return line_end + 1;
  size_t cut = at;
  while (cut < document.size() && !begins_character(document[cut])) ++cut;
  if (cut < document.size()) return cut;
  for (cut = at; cut > 0 && !begins_character(document[cut]);) --cut;
  return cut > 0 ? std::optional(cut) : std::nullopt;
}

}  // namespace trireme::data
