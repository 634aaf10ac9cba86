#include "data/token_dataset.h"

#include <algorithm>
#include <iterator>

#include "data/dataset_manifest.h"
#include "runtime/h5.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

std::string refusal(ErrorKind kind, const std::string& dataset) {
  return error_of(kind, [&] { TokenDataset(runtime::real_files(), dataset, "train"); });
}

TEST(TokenDataset, AnyRangeAcrossShardsIsTheText) {
  const tests::TemporaryDirectory directory;
  const std::string text = numbered_text(300);
  const TokenDataset dataset(runtime::real_files(), prepare_text(directory, text, 64), "train");
  ASSERT_EQ(dataset.tokens(), 301);
  for (int64_t begin = 0; begin <= 301; begin += 13) {
    for (int64_t count = 0; begin + count <= 301; count += 37) {
      std::vector<int32_t> ids(static_cast<size_t>(count));
      dataset.read(begin, ids);
      for (size_t i = 0; i < ids.size(); ++i) {
        const size_t at = static_cast<size_t>(begin) + i;
        ASSERT_EQ(ids[i], at == 300 ? 256 : static_cast<unsigned char>(text[at]));
      }
    }
  }
  std::vector<int32_t> ids(2);
  EXPECT_THROW(dataset.read(300, ids), runtime::Error);
  EXPECT_THROW(dataset.read(-1, ids), runtime::Error);
}

TEST(TokenDataset, KnowsTokenizerAndWindows) {
  const tests::TemporaryDirectory directory;
  const TokenDataset dataset(runtime::real_files(), prepare_text(directory, numbered_text(300)), "train");
  EXPECT_EQ(dataset.vocabulary_size(), 257);
  EXPECT_EQ(dataset.end_of_text(), 256);
  EXPECT_EQ(tokenizer_digest(dataset.tokenizer_description()), ByteTokenizer().digest());
  EXPECT_EQ(dataset.windows(300), 1);
  EXPECT_EQ(dataset.windows(301), 0);
  EXPECT_EQ(dataset.windows(150), 2);
}

TEST(TokenDataset, DigestIsOfTheContent) {
  const auto digest = [](const std::string& text) {
    const tests::TemporaryDirectory directory;
    return TokenDataset(runtime::real_files(), prepare_text(directory, text), "train").digest();
  };
  EXPECT_EQ(digest("some text"), digest("some text")) << "not of the place or the time";
  EXPECT_NE(digest("some text"), digest("some texT"));
}

TEST(TokenDataset, KnowsTheDocumentsOfAnyRange) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "first|" + numbered_text(200) + "||third");
  write_file(directory / "b.jsonl", "{\"text\": \"a row\"}\n\n{\"text\": \"\"}\n{\"text\": \"another\"}\n");
  const std::vector<std::string> texts = {"first", numbered_text(200), "third", "a row", "another"};
  const std::vector<int64_t> rows = {1, 2, 4, 1, 4};
  for (const int64_t shard_tokens : {3, 10, 60, 500}) {  // shards without an end, with one, with all
    const std::string output = directory / std::to_string(shard_tokens);
    prepare(runtime::real_files(), ByteTokenizer(),
            {.inputs = {directory / "a.txt", directory / "b.jsonl"},
             .output = output,
             .validation_fraction = 0,
             .text = {.separator = "|"},
             .shard_tokens = shard_tokens});
    const TokenDataset dataset(runtime::real_files(), output, "train");
    std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens()));
    dataset.read(0, ids);
    const std::vector<DocumentSpan> all = dataset.documents(0, dataset.tokens());
    ASSERT_EQ(all.size(), texts.size());
    int64_t begin = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].begin, begin);
      EXPECT_EQ(all[i].end, begin + std::ssize(texts[i]) + 1);
      EXPECT_EQ(all[i].file, directory / (i < 3 ? "a.txt" : "b.jsonl"));
      EXPECT_EQ(all[i].row, rows[i]);
      EXPECT_EQ(all[i].hash, runtime::xxh3_128(std::as_bytes(std::span(texts[i]))));
      begin = all[i].end;
    }
    for (int64_t from = 0; from < dataset.tokens(); from += 3) {
      for (int64_t to = from + 1; to <= dataset.tokens(); to += 7) {
        const std::vector<DocumentSpan> some = dataset.documents(from, to);
        std::vector<DocumentSpan> expected;
        std::ranges::copy_if(all, std::back_inserter(expected),
                             [&](const DocumentSpan& span) { return span.begin < to && span.end > from; });
        ASSERT_EQ(some.size(), expected.size()) << from << ", " << to;
        EXPECT_EQ(some.front().begin, expected.front().begin);
        EXPECT_EQ(some.back().row, expected.back().row);
      }
    }
    EXPECT_TRUE(dataset.documents(5, 5).empty());
    EXPECT_THROW(dataset.documents(0, dataset.tokens() + 1), runtime::Error);
  }
}

TEST(TokenDataset, ASourceThatTheManifestDoesNotListIsNamed) {
  const tests::TemporaryDirectory directory;
  const std::string path = prepare_text(directory, "some text");
  DatasetManifest manifest = read_manifest(runtime::real_files(), path);
  manifest.sources.clear();
  write_manifest(runtime::real_files(), path, manifest);
  const TokenDataset dataset(runtime::real_files(), path, "train");
  expect_contains(error_of(ErrorKind::data, [&] { dataset.documents(0, 1); }), {path, "number 0", "dataset.json"});
}

TEST(TokenDataset, ADamagedTokenIsFoundAtOnceWhenAskedFor) {
  const tests::TemporaryDirectory directory;
  const std::string path = prepare_text(directory, numbered_text(300), 100);
  const std::string shard = path + "/train-00001.h5";
  const int64_t tokens_at = runtime::H5Reader(runtime::real_files(), shard).dataset("/tokens").offset_bytes;
  std::string bytes = read_file(shard);
  bytes[static_cast<size_t>(tokens_at + 20)] ^= 1;
  write_file(shard, bytes);
  const TokenDataset dataset(runtime::real_files(), path, "train");  // the tables are good
  const tests::TemporaryDirectory other;
  std::vector<int64_t> progress;
  expect_contains(
      error_of(ErrorKind::data, [&] { dataset.check_all([&](int64_t tokens) { progress.push_back(tokens); }); }),
      {shard, "block 0", "damaged"});
  EXPECT_EQ(progress, std::vector<int64_t>{100});
  EXPECT_NO_THROW(TokenDataset(runtime::real_files(), prepare_text(other, "text"), "train").check_all());
}

TEST(TokenDataset, ADirectoryThatIsNoDatasetIsNamedWithTheMend) {
  const tests::TemporaryDirectory directory;
  expect_contains(refusal(ErrorKind::usage, directory / "nowhere"), {directory / "nowhere", "trireme prepare"});
  expect_contains(refusal(ErrorKind::usage, directory.path()), {directory.path(), "dataset.json", "trireme prepare"});
}

TEST(TokenDataset, CountsThatDisagreeAreDamage) {
  const tests::TemporaryDirectory directory;
  const std::string path = prepare_text(directory, numbered_text(300));
  DatasetManifest manifest = read_manifest(runtime::real_files(), path);
  manifest.splits.at("train").tokens -= 1;
  write_manifest(runtime::real_files(), path, manifest);
  expect_contains(error_of(runtime::ErrorKind::data, [&] { TokenDataset(runtime::real_files(), path, "train"); }),
                  {"dataset.json is damaged", "300", "301", "prepare again"});
}

TEST(TokenDataset, AMissingShardIsNamed) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, numbered_text(300), 100);
  std::filesystem::remove(dataset + "/train-00001.h5");
  expect_contains(refusal(ErrorKind::data, dataset), {dataset + "/train-00001.h5", "missing"});
}

TEST(TokenDataset, AShardOfAnotherDatasetIsNamed) {
  const tests::TemporaryDirectory directory;
  const tests::TemporaryDirectory other;
  const std::string dataset = prepare_text(directory, "some text");
  std::filesystem::copy_file(prepare_text(other, "some texT") + "/train-00000.h5", dataset + "/train-00000.h5",
                             std::filesystem::copy_options::overwrite_existing);
  expect_contains(refusal(ErrorKind::data, dataset), {dataset + "/train-00000.h5", "not the shard"});
}

TEST(TokenDataset, AnotherTokenizerInTheManifestIsNoticed) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "some text");
  DatasetManifest manifest = read_manifest(runtime::real_files(), dataset);
  manifest.tokenizer["kind"] = "runes";
  write_manifest(runtime::real_files(), dataset, manifest);
  expect_contains(refusal(ErrorKind::data, dataset), {"dataset.json", "another tokenizer"});
}

TEST(DatasetManifest, SurvivesTheRoundTrip) {
  const tests::TemporaryDirectory directory;
  DatasetManifest manifest =
      read_manifest(runtime::real_files(), prepare_text(directory, numbered_text(300), 100, 0.1));
  manifest.document_separator = "\n\"\u00e9\n";
  manifest.validation_fraction = 0.1 + 1e-16;
  manifest.sources = {"a \"b\"", "\u00e9.jsonl.zst"};
  manifest.cleaning = {.invalid_utf8 = InvalidUtf8::refuse, .remove_controls = true, .normal_form = NormalForm::nfkc};
  manifest.unicode_version = "15.0";
  manifest.fates = {.kept = 1, .empty = 2, .duplicate = 3, .repaired = 4, .repairs = 5, .changed = 6};
  write_manifest(runtime::real_files(), directory.path(), manifest);
  EXPECT_TRUE(read_manifest(runtime::real_files(), directory.path()) == manifest);
}

TEST(DatasetManifest, DamageAndOtherVersionsAreNamed) {
  const tests::TemporaryDirectory directory;
  const std::string path = prepare_text(directory, "some text") + "/dataset.json";
  const std::string good = read_file(path);
  const auto replaced = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), std::string("[]"), replaced("\"bytes\"", "\"bites\""),
        replaced("\"tokens\":", "\"tokens\":\"x\",\"t\":")}) {
    write_file(path, bad);
    expect_contains(refusal(ErrorKind::data, directory / "dataset"), {path, "damaged", "prepare again"});
  }
  write_file(path, replaced("\"version\":[2", "\"version\":[1"));
  expect_contains(refusal(ErrorKind::data, directory / "dataset"), {path, "version 1", "prepare the data again"});
  write_file(path, replaced("trireme-dataset", "other-dataset"));
  expect_contains(refusal(ErrorKind::data, directory / "dataset"), {path, "trireme-dataset"});
}

}  // namespace
}  // namespace trireme::data
