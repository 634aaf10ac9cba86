#include "model/probe_steps.h"

#include <algorithm>
#include <span>

#include "model/random_batch.h"
#include "model/train_step.h"
#include "runtime/error.h"
#include "runtime/stopwatch.h"

namespace trireme::model {
namespace {

/// As wide as gpt2-124m with its vocabulary, which is what its head's products are wide by; two layers are enough to
/// push each other out of the caches.
ModelConfig wide_gpt2() {
  ModelConfig config = preset("gpt2-124m");
  config.layers = 2;
  return config;
}

/// The same in llama's family, with a smaller head.
ModelConfig wide_llama() {
  ModelConfig config = preset("llama-1b");
  config.layers = 2;
  config.width = 768;
  config.heads = 12;
  config.kv_heads = 4;
  config.feed_forward_width = 2048;
  config.positions = 1024;
  config.vocabulary_size = 16384;
  return config;
}

ModelConfig small(ModelConfig config) {
  config.layers = 2;
  config.width = 64;
  config.heads = 4;
  config.kv_heads = 4;
  config.head_width = 16;
  config.feed_forward_width = 256;
  config.vocabulary_size = 256;
  return config;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

/// A step with its time and that of its calls; a row of each kind, in the same order in every step.
struct TimedStep {
  runtime::OpProfile ops;
  double seconds = 0;
};

std::vector<TimedStep> run_steps(const ProbeStep& probe) {
  const Execution execution{.storage = probe.storage, .cut_tokens = probe.T};
  const UpdateOptions options{.dropout = probe.dropout};
  const StepShape shape{.B = probe.B, .T = probe.T};
  runtime::Stream stream(execution.device);
  runtime::Memory memory =
      runtime::Memory::on(execution.device, plan_training(probe.config, execution, {}, shape, options));
  const auto alone = runtime::solo_communicator();
  parallel::MeshGroups groups = parallel::make_groups({}, *alone);
  const auto trainer = make_trainer(probe.config, Purpose::training, execution, stream, memory, groups);
  initialize(stream, 1, trainer->units);
  trainer->shards.parameters_changed();
  const RandomBatch batch(1, probe.B, probe.T, probe.config.vocabulary_size);
  train_step(*trainer, std::span(&batch.view, 1), options);
  std::vector<TimedStep> timed(static_cast<size_t>(probe.steps));
  for (TimedStep& step : timed) {
    stream.profile_into(&step.ops);
    const runtime::Stopwatch watch;
    const StepResult result = train_step(*trainer, std::span(&batch.view, 1), options);
    step.seconds = watch.seconds();
    stream.profile_into(nullptr);
    if (!result.updated()) throw runtime::Error(runtime::ErrorKind::internal, "a probe step's loss is not finite");
  }
  return timed;
}

/// Of a call: what of the step no op took, in equal shares.
double seconds_between_calls(const TimedStep& step) {
  double seconds = step.seconds;
  int64_t calls = 0;
  for (const runtime::OpProfile::Row& row : step.ops.rows()) {
    seconds -= row.seconds;
    calls += row.calls;
  }
  return std::max(seconds, 0.0) / static_cast<double>(calls);
}

}  // namespace

std::vector<ProbeStep> small_probe_steps() {
  std::vector<ProbeStep> probes;
  for (const runtime::DType storage : {runtime::DType::fp32, runtime::DType::bf16}) {
    const ProbeStep gpt2{.config = small(wide_gpt2()), .storage = storage, .B = 4, .T = 64};
    const ProbeStep llama{.config = small(wide_llama()), .storage = storage, .B = 4, .T = 64};
    probes.insert(probes.end(), {gpt2, llama});
    probes.push_back(gpt2);
    probes.back().dropout = 0.1;
  }
  return probes;
}

std::vector<ProbeStep> wide_probe_steps() {
  std::vector<ProbeStep> probes;
  for (const runtime::DType storage : {runtime::DType::fp32, runtime::DType::bf16}) {
    for (const ModelConfig& config : {wide_gpt2(), wide_llama()}) {
      probes.push_back({.config = config, .storage = storage, .B = 1, .T = 256});
      probes.push_back({.config = config, .storage = storage, .B = 1, .T = 1024, .dropout = 0, .steps = 3});
    }
  }
  return probes;
}

std::vector<runtime::OpTime> time_ops(const ProbeStep& probe) {
  const std::vector<TimedStep> timed = run_steps(probe);
  std::vector<runtime::OpTime> times;
  const std::vector<runtime::OpProfile::Row>& rows = timed.front().ops.rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> seconds;
    for (const TimedStep& step : timed) {
      seconds.push_back(step.ops.rows()[i].seconds / static_cast<double>(rows[i].calls) + seconds_between_calls(step));
    }
    times.push_back({.op = rows[i].op,
                     .storage = probe.storage,
                     .sizes = rows[i].sizes,
                     .flops = rows[i].flops / rows[i].calls,
                     .bytes = rows[i].bytes / rows[i].calls,
                     .seconds = median(seconds)});
  }
  return times;
}

}  // namespace trireme::model
