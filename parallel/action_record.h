// What actions of a step do, as a dry run recorded it: calls of ops and messages, added up. Plain data; what it takes
// is step_time.h's business.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/op_profile.h"

namespace trireme::parallel {

/// Messages that a rank sent: by axis (tp, dp, pp, tied), then by op ("all_reduce", "send", ...).
using SentMessages = std::map<std::string, std::map<std::string, runtime::CommTotal, std::less<>>>;

/// Actions of one kind in one chunk, or another piece of a step.
struct ActionRecord {
  int64_t count = 0;       ///< of actions that are added up here
  runtime::OpProfile ops;  ///< by op and sizes; seconds mean nothing
  SentMessages sent;       ///< begun in these actions, whoever waits for them
};

/// As if those actions had been done so many times more.
void add(ActionRecord& to, const ActionRecord& from, int64_t times);

/// The actions of one chunk in one step. Those that the schedule has not stay empty.
struct ChunkRecord {
  ActionRecord forward;
  ActionRecord backward;
  ActionRecord backward_input;
  ActionRecord backward_weight;
};

/// All that a rank does in a step.
struct StepRecord {
  std::vector<ChunkRecord> chunks;
  ActionRecord between;    ///< a pipeline's messages between actions
  ActionRecord reduction;  ///< what is left of it behind the last action
  ActionRecord update;     ///< with the parameters that are sent out after it
};

/// Calls `visit` with every part of it.
template <typename Visit>
void for_each_part(const StepRecord& record, Visit visit) {
  for (const ChunkRecord& chunk : record.chunks) {
    visit(chunk.forward);
    visit(chunk.backward);
    visit(chunk.backward_input);
    visit(chunk.backward_weight);
  }
  visit(record.between);
  visit(record.reduction);
  visit(record.update);
}

}  // namespace trireme::parallel
