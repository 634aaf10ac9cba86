#include "launch/execution_words.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace trireme::launch {
namespace {

using model::Recompute;
using runtime::DType;

TEST(ExecutionWords, MeanWhatTheySay) {
  EXPECT_EQ(precision_words(), (std::vector<std::string>{"fp32", "bf16"}));
  EXPECT_EQ(precision_of("fp32", ""), DType::fp32);
  EXPECT_EQ(precision_of("bf16", ""), DType::bf16);
  EXPECT_EQ(recompute_words(), (std::vector<std::string>{"none", "selective", "full"}));
  EXPECT_EQ(recompute_of("none", ""), Recompute::none);
  EXPECT_EQ(recompute_of("selective", ""), Recompute::selective);
  EXPECT_EQ(recompute_of("full", ""), Recompute::full);
  for (const std::string& word : schedule_words()) {
    EXPECT_EQ(parallel::name(schedule_of(word, "")), word) << "checkpoints keep the name";
  }
}

TEST(ExecutionWords, UnknownOnesAreRefusedByNameAndSource) {
  const auto message = [](const auto& read) -> std::string {
    try {
      read();
    } catch (const runtime::Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([] { precision_of("fp8", "a checkpoint"); }),
            R"(a checkpoint: "fp8" is not a precision that this program knows (fp32, bf16))");
  EXPECT_EQ(message([] { recompute_of("", "a checkpoint"); }),
            R"(a checkpoint: "" is not a kind of recomputation that this program knows (none, selective, full))");
}

}  // namespace
}  // namespace trireme::launch
