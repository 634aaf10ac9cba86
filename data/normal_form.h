// Unicode's normal forms (UAX #15), by ICU.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trireme::data {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// "nfc" and so on.
std::string_view name(NormalForm form);
std::optional<NormalForm> normal_form_from_name(std::string_view name);

/// Bytes that are not UTF-8 stay as they are. A `text` of 2 GiB and more is Error(data).
std::string normalize(NormalForm form, std::string_view text);

/// Of ICU's tables: "15.0". Recorded with the tokenizers and data sets that use normal forms.
std::string unicode_version();

}  // namespace trireme::data
