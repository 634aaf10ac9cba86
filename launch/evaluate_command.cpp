// trireme evaluate: loss and perplexity of a trained model over a prepared data set's validation split.
#include <cmath>
#include <cstdio>

#include "data/batch_loader.h"
#include "launch/commands.h"
#include "launch/data_sets.h"
#include "launch/microbatch.h"
#include "launch/model_source.h"
#include "runtime/error.h"
#include "runtime/threads.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;

int run_evaluate(const EvaluateOptions& options, runtime::Communicator& world) {
  runtime::use_threads(options.threads);
  runtime::Files& files = runtime::real_files();
  const ModelSource source = find_model(files, world, options.model, options.precision, options.device);
  const std::vector<data::TokenDataset> datasets = open_validation(files, options.data);
  if (datasets.front().tokenizer_description() != source.tokenizer) {
    throw Error(ErrorKind::usage, "--data " + options.data.front() +
                                      " was prepared with another tokenizer than --model " + options.model);
  }
  const int64_t T = options.sequence_length == 0 ? source.sequence_length : options.sequence_length;
  if (T > source.config.positions) {
    throw Error(ErrorKind::usage, "--sequence-length " + std::to_string(T) + " exceeds the model's " +
                                      std::to_string(source.config.positions) + " positions");
  }
  const int64_t B = options.microbatch_size;
  runtime::Stream stream(source.execution.device);
  const model::StepShape shape{.B = B, .T = T, .has_documents = source.document_mask};
  runtime::Memory memory = runtime::Memory::on(
      source.execution.device, model::plan_evaluation(source.config, source.execution, shape, world.size()));
  parallel::MeshGroups groups = parallel::make_groups({.dp = world.size()}, world);
  const auto trainer =
      model::make_trainer(source.config, model::Purpose::inference, source.execution, stream, memory, groups);
  load_parameters(files, source, *trainer);

  data::ValidationLoader loader(datasets, {.sequence_length = T,
                                           .microbatch_size = B,
                                           .rank = world.rank(),
                                           .ranks = world.size(),
                                           .document_mask = source.document_mask});
  data::Microbatch batch;
  model::reset_loss(*trainer);
  while (loader.next(batch)) {
    model::add_loss(*trainer, host_microbatch(batch, T));
  }
  const model::MeanLoss mean = model::mean_loss(*trainer);
  if (!std::isfinite(mean.loss)) {
    throw Error(ErrorKind::data, "--model " + options.model + ": the loss is not finite; the training has diverged");
  }
  if (world.rank() == 0) {
    std::printf("loss %.6f  perplexity %.4f  target tokens %lld  step %lld\n", mean.loss, std::exp(mean.loss),
                static_cast<long long>(mean.target_tokens), static_cast<long long>(source.manifest.step));
  }
  return 0;
}

}  // namespace trireme::launch
