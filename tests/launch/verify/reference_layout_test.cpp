#include "launch/reference_layout.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace trireme::launch {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_reference_layout(text);
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(ReferenceLayout, WhatIsLeftOutHasOneRank) {
  EXPECT_EQ(parse_reference_layout(""), ReferenceLayout{});
  EXPECT_EQ(parse_reference_layout("dp=2,zero=3"), (ReferenceLayout{.dp = 2, .zero_stage = 3}));
  EXPECT_EQ(parse_reference_layout("tp=2,dp=3,pp=4").ranks(), 24);
}

TEST(ReferenceLayout, BadWordsAreNamed) {
  const std::string choices = " is not one of tp=N, dp=N, pp=N and zero=N, joined by commas";
  EXPECT_EQ(error_of("tp=2,ep=2"), "--reference-layout tp=2,ep=2: 'ep=2'" + choices);
  EXPECT_EQ(error_of("tp"), "--reference-layout tp: 'tp'" + choices);
  EXPECT_EQ(error_of("tp=2,,dp=1"), "--reference-layout tp=2,,dp=1: ''" + choices);
  EXPECT_EQ(error_of("tp=2,tp=2"), "--reference-layout tp=2,tp=2: tp is given twice: leave one of them out");
  EXPECT_EQ(error_of("tp=1048576,dp=1048576,pp=1048576"),
            "--reference-layout tp=1048576,dp=1048576,pp=1048576: more than 1048576 ranks");
  for (const char* text : {"tp=0", "zero=4", "dp=x", "pp="}) EXPECT_NE(error_of(text), "") << text;
}

TEST(ReferenceLayout, IsComputedThePlainestWay) {
  TrainOptions asked;
  asked.tensor_parallel = asked.pipeline_parallel = asked.virtual_stages = 2;
  asked.zero_stage = 3;
  asked.recompute = "full";
  asked.seed = 7;
  const TrainOptions options = reference_options(asked, {});
  EXPECT_EQ(options.tensor_parallel * options.pipeline_parallel * options.virtual_stages, 1);
  EXPECT_EQ(options.zero_stage, 0);
  EXPECT_EQ(options.recompute, "none");
  EXPECT_EQ(options.seed, 7);
}

}  // namespace
}  // namespace trireme::launch
