#include "runtime/h5.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/failing_files.h"
#include "tests/file_size_limit.h"
#include "tests/memory_files.h"
#include "tests/temporary_directory.h"

namespace trireme::runtime {
namespace {

constexpr std::array<int64_t, 3> kShape = {3, 4, 5};

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

void write_sample(const std::string& path, Files& files = real_files()) {
  std::vector<float> values = counting(60);
  std::vector<int64_t> ids = {7, -8};
  H5Writer writer(files, path);
  const H5Dataset tensor = writer.create("/model/h.0/weight", DType::fp32, kShape);
  const H5Dataset list = writer.create("/model/ids", DType::i64, std::array<int64_t, 1>{2});
  writer.write(tensor, 0, view_of(std::span(values), {60}));
  writer.write(list, 0, view_of(std::span(ids), {2}));
  writer.attribute("/", "format", "sample");
  writer.attribute("/model/h.0/weight", "box_start", std::array<int64_t, 2>{3, 9});
  writer.finish();
}

TEST(H5, DataLiesAtTheRecordedOffset) {
  const tests::TemporaryDirectory directory;
  write_sample(directory / "a.h5");
  H5Reader reader(real_files(), directory / "a.h5");
  const H5Dataset tensor = reader.dataset("/model/h.0/weight");
  EXPECT_EQ(tensor.dtype, DType::fp32);
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(tensor.offset_bytes % 64, 0) << "a mapped dataset must be aligned";
  EXPECT_EQ(reader.dataset("/model/ids").offset_bytes % 64, 0);
  std::vector<float> values(60);
  real_files().open(directory / "a.h5")->read_at(tensor.offset_bytes, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, counting(60));
}

TEST(H5, AttributesComeBack) {
  const tests::TemporaryDirectory directory;
  const std::string text(100000, 'j');  // more than the 64 KiB that fit an object header
  {
    H5Writer writer(real_files(), directory / "a.h5");
    writer.attribute("/", "text", text);
    writer.attribute("/", "empty", "");
    writer.attribute("/", "numbers", std::array<int64_t, 3>{1, -2, int64_t{1} << 40});
    writer.attribute("/", "none", std::span<const int64_t>());
    writer.finish();
  }
  H5Reader reader(real_files(), directory / "a.h5");
  EXPECT_EQ(reader.text_attribute("/", "text"), text);
  EXPECT_EQ(reader.text_attribute("/", "empty"), "");
  EXPECT_EQ(reader.integer_attribute("/", "numbers"), (std::vector<int64_t>{1, -2, int64_t{1} << 40}));
  EXPECT_TRUE(reader.integer_attribute("/", "none").empty());
  EXPECT_FALSE(reader.has_attribute("/", "absent"));
  EXPECT_THROW(reader.text_attribute("/", "numbers"), Error);
  EXPECT_THROW(reader.text_attribute("/", "absent"), Error);
}

TEST(H5, AnyFlatRangeIsWrittenWhereItBelongs) {
  const tests::TemporaryDirectory directory;
  const std::vector<float> expected = counting(60);
  for (int64_t cut = 0; cut <= 60; ++cut) {
    for (int64_t second : {cut, (cut + 60) / 2, int64_t{60}}) {
      const std::string path = directory / "a.h5";
      real_files().remove_all(path);
      std::vector<float> values = expected;
      H5Writer writer(real_files(), path);
      const H5Dataset tensor = writer.create("/t", DType::fp32, kShape);
      const View all = view_of(std::span(values), {60});
      writer.write(tensor, cut, all.range(cut, {second - cut}));
      writer.write(tensor, second, all.range(second, {60 - second}));
      writer.write(tensor, 0, all.range(0, {cut}));
      writer.finish();
      std::vector<float> read(60);
      real_files().open(path)->read_at(tensor.offset_bytes, std::as_writable_bytes(std::span(read)));
      ASSERT_EQ(read, expected) << cut << " " << second;
    }
  }
}

TEST(H5, ADatasetWithoutAxesIsRefused) {
  const tests::TemporaryDirectory directory;
  H5Writer writer(real_files(), directory / "a.h5");
  try {
    writer.create("/scalar", DType::fp32, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal) << error.what();
  }
  writer.create("/one", DType::fp32, std::array<int64_t, 1>{1});
  writer.finish();
}

TEST(H5, EqualInputGivesEqualBytesAtAnyTime) {
  const tests::TemporaryDirectory directory;
  write_sample(directory / "a.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's times count seconds
  write_sample(directory / "b.h5");
  EXPECT_EQ(read_text(real_files(), directory / "a.h5"), read_text(real_files(), directory / "b.h5"));
}

std::string message_of(ErrorKind kind, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(H5, EveryDTypeComesBack) {
  const tests::TemporaryDirectory directory;
  const std::array dtypes{DType::u8, DType::u16, DType::i32, DType::i64, DType::bf16, DType::fp32, DType::fp64};
  std::string bytes(16 * 8, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 151);  // NaN among them
  {
    H5Writer writer(real_files(), directory / "a.h5");
    for (const DType dtype : dtypes) {
      const H5Dataset dataset = writer.create("/" + std::string(name(dtype)), dtype, std::array<int64_t, 1>{16});
      writer.write(dataset, 0, ConstView{bytes.data(), dtype, {16}});
    }
    writer.finish();
  }
  H5Reader reader(real_files(), directory / "a.h5");
  const std::string text = read_text(real_files(), directory / "a.h5");
  for (const DType dtype : dtypes) {
    const H5Dataset dataset = reader.dataset("/" + std::string(name(dtype)));
    EXPECT_EQ(dataset.dtype, dtype);
    const auto count = static_cast<size_t>(16 * size_bytes(dtype));
    EXPECT_EQ(text.substr(static_cast<size_t>(dataset.offset_bytes), count), bytes.substr(0, count)) << name(dtype);
  }
}

TEST(H5, FilesThatCannotBeOpenedAreNamedWithTheReason) {
  const tests::TemporaryDirectory directory;
  write_sample(directory / "a.h5");
  EXPECT_EQ(message_of(ErrorKind::io, [&] { H5Reader reader(real_files(), directory / "b.h5"); }),
            "cannot open " + directory / "b.h5" + ": No such file or directory");
  EXPECT_EQ(message_of(ErrorKind::io, [&] { H5Writer writer(real_files(), directory / "a.h5"); }),
            "cannot create " + directory / "a.h5" + ": File exists");
  write_text_atomically(real_files(), directory / "c.h5", "not what it seems");
  EXPECT_EQ(message_of(ErrorKind::data, [&] { H5Reader reader(real_files(), directory / "c.h5"); }),
            "cannot open " + directory / "c.h5" + ": HDF5: file signature not found");
  std::string whole = read_text(real_files(), directory / "a.h5");
  write_text_atomically(real_files(), directory / "d.h5", std::string_view(whole).substr(0, whole.size() - 1));
  EXPECT_NE(
      message_of(ErrorKind::data, [&] { H5Reader reader(real_files(), directory / "d.h5"); }).find("truncated file"),
      std::string::npos);
  EXPECT_NE(message_of(ErrorKind::data, [&] { H5Reader(real_files(), directory / "a.h5").dataset("/model/absent"); })
                .find("/model/absent"),
            std::string::npos);
}

// As ranks that are threads do, each with its own file.
TEST(H5, ThreadsWriteAndReadFilesOfTheirOwn) {
  const tests::TemporaryDirectory directory;
  write_sample(directory / "alone.h5");
  const std::string expected = read_text(real_files(), directory / "alone.h5");
  std::array<int, 4> wrong{};
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < wrong.size(); ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 50; ++i) {
          const std::string path = directory / std::to_string(thread) + "-" + std::to_string(i);
          write_sample(path);
          const int64_t ids = H5Reader(real_files(), path).dataset("/model/ids").shape[0];
          wrong[thread] += ids != 2 || read_text(real_files(), path) != expected;
        }
      });
    }
  }
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

// A disk that fills up at any byte: some call must say so, whatever the library still holds in memory then.
TEST(H5, AFullDiskIsNeverAFinishedFile) {
  const tests::TemporaryDirectory directory;
  const std::vector<float> expected = counting(20000);
  const auto write_all = [&](const std::string& path) {
    std::vector<float> values = expected;
    H5Writer writer(real_files(), path);
    const H5Dataset tensor = writer.create("/group/t", DType::fp32, std::array<int64_t, 1>{20000});
    writer.write(tensor, 0, view_of(std::span(values), {20000}));
    const H5Dataset small = writer.create("/group/small", DType::fp32, std::array<int64_t, 1>{20});
    writer.write(small, 0, view_of(std::span(values), {20000}).range(0, {20}));
    writer.attribute("/group/t", "name", "t");
    writer.finish();
  };
  write_all(directory / "whole.h5");
  const int64_t whole_bytes = real_files().open(directory / "whole.h5")->size_bytes();
  for (int64_t limit_bytes = 0; limit_bytes < whole_bytes; limit_bytes += limit_bytes < 4096 ? 97 : 5003) {
    const tests::FileSizeLimit limit(static_cast<rlim_t>(limit_bytes));
    const std::string path = directory / std::to_string(limit_bytes);
    EXPECT_NE(message_of(ErrorKind::io, [&] { write_all(path); }).find(path), std::string::npos) << limit_bytes;
  }
  const tests::FileSizeLimit limit(static_cast<rlim_t>(whole_bytes - 1));
  EXPECT_NE(message_of(ErrorKind::io, [&] { write_all(directory / "last"); }).find("File too large"),
            std::string::npos);
}

/// Lets each call that `act` makes fail in each way, once or for good; a failure must come out of `act` as it was.
/// Returns the number of failures.
int fail_each_call(const std::function<void(Files&)>& act) {
  int failures = 0;
  for (tests::Fault fault : {tests::Fault::io_error, tests::Fault::short_write, tests::Fault::die}) {
    for (bool for_good : {false, true}) {
      for (int64_t call = 0;; ++call, ++failures) {
        tests::MemoryFiles disk;
        write_sample("there.h5", disk);
        tests::FailingFiles files({.call = call, .fault = fault, .for_good = for_good}, disk);
        try {
          act(files);
          EXPECT_EQ(files.injected(), "") << "swallowed";
          break;
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::io);
          EXPECT_TRUE(
              std::string(error.what())
                  .ends_with(fault == tests::Fault::io_error ? "Input/output error" : "No space left on device"))
              << error.what();
        } catch (const tests::ProcessDied&) {
          EXPECT_EQ(fault, tests::Fault::die);
        }
      }
    }
  }
  return failures;
}

// HDF5 holds much in memory until it closes a file, and must be able to close it whatever failed.
TEST(H5, EveryFailureOfTheDiskComesOutAsItWas) {
  const auto write = [](Files& files) { write_sample("new.h5", files); };
  const auto read = [](Files& files) {
    H5Reader reader(files, "there.h5");
    static_cast<void>(reader.dataset("/model/h.0/weight"));
    EXPECT_EQ(reader.text_attribute("/", "format"), "sample");
  };
  int failures = 0;
  for (int round = 0; round < 8; ++round) failures += fail_each_call(write) + fail_each_call(read);
  EXPECT_GT(failures, 1000);
  tests::MemoryFiles disk;
  write(disk);
  write_sample("there.h5", disk);
  EXPECT_EQ(read_text(disk, "new.h5"), read_text(disk, "there.h5"));
  read(disk);
}

TEST(H5, AWriterThatFailedCannotFinish) {
  const tests::TemporaryDirectory directory;
  std::vector<float> values = counting(20000);
  H5Writer writer(real_files(), directory / "a.h5");
  const H5Dataset tensor = writer.create("/t", DType::fp32, std::array<int64_t, 1>{20000});
  {
    const tests::FileSizeLimit limit(30000);
    EXPECT_THROW(writer.write(tensor, 0, view_of(std::span(values), {20000})), Error);
  }
  EXPECT_NE(message_of(ErrorKind::io, [&] { writer.finish(); }).find("not whole"), std::string::npos);
}

TEST(H5, ShapesOfNothingAndDataThatDoesNotFit) {
  const tests::TemporaryDirectory directory;
  std::vector<float> values = counting(4);
  H5Writer writer(real_files(), directory / "a.h5");
  EXPECT_EQ(writer.create("/empty", DType::u8, std::array<int64_t, 1>{0}).offset_bytes, 0);
  const H5Dataset tensor = writer.create("/t", DType::fp32, std::array<int64_t, 1>{4});
  EXPECT_THROW(writer.write(tensor, 1, view_of(std::span(values), {4})), Error);
  writer.write(tensor, 0, view_of(std::span(values), {4}));
  writer.finish();
  EXPECT_EQ(H5Reader(real_files(), directory / "a.h5").dataset("/empty").shape, std::vector<int64_t>{0});
}

}  // namespace
}  // namespace trireme::runtime
