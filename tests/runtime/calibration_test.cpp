#include "runtime/calibration.h"

#include <boost/json/serialize.hpp>

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::runtime {
namespace {

using tests::TemporaryDirectory;

/// Rates that have no short decimal form.
Calibration sample() {
  return {.processor = "Some(R) Processor",
          .cores = 2,
          .threads = 2,
          .ranks = 3,
          .date = "2026-11-21T21:49:17Z",
          .version = "0.1.0",
          .commit = "0123456789",
          .fma_flops_per_second = 1e12 / 3,
          .memory = {.read = 1e10 / 3, .copy = 2e10 / 3, .triad = 1e10 / 7},
          .products = {{.op = "linear_forward",
                        .shape = {.N = 1024, .C_in = 768, .C_out = 2304},
                        .flops_per_second = 1e11 / 7}},
          .messages = {{.ranks = 3, .op = "all_reduce", .bytes = 1024, .seconds = 1e-5 / 3}}};
}

std::string write(const TemporaryDirectory& directory, const std::string& text) {
  const std::string path = directory / "calibration.json";
  write_text_atomically(real_files(), path, text);
  return path;
}

void expect_refused(const std::string& path, const std::string& part) {
  try {
    read_calibration(real_files(), "calibration", path);
    FAIL() << part;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(message.rfind("--calibration " + path + " ", 0), 0u) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("; make one with trireme bench --calibrate --output FILE"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Calibration, ComesBackToTheLastBit) {
  const TemporaryDirectory directory;
  const Calibration before = sample();
  const std::string path = write(directory, boost::json::serialize(to_json(before)));
  const Calibration after = read_calibration(real_files(), "calibration", path);
  EXPECT_EQ(to_json(after), to_json(before));
  EXPECT_EQ(after.processor, before.processor);
  EXPECT_EQ(after.ranks, before.ranks);
  EXPECT_EQ(after.fma_flops_per_second, before.fma_flops_per_second);
  EXPECT_EQ(after.memory.triad, before.memory.triad);
  ASSERT_EQ(after.products.size(), 1u);
  EXPECT_EQ(after.products[0].shape, before.products[0].shape);
  EXPECT_EQ(after.products[0].flops_per_second, before.products[0].flops_per_second);
  EXPECT_EQ(after.messages, before.messages);
}

TEST(Calibration, OtherFilesAreRefusedInOneLine) {
  const TemporaryDirectory directory;
  expect_refused(directory / "nowhere.json", "does not exist");
  expect_refused(directory.path(), "is a directory");
  for (const char* text : {"", "text", "[1, 2]", "{}", R"({"kind": 3})", R"({"kind": "trireme-dataset"})"}) {
    expect_refused(write(directory, text), "is not a calibration");
    EXPECT_FALSE(is_calibration(real_files(), directory / "calibration.json")) << text;
  }
}

TEST(Calibration, AnotherVersionIsRefusedAndMayBeOverwritten) {
  const TemporaryDirectory directory;
  boost::json::object object = to_json(sample());
  object["format_version"] = 2;
  const std::string path = write(directory, boost::json::serialize(object));
  expect_refused(path, "is of format version 2, this program reads 1");
  EXPECT_TRUE(is_calibration(real_files(), path));
}

TEST(Calibration, DamageIsNamed) {
  const TemporaryDirectory directory;
  for (const char* key : {"machine", "peaks", "memory", "products", "messages", "date", "format_version"}) {
    boost::json::object object = to_json(sample());
    object.erase(key);
    expect_refused(write(directory, boost::json::serialize(object)), "is damaged");
  }
  boost::json::object object = to_json(sample());
  object["peaks"].as_object()["fma_flops_per_second"] = 0;
  expect_refused(write(directory, boost::json::serialize(object)), "fma_flops_per_second is not above 0");
}

TEST(Calibration, AnotherMachineIsNamed) {
  const Calibration calibration = sample();
  EXPECT_EQ(difference_from(calibration, "Some(R) Processor", 2, 3), std::nullopt);
  EXPECT_EQ(difference_from(calibration, "Other Processor", 2, 3),
            "measured on Some(R) Processor, this is Other Processor");
  EXPECT_EQ(difference_from(calibration, "Some(R) Processor", 1, 3),
            "measured by 3 ranks x 2 threads on a machine, this run has 3 ranks x 1 thread");
  EXPECT_EQ(difference_from(calibration, "Some(R) Processor", 2, 1),
            "measured by 3 ranks x 2 threads on a machine, this run has 1 rank x 2 threads");
}

}  // namespace
}  // namespace trireme::runtime
