#include "launch/stop_plan.h"

#include <algorithm>

#include "launch/exit_record.h"

namespace trireme::launch {

int saves_before_stop(int64_t step, const SavedSteps& saved) {
  const bool is_begun = step == saved.newest || step == saved.in_flight;
  return (saved.in_flight ? 1 : 0) + (is_begun ? 0 : 1);
}

std::string stop_reason(std::span<const std::string> signals, const std::string& limit) {
  const auto noted = std::ranges::find_if(signals, [](const std::string& signal) { return !signal.empty(); });
  if (noted == signals.end()) return limit;
  const bool is_of_all = std::ranges::count(signals, *noted) == std::ssize(signals);
  return is_of_all ? *noted : *noted + " on rank " + std::to_string(noted - signals.begin());
}

std::string StopPlan::loss_text() const {
  if (saves() || is_saved()) return "";
  return "step " + std::to_string(step) + " is not saved; " +
         (newest_saved == 0 ? "there is no checkpoint yet"
                            : "the newest checkpoint is step " + std::to_string(newest_saved));
}

std::string StopPlan::text() const {
  const std::string name = "step " + std::to_string(step);
  std::string line;
  if (saves()) line += "saving " + name + " and ";
  if (is_saved()) line += name + " is saved, ";
  line += "ending, to be started again (exit " + std::to_string(kRequeueExit) + ")";
  // The next start begins there; without a save it makes this step once more.
  if (validates && (saves() || is_saved())) line += " and validated then";
  if (rolls_back && (saves() || is_saved())) line += " and rolled back then";
  return line + (saves() && by_signal ? "; the same signal again ends at once" : "");
}

}  // namespace trireme::launch
