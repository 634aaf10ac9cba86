#include "data/normal_form.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <array>
#include <limits>

#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr std::array<std::string_view, 4> kNames = {"nfc", "nfd", "nfkc", "nfkd"};

const icu::Normalizer2& normalizer(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
    case NormalForm::nfc:
      found = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::nfd:
      found = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::nfkc:
      found = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::nfkd:
      found = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  if (U_FAILURE(status)) {
    throw Error(ErrorKind::internal, std::string("ICU has no tables of normal forms: ") + u_errorName(status));
  }
  return *found;
}

void append_normalized(NormalForm form, std::string_view text, icu::ByteSink& sink) {
  UErrorCode status = U_ZERO_ERROR;
  normalizer(form).normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr,
                                 status);
  if (U_FAILURE(status)) {
    throw Error(ErrorKind::internal, std::string("ICU cannot normalize text: ") + u_errorName(status));
  }
}

}  // namespace

std::string_view name(NormalForm form) {
  return kNames[static_cast<size_t>(form)];
}

std::optional<NormalForm> normal_form_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<NormalForm>(i);
  }
  return {};
}

std::string normalize(NormalForm form, std::string_view text) {
  if (text.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorKind::data, "a text of " + std::to_string(text.size()) + " bytes is too long for a normal form");
  }
  std::string normal;
  icu::StringByteSink<std::string> sink(&normal, static_cast<int32_t>(text.size()));
  // ICU would put U+FFFD in place of ill-formed bytes, so it gets what lies between them.
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int32_t>(text.size());
  int32_t begin = 0;  // of the well-formed stretch
  for (int32_t at = 0; at < size;) {
    const int32_t from = at;
    UChar32 character = 0;
    U8_NEXT(bytes, at, size, character);
    if (character < 0) {
      append_normalized(form, text.substr(static_cast<size_t>(begin), static_cast<size_t>(from - begin)), sink);
      sink.Append(text.data() + from, at - from);
      begin = at;
    }
  }
  append_normalized(form, text.substr(static_cast<size_t>(begin)), sink);
  return normal;
}

std::string unicode_version() {
  UVersionInfo version;
  u_getUnicodeVersion(version);
  return std::to_string(version[0]) + "." + std::to_string(version[1]);
}

}  // namespace trireme::data
