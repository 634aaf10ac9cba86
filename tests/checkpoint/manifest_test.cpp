#include "checkpoint/manifest.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/json.h"
#include "tests/checkpoint/sample.h"

namespace trireme::checkpoint {
namespace {

using tests::rewritten;

Manifest sample() {
  Manifest manifest;
  manifest.step = 1200;
  manifest.run_id = "a \"quoted\" id";
  manifest.attempt = 3;
  manifest.parent_step = 1100;
  manifest.writer = {"1.2.3", "0123456789"};
  manifest.layout = {{"dp", 2}, {"options", {{"run", "/data/run"}}}};
  manifest.state = {{"learning_rate", 5.9999999999999995e-05}, {"samples", int64_t{1} << 60}};
  manifest.tensors = {{"h.0.w", "parameter", runtime::DType::fp32, {4, 6}}};
  manifest.slices = {
      {"h.0.w", "parameter", {{0, 0}, {4, 6}}, "shard-00000-of-00001.h5", "/parameter/h.0.w/0", 2048, 96, 0x00badcaf}};
  manifest.files = {{"shard-00000-of-00001.h5", 4096, 0xfffffffe}};
  return manifest;
}

std::string message_of(const std::string& text, runtime::ErrorKind kind = runtime::ErrorKind::data) {
  try {
    parse_manifest(text, "DIR/manifest.json");
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

TEST(Manifest, ComesBackAsItWas) {
  const Manifest before = sample();
  const Manifest after = parse_manifest(to_text(before), "m");
  EXPECT_EQ(after.step, before.step);
  EXPECT_EQ(after.run_id, before.run_id);
  EXPECT_EQ(after.attempt, before.attempt);
  EXPECT_EQ(after.parent_step, before.parent_step);
  EXPECT_EQ(after.writer, before.writer);
  EXPECT_EQ(after.layout, before.layout);
  EXPECT_EQ(after.state, before.state);
  EXPECT_EQ(after.tensors, before.tensors);
  EXPECT_EQ(after.slices, before.slices);
  EXPECT_EQ(after.files, before.files);
  EXPECT_EQ(to_text(after), to_text(before));
}

TEST(Manifest, IsPlainJson) {
  const boost::json::value value = runtime::parse_json(to_text(sample()));
  EXPECT_EQ(value.at("format").at("name").as_string(), "trireme-checkpoint");
  EXPECT_EQ(value.at("slices").at(0).at("offset_bytes").as_int64(), 2048);
  EXPECT_EQ(value.at("files").at(0).at("crc32c").as_string(), "fffffffe");
}

TEST(Manifest, AnyFlippedBitAndAnyCutIsNoticed) {
  const std::string text = to_text(sample());
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    ASSERT_NE(message_of(damaged).find("DIR/manifest.json cannot be used"), std::string::npos) << "bit " << bit;
  }
  for (size_t size = 0; size < text.size(); ++size) {
    ASSERT_NE(message_of(text.substr(0, size)).find("DIR/manifest.json"), std::string::npos) << "size " << size;
  }
}

TEST(Manifest, OtherVersionsAreRefusedByName) {
  const std::string text = to_text(sample());
  const auto kind = runtime::ErrorKind::version;
  EXPECT_EQ(message_of(rewritten(text, "\"major\":1,\"minor\":0", "\"major\":2,\"minor\":5"), kind),
            "DIR/manifest.json cannot be used: it has format version 2.5; this program reads version 1.0");
  EXPECT_EQ(message_of(rewritten(text, "\"minor\":0,\"required_features\":[]",
                                 "\"minor\":4,\"required_features\":[\"quantised\"]"),
                       kind),
            "DIR/manifest.json cannot be used: it needs the feature \"quantised\" of format version 1.4, which this "
            "program's version 1.0 does not know");
  EXPECT_EQ(message_of(rewritten(text, "trireme-checkpoint", "something-else"), kind),
            "DIR/manifest.json cannot be used: its format is \"something-else\", not trireme-checkpoint");
}

TEST(Manifest, ALaterMinorVersionWithUnknownMembersIsRead) {
  const std::string text = rewritten(to_text(sample()), "\"minor\":0", "\"minor\":7,\"colour\":\"blue\"");
  EXPECT_EQ(parse_manifest(text, "m").step, 1200);
}

TEST(Manifest, MissingAndMistypedMembersAreErrors) {
  const std::string text = to_text(sample());
  EXPECT_NE(message_of(rewritten(text, "\"step\"", "\"stop\"")).find("cannot be used"), std::string::npos);
  EXPECT_NE(message_of(rewritten(text, "\"step\": 1200", "\"step\": true")).find("cannot be used"), std::string::npos);
  EXPECT_NE(message_of(rewritten(text, "fp32", "fp33")).find("there is no dtype \"fp33\""), std::string::npos);
  EXPECT_NE(message_of(rewritten(text, "\"file\":\"shard", "\"file\":\"../shard")).find("no place"), std::string::npos);
}

}  // namespace
}  // namespace trireme::checkpoint
