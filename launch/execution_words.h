// The words of --precision, --recompute and --pipeline-schedule, which config.json and checkpoints keep, and what they
// mean to the model.
#pragma once

#include <string>
#include <vector>

#include "model/execution.h"
#include "parallel/schedule.h"

namespace trireme::launch {

std::vector<std::string> precision_words();
std::vector<std::string> recompute_words();
std::vector<std::string> schedule_words();

/// Throws Error(data) naming `source` and the word when this program does not know it: one of a later version's.
runtime::DType precision_of(const std::string& word, const std::string& source);
model::Recompute recompute_of(const std::string& word, const std::string& source);
parallel::ScheduleKind schedule_of(const std::string& word, const std::string& source);

}  // namespace trireme::launch
