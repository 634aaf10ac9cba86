// Any pattern through PCRE2 with its just-in-time compiler: a tenth of the speed of a scanner, and the oracle of ours.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cassert>
#include <limits>

#include "data/splitter.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR8 text[256];
  pcre2_get_error_message_8(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

struct FreeCode {
  void operator()(pcre2_code_8* code) const { pcre2_code_free_8(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data_8* match) const { pcre2_match_data_free_8(match); }
};

class Pcre2Splitter : public Splitter {
 public:
  explicit Pcre2Splitter(const std::string& pattern) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    // Text that is not UTF-8 matches nowhere, and stays between the matches. $ is the end of the text, as for tiktoken.
    code_.reset(pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY, &code, &offset,
                                nullptr));
    if (code_ == nullptr) {
      throw Error(ErrorKind::data, "the pattern " + pattern + " is not a regular expression (" + pcre2_message(code) +
                                       " at character " + std::to_string(offset) + ")");
    }
    pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);  // where it is not supported matching interprets
  }

  void split(std::string_view text, std::vector<uint32_t>& ends) const override {
    assert(text.size() <= std::numeric_limits<uint32_t>::max());
    const std::unique_ptr<pcre2_match_data_8, FreeMatch> match(
        pcre2_match_data_create_from_pattern_8(code_.get(), nullptr));
    size_t done = 0;  // where the last piece ended
    size_t from = 0;
    const auto add = [&](size_t end) {
      if (end > done) ends.push_back(static_cast<uint32_t>(end));
      done = end;
    };
    while (from < text.size()) {
      int found = match_at(text, from, 0, match.get());
      // Compiled code keeps what it may go back to on 32 KiB of stack, some thousand letters for (?:a|b)+; the
      // interpreter keeps it on the heap.
      if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match_at(text, from, PCRE2_NO_JIT, match.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) throw Error(ErrorKind::data, "a pattern cannot be matched: " + pcre2_message(found));
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer_8(match.get());
      add(bounds[0]);
      add(bounds[1]);
      from = bounds[1] > from ? bounds[1] : after_character(text, from);  // an empty match moves on
    }
    add(text.size());
  }

  bool has_safe_cuts() const override { return false; }

  std::string unicode_version() const override {
    char version[32] = {};  // PCRE2 asks for 24
    pcre2_config_8(PCRE2_CONFIG_UNICODE_VERSION, version);
    return version;
  }

 private:
  int match_at(std::string_view text, size_t from, uint32_t options, pcre2_match_data_8* match) const {
    return pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), from, options, match,
                         nullptr);
  }

  static size_t after_character(std::string_view text, size_t at) {
    do ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    return at;
  }

  std::unique_ptr<pcre2_code_8, FreeCode> code_;
};

}  // namespace

std::unique_ptr<Splitter> make_pcre2_splitter(const std::string& pattern) {
  return std::make_unique<Pcre2Splitter>(pattern);
}

}  // namespace trireme::data
