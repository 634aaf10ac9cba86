// Keeps the account of each part of a dry step apart: what its ops cost and what it sends.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/step_observer.h"
#include "parallel/action_record.h"
#include "parallel/mesh.h"
#include "runtime/stream.h"

namespace trireme::model {

/// The groups of a rank, each with its axis; several may belong to one.
std::vector<std::pair<std::string, const runtime::Communicator*>> groups_by_axis(const parallel::MeshGroups& groups);

class StepRecorder : public StepObserver {
 public:
  /// Of a rank with so many chunks, whose stream and groups outlive this. Parts of microbatch i go into record i, those
  /// of later ones into the last; what belongs to none into the first.
  StepRecorder(runtime::Stream& stream, const parallel::MeshGroups& groups, size_t chunks, size_t records = 1);
  ~StepRecorder() override { stream_.profile_into(nullptr); }
  StepRecorder(const StepRecorder&) = delete;
  StepRecorder& operator=(const StepRecorder&) = delete;

  void begin(const StepPart& part) override;
  void end(const StepPart& part) override;
  /// What comes behind the last part belongs to the update, which has it begun.
  std::vector<parallel::StepRecord> finish();

 private:
  struct Group {
    std::string axis;
    const runtime::Communicator* communicator;
    std::map<std::string, runtime::CommTotal, std::less<>> counted;
  };

  parallel::ActionRecord& record_of(const StepPart& part);
  void close(parallel::ActionRecord& record);

  runtime::Stream& stream_;
  std::vector<Group> groups_;
  std::vector<parallel::StepRecord> records_;
};

}  // namespace trireme::model
