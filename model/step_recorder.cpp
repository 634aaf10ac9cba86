#include "model/step_recorder.h"

#include <algorithm>

namespace trireme::model {

using parallel::ActionRecord;

std::vector<std::pair<std::string, const runtime::Communicator*>> groups_by_axis(const parallel::MeshGroups& groups) {
  return {{"tp", groups.tp.get()},         {"dp", groups.dp.get()},          {"pp", groups.pp.get()},
          {"pp", groups.pp_forward.get()}, {"pp", groups.pp_backward.get()}, {"tied", groups.tied.get()}};
}

StepRecorder::StepRecorder(runtime::Stream& stream, const parallel::MeshGroups& groups, size_t chunks, size_t records)
    : stream_(stream), records_(records) {
  for (const auto& [axis, group] : groups_by_axis(groups)) {
    groups_.push_back({.axis = axis, .communicator = group, .counted = group->totals()});
  }
  for (parallel::StepRecord& record : records_) record.chunks.resize(chunks);
  stream_.profile_into(&records_.front().between.ops);
}

void StepRecorder::begin(const StepPart& part) {
  close(records_.front().between);
  stream_.profile_into(&record_of(part).ops);
}

void StepRecorder::end(const StepPart& part) {
  ActionRecord& record = record_of(part);
  close(record);
  record.count += 1;
  stream_.profile_into(&records_.front().between.ops);
}

std::vector<parallel::StepRecord> StepRecorder::finish() {
  close(records_.front().update);
  stream_.profile_into(nullptr);
  return std::move(records_);
}

ActionRecord& StepRecorder::record_of(const StepPart& part) {
  if (part.kind == StepPart::Kind::reduction) return records_.front().reduction;
  if (part.kind == StepPart::Kind::update) return records_.front().update;
  parallel::StepRecord& record = records_[std::min(static_cast<size_t>(part.microbatch), records_.size() - 1)];
  parallel::ChunkRecord& chunk = record.chunks[static_cast<size_t>(part.chunk)];
  switch (part.kind) {
    case StepPart::Kind::forward:
      return chunk.forward;
    case StepPart::Kind::backward:
      return chunk.backward;
    case StepPart::Kind::backward_input:
      return chunk.backward_input;
    default:
      return chunk.backward_weight;
  }
}

void StepRecorder::close(ActionRecord& record) {
  for (Group& group : groups_) {
    for (const auto& [op, total] : group.communicator->totals()) {
      runtime::CommTotal& counted = group.counted[op];
      if (total.calls == counted.calls) continue;
      runtime::CommTotal& sent = record.sent[group.axis][op];
      sent.calls += total.calls - counted.calls;
      sent.messages += total.messages - counted.messages;
      sent.bytes += total.bytes - counted.bytes;
      counted = total;
    }
  }
}

}  // namespace trireme::model
