#include "launch/layout_space.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "launch/execution_words.h"
#include "launch/layout_checks.h"
#include "launch/number_text.h"
#include "launch/slurm/sweep.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using model::Recompute;
using parallel::Mesh;
using parallel::ScheduleKind;

bool is_given(const LayoutSpace& space, const std::string& option) {
  return std::ranges::find(space.given, option) != space.given.end();
}

/// What `check` says against it, without the mend at its end, which is no use among all layouts; empty: nothing.
std::string objection(const std::function<void()>& check) {
  try {
    check();
  } catch (const runtime::Error& error) {
    if (error.kind() != runtime::ErrorKind::usage) throw;
    const std::string text = error.what();
    return text.substr(0, text.rfind("; the nearest"));
  }
  return "";
}

/// The divisors of `number`, or what was given if it is one.
std::vector<int> axis_sizes(const LayoutSpace& space, int number, const std::string& option, int64_t given) {
  std::vector<int> sizes;
  for (int size = 1; size <= number; ++size) {
    if (number % size == 0 && (!is_given(space, option) || size == given)) sizes.push_back(size);
  }
  return sizes;
}

std::vector<Mesh> meshes(const LayoutSpace& space) {
  TrainOptions given = space.options;
  if (!is_given(space, "tensor-parallel")) given.tensor_parallel = 1;
  if (!is_given(space, "pipeline-parallel")) given.pipeline_parallel = 1;
  check_ranks(given, space.config, space.sequence_length, space.ranks);
  std::vector<Mesh> all;
  for (const int tp : axis_sizes(space, space.ranks, "tensor-parallel", space.options.tensor_parallel)) {
    const int others = space.ranks / tp;
    for (const int pp : axis_sizes(space, others, "pipeline-parallel", space.options.pipeline_parallel)) {
      all.push_back({.tp = tp, .dp = others / pp, .pp = pp});
    }
  }
  return all;
}

/// Options in which nothing is chosen but the mesh; what is free has the value that stands least in the way.
TrainOptions options_of(const LayoutSpace& space, const Mesh& mesh) {
  TrainOptions options = space.options;
  options.tensor_parallel = mesh.tp;
  options.pipeline_parallel = mesh.pp;
  if (!is_given(space, "virtual-stages")) options.virtual_stages = 1;
  if (!is_given(space, "pipeline-schedule")) options.pipeline_schedule = TrainOptions{}.pipeline_schedule;
  if (!is_given(space, "microbatch-size")) options.microbatch_size = 0;
  return options;
}

void check_machine(const LayoutSpace& space, const Mesh& mesh) {
  if (is_given(space, "tensor-parallel") || space.ranks_per_machine % mesh.tp == 0) return;
  throw runtime::Error(runtime::ErrorKind::usage, "--tensor-parallel " + std::to_string(mesh.tp) +
                                                      " does not divide the " +
                                                      counted(space.ranks_per_machine, "rank") + " of a machine");
}

/// What check() of train's options says of a pipeline of one stage, in fewer words.
void check_pipeline(const TrainOptions& options) {
  if (options.pipeline_parallel > 1) return;
  std::string what;
  if (options.virtual_stages > 1) what = "--virtual-stages " + std::to_string(options.virtual_stages);
  if (options.pipeline_schedule != "1f1b") what = "--pipeline-schedule " + options.pipeline_schedule;
  if (!what.empty()) throw runtime::Error(runtime::ErrorKind::usage, what + " needs a pipeline");
}

/// What stands in the way of all layouts of a mesh; its obstacle is none where nothing does.
Candidate judge(const LayoutSpace& space, const Mesh& mesh) {
  struct Question {
    Obstacle obstacle;
    int64_t distance;
    std::function<void()> check;
  };
  const TrainOptions options = options_of(space, mesh);
  const Question questions[] = {
      {Obstacle::tensor_parallel, mesh.tp,
       [&] { check_tensor_parallel(options, space.config, space.sequence_length, space.ranks); }},
      {Obstacle::machine, mesh.tp, [&] { check_machine(space, mesh); }},
      {Obstacle::pipeline, 0, [&] { check_pipeline(options); }},
      {Obstacle::layers, mesh.pp, [&] { check_stages(options, space.config, space.ranks); }},
      {Obstacle::batch, mesh.dp, [&] { check_batch(options, mesh); }}};
  Candidate candidate;
  candidate.choice.layout.mesh = mesh;
  for (const Question& question : questions) {
    candidate.reason = objection(question.check);
    if (candidate.reason.empty()) continue;
    candidate.obstacle = question.obstacle;
    candidate.distance = question.distance;
    break;
  }
  return candidate;
}

struct Pipelining {
  ScheduleKind schedule = ScheduleKind::one_f_one_b;
  int virtual_stages = 1;
};

std::vector<Pipelining> pipelinings(const LayoutSpace& space, int pp) {
  if (pp == 1) return {{}};
  std::vector<ScheduleKind> schedules{ScheduleKind::one_f_one_b, ScheduleKind::zb_h1};
  if (is_given(space, "pipeline-schedule")) {
    schedules = {schedule_of(space.options.pipeline_schedule, "--pipeline-schedule")};
  }
  std::vector<Pipelining> all;
  for (const ScheduleKind schedule : schedules) {
    const bool free = schedule == ScheduleKind::one_f_one_b && !is_given(space, "virtual-stages");
    const int given = is_given(space, "virtual-stages") ? static_cast<int>(space.options.virtual_stages) : 1;
    if (schedule == ScheduleKind::zb_h1 && given > 1) continue;
    const int most = free ? static_cast<int>(space.config.layers / pp) : given;
    for (int chunks = free ? 1 : given; chunks <= most; ++chunks) all.push_back({schedule, chunks});
  }
  return all;
}

std::vector<int64_t> microbatch_sizes(const LayoutSpace& space, const Mesh& mesh) {
  if (is_given(space, "microbatch-size") && space.options.microbatch_size > 0) return {space.options.microbatch_size};
  const int64_t share = space.options.global_batch_size / mesh.dp;
  std::vector<int64_t> sizes;
  for (int64_t size = 1; share % size == 0; size *= 2) sizes.push_back(size);
  return sizes;
}

std::vector<int> zero_stages(const LayoutSpace& space, const Mesh& mesh) {
  if (mesh.dp == 1) return {0};
  if (is_given(space, "zero-stage")) return {static_cast<int>(space.options.zero_stage.value_or(1))};
  return {0, 1, 2, 3};
}

std::vector<Recompute> recomputes(const LayoutSpace& space) {
  if (is_given(space, "recompute")) return {recompute_of(space.options.recompute, "--recompute")};
  return {Recompute::none, Recompute::selective, Recompute::full};
}

/// Every pipeline of a mesh with microbatches of that size; ZeRO stage and recomputation are not chosen yet.
std::vector<Candidate> pipelines(const LayoutSpace& space, const Mesh& mesh, int64_t microbatch_size) {
  std::vector<Candidate> all;
  for (const Pipelining& pipelining : pipelinings(space, mesh.pp)) {
    Candidate& candidate = all.emplace_back();
    candidate.choice.layout = {.mesh = mesh,
                               .schedule = pipelining.schedule,
                               .virtual_stages = pipelining.virtual_stages,
                               .microbatch_size = microbatch_size,
                               .microbatches = space.options.global_batch_size / mesh.dp / microbatch_size};
    const TrainOptions options = with_choice(space.options, candidate.choice);
    candidate.reason = objection([&] { check_interleaving(options, mesh, microbatch_size); });
    if (candidate.reason.empty()) continue;
    candidate.obstacle = Obstacle::microbatches;
    candidate.distance = mesh.pp - candidate.choice.layout.microbatches % mesh.pp;
  }
  return all;
}

void add_layouts(const LayoutSpace& space, const Mesh& mesh, std::vector<Candidate>& candidates) {
  for (const int64_t microbatch_size : microbatch_sizes(space, mesh)) {
    const std::vector<Candidate> alike = pipelines(space, mesh, microbatch_size);
    for (const int zero_stage : zero_stages(space, mesh)) {
      for (const Recompute recompute : recomputes(space)) {
        for (Candidate candidate : alike) {
          candidate.choice.layout.zero_stage = zero_stage;
          candidate.choice.recompute = recompute;
          candidates.push_back(std::move(candidate));
        }
      }
    }
  }
}

std::string word_of(Recompute recompute) {
  const std::vector<std::string> words = recompute_words();
  return *std::ranges::find_if(words, [&](const auto& word) { return recompute_of(word, "") == recompute; });
}

}  // namespace

std::string_view name(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::none:
      return "none";
    case Obstacle::tensor_parallel:
      return "tensor-parallel";
    case Obstacle::machine:
      return "machine";
    case Obstacle::layers:
      return "layers";
    case Obstacle::pipeline:
      return "pipeline";
    case Obstacle::batch:
      return "batch";
    case Obstacle::microbatches:
      return "microbatches";
    case Obstacle::memory:
      return "memory";
  }
  return "?";
}

TrainOptions with_choice(TrainOptions options, const LayoutChoice& choice) {
  const Layout& layout = choice.layout;
  options.tensor_parallel = layout.mesh.tp;
  options.pipeline_parallel = layout.mesh.pp;
  options.pipeline_schedule = parallel::name(layout.schedule);
  options.virtual_stages = layout.virtual_stages;
  options.microbatch_size = layout.microbatch_size;
  options.zero_stage.reset();
  if (layout.mesh.dp > 1) options.zero_stage = layout.zero_stage;
  options.recompute = word_of(choice.recompute);
  return options;
}

std::string choice_words(const LayoutChoice& choice) {
  std::string text;
  for (const std::string& word : command_words(with_choice({}, choice))) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool differ_in_pipeline_alone(const LayoutChoice& a, const LayoutChoice& b) {
  LayoutChoice changed = a;
  changed.layout.schedule = b.layout.schedule;
  changed.layout.virtual_stages = b.layout.virtual_stages;
  return changed == b;
}

std::vector<Candidate> layout_candidates(const LayoutSpace& space) {
  std::vector<Candidate> candidates;
  for (const Mesh& mesh : meshes(space)) {
    const Candidate whole = judge(space, mesh);
    if (whole.obstacle != Obstacle::none) {
      candidates.push_back(whole);
      continue;
    }
    add_layouts(space, mesh, candidates);
  }
  return candidates;
}

}  // namespace trireme::launch
