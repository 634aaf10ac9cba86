// One file of whole tensors: right elements from any cut, whole or not there at all, nothing of anybody's replaced.
#include "checkpoint/merge.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstring>

#include "checkpoint/load.h"
#include "runtime/error.h"
#include "runtime/h5.h"
#include "tests/checkpoint/mixed_sample.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::save_sample;
using Names = std::vector<std::string>;

/// What save_sample(seed 7) stores, read from a step of one rank, by (kind, name).
struct Sample {
  explicit Sample(const std::string& directory) : step(step_directory(directory, 1)) {
    save_sample(directory, 1, 7, Cut::flat, 1);
    manifest = read_manifest(real_files(), step);
  }
  std::string elements(const StoredTensor& tensor) const {
    const std::vector<std::byte> bytes = read_tensor(real_files(), step, manifest, tensor);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string step;
  Manifest manifest;
};

struct Safetensors {
  explicit Safetensors(const std::string& path) {
    const std::string text = read_text(real_files(), path);
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, text.data(), sizeof header_bytes);
    header = boost::json::parse(text.substr(8, header_bytes)).as_object();
    data = text.substr(8 + header_bytes);
    EXPECT_EQ((8 + header_bytes) % 8, 0u);
    EXPECT_EQ(text[8], '{');
  }
  std::string elements(const std::string& name) const {
    const auto& offsets = header.at(name).at("data_offsets").as_array();
    const auto begin = static_cast<size_t>(offsets[0].as_int64());
    return data.substr(begin, static_cast<size_t>(offsets[1].as_int64()) - begin);
  }
  boost::json::object header;
  std::string data;
};

std::string error_of(const MergeRequest& request, ErrorKind kind) {
  try {
    merge(real_files(), request);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Merge, SafetensorsHoldWholeTensorsOfAnyCut) {
  const tests::TemporaryDirectory directory;
  const Sample sample(directory / "sample");
  for (const Cut cut : {Cut::rows, Cut::columns, Cut::flat, Cut::owners}) {
    const std::string checkpoints = directory / ("cut" + std::to_string(static_cast<int>(cut)));
    save_sample(checkpoints, 1, 7, cut, 3);
    const std::string output = directory / "all.safetensors";
    const Merged merged =
        merge(real_files(), {.step_directory = step_directory(checkpoints, 1), .output = output, .overwrite = true});
    EXPECT_EQ(merged.tensors, 4);
    const Safetensors file(output);
    EXPECT_EQ(file.header.size(), 5u);  // and the metadata
    EXPECT_EQ(merged.bytes, std::ssize(file.data));
    EXPECT_EQ(file.header.at("__metadata__").at("step"), "1");
    EXPECT_EQ(file.header.at("h.1.cube").at("shape"), boost::json::value({3, 4, 5}));
    EXPECT_EQ(file.header.at("h.1.cube").at("dtype"), "F32");
    for (const StoredTensor& tensor : sample.manifest.tensors) {
      if (tensor.kind != "parameter") continue;
      EXPECT_TRUE(file.elements(tensor.name) == sample.elements(tensor)) << tensor.name;
    }
  }
}

TEST(Merge, Hdf5HoldsThemContiguousAndTheOptimizerWhereAsked) {
  const tests::TemporaryDirectory directory;
  const Sample sample(directory / "sample");
  save_sample(directory.path(), 1, 7, Cut::columns, 3);
  const std::string output = directory / "all.h5";
  const Merged merged = merge(real_files(), {.step_directory = step_directory(directory.path(), 1),
                                             .output = output,
                                             .tensors = {"h.*", "wte.*"},
                                             .with_optimizer = true});
  EXPECT_EQ(merged.tensors, 12);
  const std::string text = read_text(real_files(), output);
  runtime::H5Reader reader(real_files(), output);
  EXPECT_EQ(reader.text_attribute("/", "format"), "trireme-merged 1.0");
  EXPECT_EQ(reader.integer_attribute("/", "step"), std::vector<int64_t>{1});
  for (const StoredTensor& tensor : sample.manifest.tensors) {
    const runtime::H5Dataset dataset = reader.dataset("/" + tensor.kind + "/" + tensor.name);
    EXPECT_EQ(dataset.shape, tensor.global_shape);
    const std::string expected = sample.elements(tensor);
    EXPECT_TRUE(text.substr(static_cast<size_t>(dataset.offset_bytes), expected.size()) == expected) << dataset.path;
  }
  merge(real_files(), {.step_directory = step_directory(directory.path(), 1),
                       .output = directory / "two.safetensors",
                       .tensors = {"wte.*"},
                       .with_optimizer = true});
  const Safetensors file(directory / "two.safetensors");
  EXPECT_EQ(file.header.size(), 4u);
  EXPECT_TRUE(file.header.contains("exp_avg_sq/wte.weight"));
}

TEST(Merge, LargerElementsComeFirstSoThatAllAreAligned) {
  const tests::TemporaryDirectory directory;
  const tests::MixedSample sample(directory.path());
  merge(real_files(), {.step_directory = sample.step_directory, .output = directory / "mixed.safetensors"});
  const Safetensors file(directory / "mixed.safetensors");
  EXPECT_EQ(file.header.at("a.bf16").at("dtype"), "BF16");
  int64_t end = 0;
  for (const char* name : {"b.fp32", "c.fp32", "e.wide", "a.bf16", "d.bf16"}) {
    const auto& offsets = file.header.at(name).at("data_offsets").as_array();
    EXPECT_EQ(offsets[0].as_int64(), end) << name;
    end = offsets[1].as_int64();
  }
  EXPECT_EQ(end, std::ssize(file.data));
}

TEST(Merge, RefusesWhatIsThereAndWhatItDoesNotKnow) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  const std::string step = step_directory(directory.path(), 1);
  MergeRequest request{.step_directory = step, .output = directory / "out.bin"};
  EXPECT_EQ(error_of(request, ErrorKind::usage),
            "--output " + request.output + " names no known format: end it with .h5 or .safetensors");
  request.output = directory / "nowhere/out.h5";
  EXPECT_NE(error_of(request, ErrorKind::usage).find("there is no directory"), std::string::npos);
  request.output = directory / "out.h5";
  request.tensors = {"wte.*", "w"};
  EXPECT_EQ(error_of(request, ErrorKind::usage), "--tensors 'w' matches no tensor of " + step);
  request.tensors = {"*"};
  write_text_atomically(real_files(), request.output, "mine");
  EXPECT_NE(error_of(request, ErrorKind::usage).find("is there already"), std::string::npos);
  EXPECT_EQ(read_text(real_files(), request.output), "mine");
  request.overwrite = true;
  EXPECT_EQ(merge(real_files(), request).tensors, 4);
  real_files().create(request.output + ".tmp");
  EXPECT_NE(error_of(request, ErrorKind::usage).find(".tmp first, and that is there"), std::string::npos);
  real_files().make_directory(directory / "folder.h5");
  request.output = directory / "folder.h5";
  EXPECT_NE(error_of(request, ErrorKind::usage).find("is no file"), std::string::npos);
}

TEST(Merge, OfDamagedBytesLeavesNoFile) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1, Cut::rows, 2);
  const std::string step = step_directory(directory.path(), 1);
  const Manifest manifest = read_manifest(real_files(), step);
  const StoredSlice& slice = manifest.slices.back();
  tests::flip_bit(step + "/" + slice.file, slice.offset_bytes * 8 + 3);
  for (const char* name : {"out.h5", "out.safetensors"}) {
    const MergeRequest request{.step_directory = step, .output = directory / name, .with_optimizer = true};
    const std::string message = error_of(request, ErrorKind::data);
    EXPECT_NE(message.find(slice.file + ": " + tensor_title(slice.tensor, slice.kind)), std::string::npos) << message;
  }
  EXPECT_EQ(tests::entries(directory.path()), Names{"step-000000001"});
}

// Whatever access fails, the name holds what it held before or the whole new file.
TEST(Merge, IsAtomic) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1, Cut::rows, 2);
  for (const char* name : {"out.h5", "out.safetensors"}) {
    MergeRequest request{.step_directory = step_directory(directory.path(), 1), .output = directory / name};
    merge(real_files(), request);
    const std::string whole = read_text(real_files(), request.output);
    request.overwrite = true;
    int64_t failures = 0;
    for (bool failed = true; failed; ++failures) {
      write_text_atomically(real_files(), request.output, "before");
      tests::FailingFiles files({.call = failures});
      failed = false;
      try {
        merge(files, request);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::io) << error.what();
        failed = true;
      }
      const std::string found = read_text(real_files(), request.output);
      EXPECT_TRUE(found == whole || (failed && found == "before")) << name << ", access " << failures;
      EXPECT_FALSE(real_files().exists(request.output + ".tmp")) << name << ", access " << failures;
    }
    EXPECT_GT(failures, 10);
  }
}

/// Somebody else is faster: this path is there just before this process creates its temporary file.
class OvertakenFiles : public tests::FailingFiles {
 public:
  explicit OvertakenFiles(std::string path) : path_(std::move(path)) {}
  std::unique_ptr<runtime::File> create(const std::string& path) override {
    real_files().create(path_)->append(std::as_bytes(std::span("theirs", 6)));
    return FailingFiles::create(path);
  }

 private:
  std::string path_;
};

TEST(Merge, TakesNothingFromOneThatWasFaster) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1, Cut::rows, 2);
  for (const char* name : {"out.h5", "out.safetensors"}) {
    MergeRequest request{.step_directory = step_directory(directory.path(), 1), .output = directory / name};
    for (const std::string& theirs : {request.output + ".tmp", request.output}) {
      OvertakenFiles files(theirs);
      EXPECT_THROW(merge(files, request), Error) << theirs;
      EXPECT_EQ(read_text(real_files(), theirs), "theirs");
      real_files().remove_all(theirs);
      EXPECT_EQ(tests::entries(directory.path()), Names{"step-000000001"});
    }
    request.overwrite = true;
    OvertakenFiles files(request.output);
    merge(files, request);
    EXPECT_NE(read_text(real_files(), request.output), "theirs");
    real_files().remove_all(request.output);
  }
}

}  // namespace
}  // namespace trireme::checkpoint
