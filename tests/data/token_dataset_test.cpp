#include "data/token_dataset.h"

#include "data/dataset_manifest.h"
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
  EXPECT_EQ(make_tokenizer(dataset.tokenizer_description())->digest(), ByteTokenizer().digest());
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

TEST(TokenDataset, ADirectoryThatIsNoDatasetIsNamedWithTheMend) {
  const tests::TemporaryDirectory directory;
  expect_contains(refusal(ErrorKind::usage, directory / "nowhere"), {directory / "nowhere", "trireme prepare"});
  expect_contains(refusal(ErrorKind::usage, directory.path()), {directory.path(), "dataset.json", "trireme prepare"});
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
  write_file(path, replaced("\"version\":[1", "\"version\":[2"));
  expect_contains(refusal(ErrorKind::data, directory / "dataset"), {path, "version 2"});
  write_file(path, replaced("trireme-dataset", "other-dataset"));
  expect_contains(refusal(ErrorKind::data, directory / "dataset"), {path, "trireme-dataset"});
}

}  // namespace
}  // namespace trireme::data
