// The words of verify's --reference-layout: "tp=1,dp=2,pp=1,zero=0". What is left out has one rank, or nothing shared
// out.
#pragma once

#include <cstdint>
#include <string>

#include "launch/options.h"

namespace trireme::launch {

struct ReferenceLayout {
  int64_t tp = 1;
  int64_t dp = 1;
  int64_t pp = 1;
  int64_t zero_stage = 0;

  int64_t ranks() const { return tp * dp * pp; }
  bool operator==(const ReferenceLayout&) const = default;
};

/// Empty text: one rank. Throws Error(usage) naming the option, the word and the mend.
ReferenceLayout parse_reference_layout(const std::string& text);

/// The options of a training in that layout with the samples, microbatch size and device of `asked`, computed the
/// plainest way: 1F1B without virtual stages, nothing computed again.
TrainOptions reference_options(const TrainOptions& asked, const ReferenceLayout& layout);

}  // namespace trireme::launch
