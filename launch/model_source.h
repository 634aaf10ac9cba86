// Where models come from: a preset or a config.json for training; a run or a step directory for evaluate and generate.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>

#include "checkpoint/manifest.h"
#include "model/config.h"
#include "model/train_step.h"
#include "runtime/communicator.h"
#include "runtime/files.h"

namespace trireme::launch {

/// --model of train: the name of a preset, a config.json, or a directory that holds one. Throws Error(usage) naming the
/// choices.
model::ModelConfig model_to_train(runtime::Files& files, const std::string& option);

/// A trained model on disk.
struct ModelSource {
  std::string step_directory;
  checkpoint::Manifest manifest;
  model::ModelConfig config;
  boost::json::object tokenizer;  ///< its description, as data::open_tokenizer takes it
  int64_t sequence_length = 0;    ///< that it was trained with
  bool document_mask = false;     ///< trained with --document-mask: evaluated with it too
  model::Execution execution;     ///< how to compute it
};

/// The step directory that `path` is, or the newest good one of the run that it is; `option` is whose value that is,
/// for messages: "--model". Reads every byte of what it tries of a run. Throws Error naming the path.
std::string find_step_directory(runtime::Files& files, const std::string& option, const std::string& path);

/// --model of evaluate and generate: a run (its newest good checkpoint) or a step directory; their --precision,
/// where empty stands for that of the run, and --device. Collective: rank 0 chooses, since a run may be alive. Throws
/// Error naming the path and the mend.
ModelSource find_model(runtime::Files& files, runtime::Communicator& world, const std::string& option,
                       const std::string& precision, const std::string& device);

/// Reads the parameters into a trainer that was made with the source's config.
void load_parameters(runtime::Files& files, const ModelSource& source, model::Trainer& trainer);

}  // namespace trireme::launch
