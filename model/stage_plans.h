// Plans of the stages of many pipelines, put together from dry runs of single chunks of layers, each made once: a
// search over layouts meets the same chunks again and again. Memory is that of rank_plan.h to the byte; what a step
// does is counted from a few microbatches, of which one stands for those that are left out.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "model/rank_plan.h"
#include "model/stages.h"

namespace trireme::model {

/// Element i: the model cut into i chunks. Cutting takes longer than many a dry run, and every mesh wants the same.
using ModelCuts = std::vector<std::vector<ChunkPlace>>;
ModelCuts all_cuts(const ModelConfig& config, int64_t tokens);

/// Of the rank of a stage that is the first in tp and dp.
struct StageMemory {
  runtime::MemoryPlan memory;  ///< as RankPlan has it
  int64_t staging_bytes = 0;

  int64_t total_bytes() const { return memory.total_bytes() + staging_bytes; }
};

/// What layouts that share dry runs differ in.
struct Pipelining {
  parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
  int chunks = 1;  ///< of a stage
};

class StagePlans {
 public:
  /// For layouts that differ from this one in their pipelining alone, which is not read. The cuts outlive this.
  StagePlans(StepLayout like, const ModelCuts& cuts);

  parallel::ScheduleSpec spec_of(const Pipelining& pipelining) const;

  /// Throws as plan_rank() does.
  StageMemory memory(const Pipelining& pipelining, int stage);

  /// What each stage does in a step; equal stages share a record. They stay until the next call. In a stage of several
  /// chunks another one always comes in between, as it mostly does: where a whole step would find a layer of ZeRO 3
  /// still there, it is gathered again.
  std::vector<const parallel::StepRecord*> records(const Pipelining& pipelining);

 private:
  /// A dry step of a stage that holds one chunk alone.
  struct ChunkRun {
    int64_t persistent_bytes = 0;  ///< without the pipeline's buffers
    int64_t buffer_bytes = 0;      ///< of one of those
    int64_t slot_bytes = 0;
    int64_t scratch_bytes = 0;
    int64_t staging_bytes = 0;
    std::vector<parallel::StepRecord> microbatches;  ///< the last but one stands for those that are left out
  };
  /// A chunk by what a dry run can tell.
  struct ChunkKind {
    int64_t layers = 0;
    bool is_first = false;
    bool is_last = false;
    bool splits_backward = false;
    bool is_alone = true;  ///< in its stage
    auto operator<=>(const ChunkKind&) const = default;
  };

  std::vector<ChunkKind> chunks_of(const parallel::ScheduleSpec& spec, int stage) const;
  static ChunkKind joined(const std::vector<ChunkKind>& chunks);
  const ChunkRun& run_of(const ChunkKind& kind);
  ChunkRun run(const ChunkKind& kind);
  parallel::MeshGroups& groups_for(const ChunkKind& kind);
  parallel::StepRecord record_of(const std::vector<ChunkKind>& chunks);

  StepLayout like_;
  const ModelCuts& cuts_;
  std::map<ChunkKind, ChunkRun> runs_;
  std::map<std::pair<int, int>, parallel::MeshGroups> groups_;  ///< by stages and stage
  std::map<std::vector<ChunkKind>, parallel::StepRecord> records_;
};

}  // namespace trireme::model
