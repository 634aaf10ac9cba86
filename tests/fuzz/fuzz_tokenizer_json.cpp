// A tokenizer.json that somebody made up. Reading it ends with an Error, or with a tokenizer that gives back any text,
// and whose own file reads as the same parts.
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "data/bpe_vocabulary.h"
#include "data/byte_alphabet.h"
#include "data/tokenizer_json.h"
#include "runtime/error.h"

namespace {

using namespace trireme::data;

/// A small sound one, whose words the fuzzer learns from the first run.
std::string sound_file() {
  TokenizerParts parts;
  for (int byte = 0; byte < 256; ++byte) parts.vocabulary.tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* token : {"th", "the", " the", "in"}) parts.vocabulary.tokens.push_back(token);
  parts.vocabulary.merges = {{'t', 'h'}, {256, 'e'}, {' ', 257}, {'i', 'n'}};
  parts.pattern = kGpt2Pattern;
  parts.normal_forms = {NormalForm::nfc};
  parts.added_tokens = {{.id = 260, .content = "<|endoftext|>"}, {.id = 261, .content = "<x>", .special = false}};
  parts.end_of_text = "<|endoftext|>";
  return tokenizer_json(parts);
}

/// The first byte chooses: any text, or the sound file with a stretch of it replaced by the rest of the input.
std::string file_from(std::string_view input) {
  static const std::string sound = sound_file();
  if (input.size() < 4 || input[0] == 0) return std::string(input);
  const size_t at =
      (static_cast<unsigned char>(input[1]) * size_t{256} + static_cast<unsigned char>(input[2])) % sound.size();
  std::string file = sound;
  file.replace(at, static_cast<unsigned char>(input[3]), input.substr(4));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  try {
    const std::string text = file_from({reinterpret_cast<const char*>(input), size});
    const TokenizerParts parts = parse_tokenizer_json(text, "tokenizer.json");
    if (parse_tokenizer_json(tokenizer_json(parts), "tokenizer.json") != parts) __builtin_trap();
    const BpeTokenizer tokenizer(parts);
    if (!parts.normal_forms.empty() || parts.add_prefix_space) return 0;  // those change a text
    std::vector<int32_t> ids;
    const std::string_view sample = "the thing <x>\n in  \xff\xc3 the";
    tokenizer.encode(sample, ids);
    for (const AddedToken& added : parts.added_tokens) {
      if (added.lstrip || added.rstrip) return 0;
    }
    if (tokenizer.decode(ids) != sample) __builtin_trap();
  } catch (const trireme::runtime::Error&) {
  }
  return 0;
}
