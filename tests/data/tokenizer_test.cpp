#include "data/tokenizer.h"

#include <numeric>

#include "runtime/digest.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

TEST(ByteTokenizer, AnyBytesSurviveTheRoundTrip) {
  std::string bytes(256, '\0');
  std::iota(bytes.begin(), bytes.end(), '\0');
  std::vector<int32_t> ids = {7};
  ByteTokenizer().encode(bytes, ids);
  ASSERT_EQ(ids.size(), 257u);
  EXPECT_EQ(ids[0], 7) << "encode appends";
  for (int32_t byte = 0; byte < 256; ++byte) EXPECT_EQ(ids[static_cast<size_t>(byte) + 1], byte);
  EXPECT_EQ(ByteTokenizer().decode(std::span(ids).subspan(1)), bytes);
}

TEST(ByteTokenizer, EndOfTextHasAnIdAndNoBytes) {
  const ByteTokenizer tokenizer;
  EXPECT_EQ(tokenizer.vocabulary_size(), 257);
  EXPECT_EQ(tokenizer.end_of_text(), 256);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'a', 256, 'b'}), "ab");
}

TEST(ByteTokenizer, RefusesIdsOutsideItsVocabulary) {
  for (const int32_t id : {-1, 257}) {
    expect_contains(error_of(ErrorKind::data, [&] { ByteTokenizer().decode(std::vector<int32_t>{id}); }),
                    {std::to_string(id), "257"});
  }
}

TEST(Tokenizer, DigestIsOfTheDescription) {
  EXPECT_EQ(ByteTokenizer().digest(), runtime::sha256(R"({"kind":"byte"})"));
}

}  // namespace
}  // namespace trireme::data
