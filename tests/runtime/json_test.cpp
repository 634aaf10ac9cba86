#include "runtime/json.h"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

namespace json = boost::json;

TEST(Json, EveryDoubleComesBackAsItWas) {
  std::mt19937_64 random(3);
  json::array values;
  std::vector<double> expected;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    for (double each : {value, std::uniform_real_distribution<double>(-1, 1)(random)}) {
      values.push_back(each);
      expected.push_back(each);
    }
  }
  const json::value read = parse_json(json::serialize(values));
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(read.at(i).as_double(), expected[i]) << i;
}

TEST(Json, ReadsAllKindsOfValues) {
  const json::value value = parse_json(
      R"({"a": [1, -2, 18446744073709551615, 2.5e-3, true, null], "b": {"c\n": "\u00e9\"", "d": {}}, "e": 1E400})");
  EXPECT_EQ(value.at("a").at(0).as_int64(), 1);
  EXPECT_EQ(value.at("a").at(2).as_uint64(), 18446744073709551615u);
  EXPECT_EQ(value.at("a").at(3).as_double(), 2.5e-3);
  EXPECT_TRUE(value.at("a").at(5).is_null());
  EXPECT_EQ(value.at("b").at("c\n").as_string(), "\u00e9\"");
  EXPECT_TRUE(value.at("b").at("d").as_object().empty());
  EXPECT_EQ(parse_json(" 7 \n").as_int64(), 7);
}

TEST(Json, WrongTextNamesItsLine) {
  for (const char* text : {"", "{", "{\"a\": 1,\n\n\"b\" 2}", "[1] [2]", "{\"a\": 1}x", "nul", "[1,]"}) {
    EXPECT_THROW(parse_json(text), Error) << text;
  }
  try {
    parse_json("{\"a\": 1,\n\n\"b\" 2}");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_STREQ(error.what(), "line 3: syntax error");
  }
}

}  // namespace
}  // namespace trireme::runtime
