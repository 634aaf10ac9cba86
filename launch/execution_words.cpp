#include "launch/execution_words.h"

#include <array>
#include <utility>

#include "runtime/error.h"

namespace trireme::launch {
namespace {

using model::Recompute;
using parallel::ScheduleKind;
using runtime::DType;

template <typename Value, size_t n>
using Words = std::array<std::pair<const char*, Value>, n>;

constexpr Words<DType, 2> kPrecisions{{{"fp32", DType::fp32}, {"bf16", DType::bf16}}};
constexpr Words<Recompute, 3> kRecomputes{
    {{"none", Recompute::none}, {"selective", Recompute::selective}, {"full", Recompute::full}}};
constexpr Words<ScheduleKind, 3> kSchedules{
    {{"1f1b", ScheduleKind::one_f_one_b}, {"zb-h1", ScheduleKind::zb_h1}, {"gpipe", ScheduleKind::gpipe}}};

template <typename Value, size_t n>
std::vector<std::string> words_of(const Words<Value, n>& words) {
  std::vector<std::string> list;
  for (const auto& [word, value] : words) list.emplace_back(word);
  return list;
}

template <typename Value, size_t n>
Value value_of(const Words<Value, n>& words, const std::string& kind, const std::string& given,
               const std::string& source) {
  std::string known;
  for (const auto& [word, value] : words) {
    if (given == word) return value;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  throw runtime::Error(runtime::ErrorKind::data,
                       source + ": \"" + given + "\" is not a " + kind + " that this program knows (" + known + ")");
}

}  // namespace

std::vector<std::string> precision_words() {
  return words_of(kPrecisions);
}

std::vector<std::string> recompute_words() {
  return words_of(kRecomputes);
}

std::vector<std::string> schedule_words() {
  return words_of(kSchedules);
}

DType precision_of(const std::string& word, const std::string& source) {
  return value_of(kPrecisions, "precision", word, source);
}

Recompute recompute_of(const std::string& word, const std::string& source) {
  return value_of(kRecomputes, "kind of recomputation", word, source);
}

ScheduleKind schedule_of(const std::string& word, const std::string& source) {
  return value_of(kSchedules, "pipeline schedule", word, source);
}

}  // namespace trireme::launch
