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
          .messages = {{.ranks = 3, .op = "all_reduce", .bytes = 1024, .seconds = 1e-5 / 3}},
          .ops = {{.op = "linear_forward", .sizes = {1024, 768, 2304}, .flops = 7, .bytes = 8, .seconds = 1e-3 / 3},
                  {.op = "fill", .storage = DType::bf16, .flops = 0, .bytes = 64, .seconds = 1e-6 / 7}},
          .call_seconds = 1e-6 / 3};
}

/// The same, but published.
Calibration published_sample() {
  Calibration calibration = sample();
  calibration.source = "a paper";
  calibration.ranks_per_node = 8;
  calibration.within_node = {.latency_seconds = 1e-6 / 3, .bytes_per_second = 1e12 / 3};
  calibration.between_nodes = {.latency_seconds = 1e-5 / 3, .bytes_per_second = 1e11 / 3};
  calibration.bf16_flops_per_second = 1e15 / 3;
  calibration.device_memory_bytes = 80'000'000'000;
  calibration.reserve_bytes = 3'000'000'000;
  calibration.hidden_message_part = 0.9;
  calibration.unmeasured_part = 0.7;
  return calibration;
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
  const Calibration before = published_sample();
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
  ASSERT_EQ(after.ops.size(), 2u);
  EXPECT_EQ(after.ops[0].sizes, before.ops[0].sizes);
  EXPECT_EQ(after.ops[0].seconds, before.ops[0].seconds);
  EXPECT_EQ(after.ops[1].op, "fill");
  EXPECT_EQ(after.ops[1].storage, DType::bf16);
  EXPECT_EQ(after.ops[1].sizes, Shape());
  EXPECT_EQ(after.ops[1].bytes, 64);
  EXPECT_EQ(after.call_seconds, before.call_seconds);
  EXPECT_EQ(after.source, "a paper");
  EXPECT_EQ(after.ranks_per_node, 8);
  EXPECT_EQ(after.within_node.latency_seconds, before.within_node.latency_seconds);
  EXPECT_EQ(after.between_nodes.bytes_per_second, before.between_nodes.bytes_per_second);
  EXPECT_EQ(after.bf16_flops_per_second, before.bf16_flops_per_second);
  EXPECT_EQ(after.device_memory_bytes, 80'000'000'000);
  EXPECT_EQ(after.reserve_bytes, 3'000'000'000);
  EXPECT_EQ(after.hidden_message_part, 0.9);
  EXPECT_EQ(after.unmeasured_part, 0.7);
}

TEST(Calibration, WhatWasMeasuredHasNoPublishedFigures) {
  const TemporaryDirectory directory;
  const boost::json::object object = to_json(sample());
  EXPECT_FALSE(object.contains("published"));
  const Calibration after =
      read_calibration(real_files(), "calibration", write(directory, boost::json::serialize(object)));
  EXPECT_EQ(after.source, "");
  EXPECT_EQ(after.hidden_message_part, 0);
  EXPECT_EQ(after.within_node.bytes_per_second, 0);
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
  for (const int version : {1, 3}) {
    object["format_version"] = version;
    const std::string path = write(directory, boost::json::serialize(object));
    expect_refused(path, "is of format version " + std::to_string(version) + ", this program reads 2");
    EXPECT_TRUE(is_calibration(real_files(), path));
  }
}

TEST(Calibration, DamageIsNamed) {
  const TemporaryDirectory directory;
  for (const char* key :
       {"machine", "peaks", "memory", "products", "messages", "date", "format_version", "ops", "call_seconds"}) {
    boost::json::object object = to_json(sample());
    object.erase(key);
    expect_refused(write(directory, boost::json::serialize(object)), "is damaged");
  }
  boost::json::object object = to_json(sample());
  object["peaks"].as_object()["fma_flops_per_second"] = 0;
  expect_refused(write(directory, boost::json::serialize(object)), "fma_flops_per_second is not above 0");
}

/// `change` is made to the JSON of a published calibration.
template <typename Change>
std::string changed(Change&& change) {
  boost::json::object object = to_json(published_sample());
  change(object);
  return boost::json::serialize(object);
}

TEST(Calibration, ValuesThatCannotBeAreNamed) {
  const TemporaryDirectory directory;
  const auto refuse = [&](const std::string& text, const std::string& part) {
    expect_refused(write(directory, text), part);
  };
  const auto op = [](boost::json::object& object) -> boost::json::object& {
    return object["ops"].as_array()[0].as_object();
  };
  const auto published = [](boost::json::object& object) -> boost::json::object& {
    return object["published"].as_object();
  };
  refuse(changed([&](auto& object) { op(object)["storage"] = "fp8"; }), "storage fp8");
  refuse(changed([&](auto& object) { op(object)["seconds"] = 0; }), "seconds is not above 0");
  refuse(changed([&](auto& object) { op(object)["bytes"] = -1; }), "bytes is below 0");
  refuse(changed([&](auto& object) { op(object)["sizes"] = {1, 2, 3, 4, 5}; }), "too many sizes");
  refuse(changed([&](auto& object) { published(object)["hidden_message_part"] = 1.5; }), "is not from 0 to 1");
  refuse(changed([&](auto& object) { published(object)["unmeasured_part"] = 0; }), "is not above 0");
  refuse(changed([&](auto& object) { published(object)["ranks_per_node"] = 0; }), "is not above 0");
  refuse(changed([&](auto& object) { published(object)["source"] = ""; }), "source is empty");
  refuse(changed([&](auto& object) { published(object).erase("between_nodes"); }), "is damaged");
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
  EXPECT_EQ(difference_from(published_sample(), "Other Processor", 2, 3),
            "published of Some(R) Processor, this is Other Processor");
}

}  // namespace
}  // namespace trireme::runtime
