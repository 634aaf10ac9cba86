#include "data/token_shard.h"

#include <cstdlib>
#include <random>

#include "data/token_shard_writer.h"
#include "runtime/h5.h"
#include "tests/data/prepared_text.h"
#include "tests/file_size_limit.h"

namespace trireme::data {
namespace {

using runtime::Error;
using runtime::ErrorKind;

ShardIdentity identity_of(int64_t vocabulary_size) {
  return {.vocabulary_size = vocabulary_size,
          .end_of_text = static_cast<int32_t>(vocabulary_size - 1),
          .tokenizer_digest = std::string(64, 'a'),
          .split = "train"};
}

std::vector<int32_t> random_ids(size_t count, int64_t vocabulary_size) {
  std::mt19937 random(17);
  std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(vocabulary_size - 2));
  std::vector<int32_t> ids(count);
  for (int32_t& value : ids) value = id(random);
  return ids;
}

DocumentEntry entry_of(int64_t document) {
  return {.hash = {.low = static_cast<uint64_t>(document), .high = ~uint64_t{0} - 7},
          .source = static_cast<int32_t>(document % 3),
          .row = document + 1};
}

void flip_byte(const std::string& path, int64_t at) {
  const auto file = runtime::real_files().open_for_writing(path);
  std::byte byte;
  file->read_at(at, std::span(&byte, 1));
  byte ^= std::byte{1};
  file->write_at(at, std::span(&byte, 1));
}

ShardContent write_shard(const std::string& path, std::span<const int32_t> ids, int64_t vocabulary_size) {
  TokenShardWriter writer(runtime::real_files(), path, identity_of(vocabulary_size));
  for (size_t begin = 0; begin < ids.size(); begin += 1000) {  // a document every 1,000 tokens
    writer.append(ids.subspan(begin, std::min<size_t>(1000, ids.size() - begin)));
    writer.end_document(entry_of(static_cast<int64_t>(begin / 1000)));
  }
  const ShardContent content = writer.finish();
  TokenShardWriter::remove_spools(runtime::real_files(), path);
  return content;
}

std::vector<int32_t> read_shard(const std::string& path, const std::optional<std::string>& tokenizer_digest = {}) {
  const TokenShard shard(runtime::real_files(), path, tokenizer_digest);
  std::vector<int32_t> ids(static_cast<size_t>(shard.content().tokens));
  shard.read(0, ids);
  return ids;
}

std::string refusal(const std::string& path, const std::optional<std::string>& tokenizer_digest = {}) {
  const std::string message = error_of(ErrorKind::data, [&] { read_shard(path, tokenizer_digest); });
  expect_contains(message, {path});
  return message;
}

TEST(TokenShard, RoundTripWithSmallAndLargeVocabulary) {
  const tests::TemporaryDirectory directory;
  for (const int64_t vocabulary_size : {257, 65536, 65537, 128256}) {
    const std::string path = directory / (std::to_string(vocabulary_size) + ".h5");
    const std::vector<int32_t> ids = random_ids(3210, vocabulary_size);
    const ShardContent written = write_shard(path, ids, vocabulary_size);
    EXPECT_EQ(read_shard(path), ids);
    const TokenShard shard(runtime::real_files(), path, std::string(64, 'a'));
    EXPECT_EQ(shard.content().tokens, 3210);
    EXPECT_EQ(shard.content().documents, 4);
    EXPECT_EQ(shard.content().max_id, *std::ranges::max_element(ids));
    EXPECT_EQ(shard.content().digest, written.digest);
    EXPECT_EQ(shard.identity().vocabulary_size, vocabulary_size);
    EXPECT_EQ(shard.identity().split, "train");
    EXPECT_EQ(runtime::H5Reader(runtime::real_files(), path).dataset("/tokens").dtype,
              vocabulary_size <= 65536 ? runtime::DType::u16 : runtime::DType::i32);
  }
}

TEST(TokenShard, AnyRangeAcrossBlocksIsWhatWasWritten) {
  const tests::TemporaryDirectory directory;
  const int64_t block_tokens = kShardBlockBytes / 2;
  const std::vector<int32_t> ids = random_ids(static_cast<size_t>(2 * block_tokens + 5), 257);
  write_shard(directory / "a.h5", ids, 257);
  const TokenShard shard(runtime::real_files(), directory / "a.h5", {});
  for (const int64_t begin : {int64_t{0}, block_tokens - 3, block_tokens, 2 * block_tokens - 20000}) {
    std::vector<int32_t> part(20005);
    shard.read(begin, part);
    EXPECT_TRUE(std::ranges::equal(part, std::span(ids).subspan(static_cast<size_t>(begin), part.size()))) << begin;
  }
  std::vector<int32_t> beyond(2);
  EXPECT_THROW(shard.read(2 * block_tokens + 4, beyond), Error);
}

TEST(TokenShard, EqualTokensGiveEqualFiles) {
  const tests::TemporaryDirectory directory;
  const std::vector<int32_t> ids = random_ids(5000, 257);
  write_shard(directory / "a.h5", ids, 257);
  write_shard(directory / "b.h5", ids, 257);
  EXPECT_TRUE(read_file(directory / "a.h5") == read_file(directory / "b.h5"));
  EXPECT_EQ(runtime::real_files().list(directory.path()), (std::vector<std::string>{"a.h5", "b.h5"}));
}

TEST(TokenShard, KnowsItsDocuments) {
  const tests::TemporaryDirectory directory;
  write_shard(directory / "a.h5", random_ids(4500, 257), 257);
  const TokenShard shard(runtime::real_files(), directory / "a.h5", {});
  const DocumentTable& documents = shard.documents();
  EXPECT_EQ(documents.last_end(), 4500);
  for (const auto& [token, document] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 0}, {999, 0}, {1000, 1}, {3999, 3}, {4000, 4}, {4499, 4}, {4500, 5}}) {
    EXPECT_EQ(documents.first_behind(token), document) << token;
  }
  const std::vector<DocumentEntry> entries = documents.entries(1, 3);
  ASSERT_EQ(entries.size(), 3u);
  for (int64_t i = 0; i < 3; ++i) {
    DocumentEntry expected = entry_of(i + 1);
    expected.end = (i + 2) * 1000;
    EXPECT_EQ(entries[static_cast<size_t>(i)], expected);
  }
}

TEST(TokenShard, NamesTheTokenizersModeAndUnicode) {
  const tests::TemporaryDirectory directory;
  ShardIdentity identity = identity_of(257);
  identity.unicode_version = "15.0";
  identity.tokenizer_mode = "merges";
  TokenShardWriter writer(runtime::real_files(), directory / "a.h5", identity);
  writer.append(random_ids(10, 257));
  writer.finish();
  const TokenShard shard(runtime::real_files(), directory / "a.h5", {});
  EXPECT_EQ(shard.identity().unicode_version, "15.0");
  EXPECT_EQ(shard.identity().tokenizer_mode, "merges");
}

TEST(TokenShard, ADocumentMayEndInALaterShard) {
  const tests::TemporaryDirectory directory;
  TokenShardWriter writer(runtime::real_files(), directory / "a.h5", identity_of(257));
  writer.append(random_ids(10, 257));
  EXPECT_EQ(writer.finish().documents, 0);
  EXPECT_EQ(read_shard(directory / "a.h5"), random_ids(10, 257));
}

TEST(TokenShard, AnotherTokenizerIsRefused) {
  const tests::TemporaryDirectory directory;
  write_shard(directory / "a.h5", random_ids(100, 257), 257);
  expect_contains(refusal(directory / "a.h5", std::string(64, 'b')), {"another tokenizer", "aaaa", "bbbb"});
}

TEST(TokenShard, AFlippedTokenIsFoundInItsBlockAlone) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "a.h5";
  const int64_t block_tokens = kShardBlockBytes / 2;
  write_shard(path, random_ids(static_cast<size_t>(block_tokens + 100), 257), 257);
  const int64_t tokens_at = runtime::H5Reader(runtime::real_files(), path).dataset("/tokens").offset_bytes;
  std::string bytes = read_file(path);
  bytes[static_cast<size_t>(tokens_at + kShardBlockBytes + 7)] ^= 1;
  write_file(path, bytes);
  const TokenShard shard(runtime::real_files(), path, {});
  std::vector<int32_t> ids(50);
  shard.read(block_tokens - 50, ids);
  expect_contains(error_of(ErrorKind::data, [&] { shard.read(block_tokens - 49, ids); }), {path, "block 1", "damaged"});
}

TEST(TokenShard, DocumentTableAndHashesAreCheckedAtOpening) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "a.h5";
  write_shard(path, random_ids(3000, 257), 257);
  const std::string bytes = read_file(path);
  for (const std::string dataset : {"/doc_ends", "/doc_hash", "/doc_source", "/doc_row", "/block_xxh3"}) {
    std::string damaged = bytes;
    write_file(path, bytes);
    damaged[static_cast<size_t>(runtime::H5Reader(runtime::real_files(), path).dataset(dataset).offset_bytes + 3)] ^= 1;
    write_file(path, damaged);
    expect_contains(error_of(ErrorKind::data, [&] { TokenShard(runtime::real_files(), path, {}); }),
                    {path, "damaged", "prepare the data again"});
  }
}

TEST(TokenShard, AShortenedFileIsRefusedAtAnyLength) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "a.h5";
  write_shard(path, random_ids(2000, 257), 257);
  const std::string bytes = read_file(path);
  for (size_t length = 0; length < bytes.size(); length += 61) {
    write_file(path, bytes.substr(0, length));
    refusal(path);
  }
  write_file(path, bytes.substr(0, bytes.size() - 1));
  refusal(path);
}

/// Flips a bit in every third byte of the shard in turn: the number of flips that were refused, or -1 when one gave
/// other tokens or a message without the file's name.
int64_t refused_flips(const std::string& path, const std::vector<int32_t>& ids) {
  const std::string bytes = read_file(path);
  int64_t refused = 0;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    std::string damaged = bytes;
    damaged[at] ^= 0x10;
    write_file(path, damaged);
    try {
      if (read_shard(path) != ids) return -1;
    } catch (const Error& error) {
      if (std::string(error.what()).find(path) == std::string::npos) return -1;
      ++refused;
    }
  }
  return refused;
}

TEST(TokenShard, AFlippedByteAnywhereIsRefusedOrWithoutEffect) {
  // Some bytes of a file mean nothing (padding, free space); no flip may change a single token. At least all flips in
  // tokens are refused. In a process of its own that ends without a look for leaks: HDF5 1.10 loses the memory of an
  // object header that it cannot decode.
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "a.h5";
  const std::vector<int32_t> ids = random_ids(300, 257);
  write_shard(path, ids, 257);
  EXPECT_EXIT(std::_Exit(refused_flips(path, ids) >= static_cast<int64_t>(ids.size()) * 2 / 3 ? 0 : 1),
              testing::ExitedWithCode(0), "");
}

/// What a shard written by hand says; three tokens, of which the largest is 300.
struct HandWritten {
  std::string format = kShardFormat;
  int64_t major = kShardVersionMajor;
  std::string byte_order = kShardByteOrder;  ///< "": no such attribute
  int64_t vocabulary_size = 301;
  std::vector<int64_t> document_ends = {};  ///< no other columns are written
};

void write_by_hand(const std::string& path, const HandWritten& shard) {
  runtime::H5Writer writer(runtime::real_files(), path);
  const std::vector<uint16_t> ids = {1, 2, 300};
  const auto tokens = writer.create("/tokens", runtime::DType::u16, std::vector<int64_t>{3});
  writer.write(tokens, 0, runtime::view_of(std::span<const uint16_t>(ids), {3}));
  std::array<std::byte, 16> hash;
  store_hash(runtime::xxh3_128(std::as_bytes(std::span(ids))), hash);
  const auto hashes = writer.create("/block_xxh3", runtime::DType::u8, std::vector<int64_t>{1, 16});
  writer.write(hashes, 0, {{hash.data(), runtime::DType::u8, {1, 16}}});
  const auto documents = std::ssize(shard.document_ends);
  if (documents > 0) {
    const auto ends = writer.create("/doc_ends", runtime::DType::i64, std::vector<int64_t>{documents});
    writer.write(ends, 0, {{shard.document_ends.data(), runtime::DType::i64, {documents}}});
  }
  const ShardIdentity identity{
      .vocabulary_size = shard.vocabulary_size, .end_of_text = 0, .tokenizer_digest = "t", .split = "train"};
  const ShardContent content{.tokens = 3, .documents = documents, .max_id = 300};
  ContentDigest digest(identity, content);
  digest.update(std::as_bytes(std::span(shard.document_ends)));
  digest.update(hash);
  const auto number = [&writer](const std::string& name, int64_t value) {
    writer.attribute("/", name, std::span<const int64_t>(&value, 1));
  };
  writer.attribute("/", "format", shard.format);
  if (!shard.byte_order.empty()) writer.attribute("/", "byte_order", shard.byte_order);
  writer.attribute("/", "split", identity.split);
  writer.attribute("/", "tokenizer_digest", identity.tokenizer_digest);
  writer.attribute("/", "content_digest", digest.finish());
  number("version_major", shard.major);
  number("version_minor", 7);
  number("vocabulary_size", shard.vocabulary_size);
  number("end_of_text", 0);
  number("tokens", 3);
  number("documents", documents);
  number("max_id", 300);
  writer.finish();
}

TEST(TokenShard, KnowsItsFormatAndVersion) {
  const tests::TemporaryDirectory directory;
  write_by_hand(directory / "good.h5", {});
  EXPECT_EQ(read_shard(directory / "good.h5"), (std::vector<int32_t>{1, 2, 300})) << "a newer minor version is read";
  write_by_hand(directory / "format.h5", {.format = "someone-elses"});
  expect_contains(refusal(directory / "format.h5"), {"not a token shard"});
  write_by_hand(directory / "old.h5", {.major = 1});
  expect_contains(refusal(directory / "old.h5"), {"version 1.7", "version 2", "prepare the data again"});
  write_by_hand(directory / "new.h5", {.major = 3});
  expect_contains(refusal(directory / "new.h5"), {"version 3.7", "version 2"});
  write_by_hand(directory / "big.h5", {.byte_order = "big"});
  expect_contains(refusal(directory / "big.h5"), {"byte_order", "'big'", "little", "prepare the data again"});
  write_by_hand(directory / "no_order.h5", {.byte_order = ""});
  expect_contains(refusal(directory / "no_order.h5"), {"byte_order", "''"});
  write_by_hand(directory / "ids.h5", {.vocabulary_size = 300});
  expect_contains(refusal(directory / "ids.h5"), {"token id 300", "vocabulary of 300"});
  write_file(directory / "text.h5", "not HDF5 at all");
  refusal(directory / "text.h5");
}

TEST(TokenShard, ImpossibleDocumentsAreRefused) {
  const tests::TemporaryDirectory directory;
  write_by_hand(directory / "columns.h5", {.document_ends = {1, 3}});
  expect_contains(refusal(directory / "columns.h5"), {"/doc_hash"});
  write_by_hand(directory / "backwards.h5", {.document_ends = {2, 1}});
  expect_contains(refusal(directory / "backwards.h5"), {"ends at token 1", "prepare the data again"});
  write_by_hand(directory / "empty.h5", {.document_ends = {0}});
  expect_contains(refusal(directory / "empty.h5"), {"ends at token 0"});
  write_by_hand(directory / "behind.h5", {.document_ends = {2, 4}});
  expect_contains(refusal(directory / "behind.h5"), {"ends at token 4"});
}

TEST(TokenShardWriter, GoesOnFromWhatWasSynced) {
  const tests::TemporaryDirectory directory;
  const std::vector<int32_t> ids = random_ids(300000, 257);
  const auto write_part = [&](TokenShardWriter& writer, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 1000) {
      writer.append(std::span(ids).subspan(static_cast<size_t>(i), 1000));
      writer.end_document(entry_of(i / 1000));
    }
  };
  write_shard(directory / "whole.h5", ids, 257);
  const std::string path = directory / "a.h5";
  UnfinishedShard state;
  {
    TokenShardWriter writer(runtime::real_files(), path, identity_of(257));
    write_part(writer, 0, 100000);
    state = writer.sync();
    write_part(writer, 0, 200000);  // lost: something else
  }
  const auto damage = [&] {
    return TokenShardWriter::damage(runtime::real_files(), path, identity_of(257), state).value_or("none");
  };
  EXPECT_EQ(damage(), "none");
  TokenShardWriter writer(runtime::real_files(), path, identity_of(257), state);
  write_part(writer, 100000, 300000);
  writer.finish();
  EXPECT_TRUE(read_file(path) == read_file(directory / "whole.h5"));

  EXPECT_EQ(damage(), "none");  // what lies behind the marks does not matter

  flip_byte(path + ".spool", 199999);
  EXPECT_EQ(damage(), path + ".spool does not match its hash");
  const std::string refused = error_of(runtime::ErrorKind::data,
                                       [&] { TokenShardWriter(runtime::real_files(), path, identity_of(257), state); });
  expect_contains(refused, {path + ".spool", "run the same command again"});
  flip_byte(path + ".spool", 199999);
  EXPECT_EQ(damage(), "none");
  std::filesystem::resize_file(path + ".documents", 1000);
  EXPECT_EQ(damage(), path + ".documents is cut short");
  TokenShardWriter::remove_spools(runtime::real_files(), path);
  EXPECT_EQ(damage(), path + ".spool is missing");
}

TEST(TokenShardWriter, NoShardIsMadeOfASpoolThatChanged) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "a.h5";
  for (const std::string spool : {".spool", ".documents"}) {
    TokenShardWriter writer(runtime::real_files(), path, identity_of(257));
    writer.append(random_ids(1000, 257));
    writer.end_document(entry_of(0));
    writer.sync();
    flip_byte(path + spool, 10);
    expect_contains(error_of(runtime::ErrorKind::io, [&] { writer.finish(); }), {path + spool, "check the disk"});
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST(TokenShardWriter, RefusesIdsOutsideTheVocabulary) {
  const tests::TemporaryDirectory directory;
  TokenShardWriter writer(runtime::real_files(), directory / "a.h5", identity_of(257));
  for (const int32_t id : {-1, 257}) {
    error_of(ErrorKind::internal, [&] { writer.append(std::vector<int32_t>{id}); });
  }
}

TEST(TokenShardWriter, AFullDiskIsAnErrorAndNoShard) {
  const tests::TemporaryDirectory directory;
  const std::vector<int32_t> ids = random_ids(100000, 257);  // 200,000 bytes
  // The first limit stops the spool; the second lets it pass and stops the shard, which has a header besides.
  for (const rlim_t limit : {rlim_t{100000}, rlim_t{200000}}) {
    const tests::FileSizeLimit disk(limit);
    expect_contains(error_of(ErrorKind::io, [&] { write_shard(directory / "a.h5", ids, 257); }), {directory / "a.h5"});
    EXPECT_FALSE(std::filesystem::exists(directory / "a.h5"));
  }
  write_shard(directory / "a.h5", ids, 257);  // debris is no hindrance
  EXPECT_EQ(read_shard(directory / "a.h5"), ids);
}

}  // namespace
}  // namespace trireme::data
