#include "checkpoint/selection.h"

#include <gtest/gtest.h>

namespace trireme::checkpoint {
namespace {

using Names = std::vector<std::string>;

TEST(Selection, PatternsAreThoseOfTheShell) {
  const std::string name = "layers.10.mlp.up_proj.weight";
  for (const char* pattern : {"*", "layers.*", "*.weight", "layers.1?.mlp.*", "layers.[0-9][0-9].*", "[!m]*"}) {
    EXPECT_TRUE(is_selected(name, Names{pattern})) << pattern;
  }
  for (const char* pattern : {"layers", "layers.?.*", "*.bias", "", "Layers.*", "layers.[!1]*"}) {
    EXPECT_FALSE(is_selected(name, Names{pattern})) << pattern;
  }
  EXPECT_TRUE(is_selected(name, Names{"*.bias", "*.weight"}));
  EXPECT_FALSE(is_selected(name, Names{}));
}

TEST(Selection, TheFirstIdlePatternIsFound) {
  const Names names{"a.weight", "a.bias"};
  EXPECT_EQ(idle_pattern(names, Names{"*", "a.*"}), std::nullopt);
  EXPECT_EQ(idle_pattern(names, Names{"*", "b.*", "c.*"}), "b.*");
}

TEST(Selection, TakesOneKindInItsOrder) {
  const auto slice = [](const std::string& name, const std::string& kind) {
    return TensorSlice{name, kind, {1}, parallel::whole({1}), {}};
  };
  const std::vector<TensorSlice> all{slice("b", "parameter"), slice("a", "parameter"), slice("b", "exp_avg"),
                                     slice("bb", "parameter")};
  const std::vector<TensorSlice> selected = selected_slices(all, "parameter", Names{"b*"});
  ASSERT_EQ(selected.size(), 2u);
  EXPECT_EQ(selected[0].name, "b");
  EXPECT_EQ(selected[1].name, "bb");
}

}  // namespace
}  // namespace trireme::checkpoint
