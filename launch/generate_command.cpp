// trireme generate: prompt and continuation on standard output, nothing else.
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "launch/commands.h"
#include "launch/model_source.h"
#include "launch/run_tokenizer.h"
#include "model/generation.h"
#include "runtime/threads.h"

namespace trireme::launch {

namespace {

/// Feeds `text` from its end as far as half the positions reach, which leaves room to go on.
std::span<const float> refill(model::Generator& generator, const std::vector<int32_t>& text) {
  generator.clear();
  const size_t kept = std::min(text.size(), static_cast<size_t>(std::max<int64_t>(1, generator.positions() / 2)));
  return generator.feed(std::span(text).last(kept));
}

}  // namespace

int run_generate(const GenerateOptions& options) {
  runtime::use_threads(options.threads);
  runtime::Files& files = runtime::real_files();
  const auto world = runtime::solo_communicator();
  const ModelSource source = find_model(files, *world, options.model, options.precision, options.device);
  const auto tokenizer = trained_tokenizer(files, source.tokenizer, source.step_directory);
  std::vector<int32_t> text;
  tokenizer->encode(options.prompt, text);
  if (text.empty()) text.push_back(tokenizer->end_of_text());  // what every document of the data follows

  parallel::MeshGroups groups = parallel::make_groups({}, *world);
  runtime::Stream stream(source.execution.device);
  runtime::Memory memory =
      runtime::Memory::on(source.execution.device, model::plan_generation(source.config, source.execution));
  const auto trainer =
      model::make_trainer(source.config, model::Purpose::inference, source.execution, stream, memory, groups);
  load_parameters(files, source, *trainer);
  model::Generator generator(*trainer);

  const auto known = static_cast<size_t>(tokenizer->vocabulary_size());  // a model's vocabulary may be larger
  std::cout << options.prompt << std::flush;
  const model::SamplingOptions sampling{.temperature = options.temperature,
                                        .top_k = options.top_k,
                                        .top_p = options.top_p,
                                        .seed = static_cast<uint64_t>(options.seed)};
  std::span<const float> logits =
      static_cast<int64_t>(text.size()) > generator.positions() ? refill(generator, text) : generator.feed(text);
  for (int64_t i = 0; i < options.max_new_tokens; ++i) {
    const int32_t token = model::sample(logits.first(known), sampling, i);
    if (token == tokenizer->end_of_text()) break;
    text.push_back(token);
    std::cout << tokenizer->decode(std::span(&token, 1)) << std::flush;
    if (i + 1 == options.max_new_tokens) break;
    logits = generator.past() == generator.positions() ? refill(generator, text) : generator.feed(std::span(&token, 1));
  }
  if (isatty(STDOUT_FILENO) != 0) std::cout << '\n';  // a shell's prompt wants a line of its own
  return 0;
}

}  // namespace trireme::launch
