// What is to be saved. Plain data.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/retention.h"
#include "checkpoint/tensor_slice.h"

namespace trireme::checkpoint {

/// Equal on all ranks, but for the slices.
struct SaveRequest {
  std::string checkpoints_directory;
  int64_t step = 0;
  std::string run_id;
  int64_t attempt = 0;              ///< claimed by claim_attempt
  std::string owner = {};           ///< the text of that claim; empty: it is not looked at
  Writer writer = {};               ///< version and commit of the program; for people, never compared
  boost::json::object layout;       ///< where and how the step was made: mesh, options, paths; never compared
  boost::json::object state;        ///< what training goes on from; `checkpoint diff` compares all of it
  Retention retention = {};         ///< applied after the commit
  std::vector<TensorSlice> slices;  ///< those that this rank writes; together the ranks cover each tensor once
};

}  // namespace trireme::checkpoint
