// Layouts of a training, and what a run in one of them yields, to be held against one rank.
#pragma once

#include <string>
#include <vector>

#include "model/rank_plan.h"
#include "tests/model/small_training.h"

namespace trireme::tests {

struct LayoutCase {
  parallel::Mesh mesh;
  int zero_stage = 0;
  parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
  int virtual_stages = 1;
  int64_t microbatches = 1;  ///< of a rank in a step
  model::Recompute recompute = model::Recompute::none;
  int64_t B = 2;  ///< sequences of a microbatch

  int64_t sequences() const { return B * microbatches * mesh.dp; }
  std::string name() const;
};

/// Eight layers of 12 heads, 6 key/value heads where they are grouped: for tp 1, 2, 3 and 6; 41 entries of the
/// vocabulary, a prime.
model::ModelConfig layout_gpt2();
model::ModelConfig layout_llama();

/// Sequences of 12 tokens.
inline constexpr int64_t kLayoutTokens = 12;

/// What training in a layout yields, the same on all ranks. Values of all parameters follow each other in the order of
/// the model's definition.
struct LayoutRun {
  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<double> gradients;   ///< of the first step, as far as Adam's first moment shows them
  std::vector<double> parameters;  ///< after the last step
  double validation_loss = 0;
};

/// 20; fewer under a sanitizer.
int64_t layout_steps();

struct LayoutTraining {
  model::ModelConfig config;
  LayoutCase layout;
  int64_t steps = layout_steps();
  model::Execution execution{};        ///< storage and lanes
  bool has_documents = false;          ///< several in a sequence, kept apart
  runtime::MessageOptions messages{};  ///< those of the world
};

/// One rank of a training.
class LayoutRank {
 public:
  LayoutRank(runtime::Communicator& world, const LayoutTraining& training);

  /// The step of this number: batch and update are those of every layout.
  model::StepResult step(int64_t index);
  double validate(int64_t index);
  /// A range of all parameters, everybody's; checks that replicas are equal to the bit. Collective.
  std::vector<double> all(runtime::View parallel::UnitMemory::*range);
  SmallModel& small() { return small_; }
  const runtime::MemoryPlan& plan() const { return plan_; }
  /// What people are told of it before it runs.
  model::RankPlan rank_plan() const;

 private:
  runtime::Communicator& world_;
  LayoutTraining training_;
  runtime::MemoryPlan plan_;
  SmallModel small_;
};

/// Trains on the ranks of `world`, of which there are as many as the mesh has. Checks on the way that planned memory is
/// used memory, that dry messages are real messages, and that replicas are equal to the bit. Collective.
LayoutRun train_in_layout(runtime::Communicator& world, const LayoutTraining& training);

/// The same on as many threads; checks that every rank reports the same bits.
LayoutRun train_on_local_ranks(const LayoutTraining& training);

/// The same global batches on one rank, in as many microbatches as the layout has in all; kept for the next layout that
/// asks for them.
const LayoutRun& train_alone(const LayoutTraining& training);

/// Where the parameters of `config` begin in LayoutRun::gradients, by name; the end last.
struct ParameterPlace {
  std::string name;
  size_t begin = 0;
  size_t end = 0;
};
std::vector<ParameterPlace> parameter_places(const model::ModelConfig& config);

/// A few layouts that between them use everything, for each run of the tests; and all of them (more than 40), up to 8
/// ranks.
std::vector<LayoutCase> short_grid();
std::vector<LayoutCase> whole_grid();

/// How far a parameter's gradient may be off, in parts of its length. It is a sum over tokens and channels, whose order
/// a layout changes: of n terms of like size it errs by about sqrt(n) units of 2^-24, and terms that cancel add their
/// own. 2e-6 is 34 units; 9 (5.5e-7) were seen.
inline constexpr double kGradientBound = 2e-6;

/// Holds a run against that of one rank, in fp32.
void expect_follows_one_rank(const LayoutTraining& training, const LayoutRun& run);

}  // namespace trireme::tests
