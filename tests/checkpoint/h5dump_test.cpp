// Shards and merged files in the eyes of HDF5's own tools: the values that were saved, those of bf16 too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "checkpoint/load.h"
#include "checkpoint/merge.h"
#include "tests/checkpoint/mixed_sample.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::real_files;
using tests::MixedSample;

bool runs(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

#define SKIP_WITHOUT_H5DUMP()                                                                    \
  if (!runs("h5dump --version")) {                                                               \
    GTEST_SKIP() << "SKIPPED: there is no h5dump to read files with; its package is hdf5-tools"; \
  }

/// What h5dump writes of a dataset, in words ("%.9g") or with `-b LE` in bytes.
std::string dumped(const std::string& file, const std::string& dataset, const std::string& how) {
  const std::string output = file + ".dumped";
  EXPECT_TRUE(runs("h5dump -y " + how + " -o '" + output + "' -d '" + dataset + "' '" + file + "'")) << dataset;
  return read_text(real_files(), output);
}

std::vector<float> dumped_values(const std::string& file, const std::string& dataset) {
  std::string text = dumped(file, dataset, "-m %.9g");
  for (char& letter : text) letter = letter == ',' ? ' ' : letter;
  std::istringstream words(text);
  std::vector<float> values;
  for (float value; words >> value;) values.push_back(value);
  return values;
}

/// Elements [begin, begin + count) of a tensor of MixedSample whose values can be written in words.
void expect_values(const std::vector<float>& found, size_t begin, size_t count, const std::string& title) {
  ASSERT_EQ(found.size(), count) << title;
  for (size_t i = 0; i < count; ++i) EXPECT_EQ(found[i], MixedSample::value(begin + i)) << title << " element " << i;
}

bool is_in_words(const std::string& name, const std::string& kind) {
  return kind == "parameter" && name != "e.wide";
}

TEST(H5dump, ReadsEveryShard) {
  SKIP_WITHOUT_H5DUMP();
  const tests::TemporaryDirectory directory;
  const MixedSample sample(directory.path());
  const Manifest manifest = read_manifest(real_files(), sample.step_directory);
  for (const StoredSlice& slice : manifest.slices) {
    const std::string file = sample.step_directory + "/" + slice.file;
    const StoredTensor* tensor = manifest.find(slice.tensor, slice.kind);
    const int64_t row = parallel::whole(tensor->global_shape).elements() / tensor->global_shape[0];
    const auto begin = static_cast<size_t>(slice.box.start[0] * row);  // the sample is cut by rows
    const auto count = static_cast<size_t>(slice.box.elements());
    const auto element_bytes = static_cast<size_t>(size_bytes(tensor->dtype));
    EXPECT_TRUE(
        dumped(file, slice.dataset, "-b FILE") ==
        sample.elements.at(slice.kind + "/" + slice.tensor).substr(begin * element_bytes, count * element_bytes))
        << slice.dataset;
    if (is_in_words(slice.tensor, slice.kind)) {
      expect_values(dumped_values(file, slice.dataset), begin, count, slice.dataset);
    }
  }
}

TEST(H5dump, ReadsWhatWasMerged) {
  SKIP_WITHOUT_H5DUMP();
  const tests::TemporaryDirectory directory;
  const MixedSample sample(directory.path());
  const std::string file = directory / "merged.h5";
  merge(real_files(), {.step_directory = sample.step_directory, .output = file, .with_optimizer = true});
  for (const StoredTensor& tensor : read_manifest(real_files(), sample.step_directory).tensors) {
    const std::string path = "/" + tensor.kind + "/" + tensor.name;
    const std::string& elements = sample.elements.at(tensor.kind + "/" + tensor.name);
    EXPECT_TRUE(dumped(file, path, "-b FILE") == elements) << path;
    const auto count = elements.size() / static_cast<size_t>(size_bytes(tensor.dtype));
    if (is_in_words(tensor.name, tensor.kind)) expect_values(dumped_values(file, path), 0, count, path);
  }
}

}  // namespace
}  // namespace trireme::checkpoint
