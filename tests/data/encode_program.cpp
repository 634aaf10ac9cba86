// encode_program TOKENIZER TEXTS IDS as_text|known: the ids of each text of a file, special tokens taken for text or
// known, for tests/parity/tokenizer_parity.py. TEXTS is, for each, its length (int64, little endian) and its bytes; IDS,
// for each, their number (int64) and the ids (int32).
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "data/tokenizer_files.h"
#include "runtime/error.h"

int main(int argc, char** argv) {
  using namespace trireme;
  if (argc != 5) return 2;
  const bool is_text = argv[4] == std::string_view("as_text");
  const auto special = is_text ? data::SpecialTokens::as_text : data::SpecialTokens::known;
  try {
    const data::BpeTokenizer tokenizer(data::read_tokenizer(runtime::real_files(), argv[1]));
    std::ifstream texts(argv[2], std::ios::binary);
    std::ofstream output(argv[3], std::ios::binary);
    std::vector<int32_t> ids;
    std::string text;
    for (int64_t bytes = 0; texts.read(reinterpret_cast<char*>(&bytes), sizeof bytes);) {
      text.resize(static_cast<size_t>(bytes));
      texts.read(text.data(), bytes);
      ids.clear();
      tokenizer.encode(text, ids, special);
      const auto count = static_cast<int64_t>(ids.size());
      output.write(reinterpret_cast<const char*>(&count), sizeof count);
      output.write(reinterpret_cast<const char*>(ids.data()), count * static_cast<int64_t>(sizeof ids[0]));
      if (is_text && tokenizer.decode(ids) != text) {
        throw runtime::Error(runtime::ErrorKind::internal, "the ids of a text decode to another");
      }
    }
    return output.flush() ? 0 : 1;
  } catch (const runtime::Error& error) {
    std::cerr << "encode_program: " << error.what() << '\n';
    return 1;
  }
}
