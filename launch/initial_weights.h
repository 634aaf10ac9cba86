// train --init-from: parameters of a checkpoint, all or those that --init-tensors names, as the initial weights of a
// new run. Optimizer, step and place in the data are not taken.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/tensor_slice.h"
#include "launch/options.h"
#include "model/config.h"
#include "runtime/communicator.h"
#include "runtime/files.h"
#include "runtime/stream.h"

namespace trireme::launch {

/// Where weights come from, and how many; of the whole model, whatever the layout.
struct InitialWeights {
  std::string step_directory;
  int64_t step = 0;
  std::string run_id;
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t tensors_of_model = 0;
};

/// Collective: rank 0 chooses the newest good step of --init-from. Throws Error(usage) naming the tensor and both
/// shapes when one that is wanted is absent there or of another shape, or the pattern that matches no tensor of the
/// model. `tokenizer` is that of the data; another one of the checkpoint is a warning.
InitialWeights find_initial_weights(runtime::Files& files, runtime::Communicator& world, const TrainOptions& options,
                                    const model::ModelConfig& config, const boost::json::object& tokenizer);

/// "weights of 28 of 28 tensors, 123,456 parameters, from RUN/checkpoints/step-000000100"
std::string initial_weights_text(const InitialWeights& weights);
/// For config.json.
boost::json::object initial_weights_json(const InitialWeights& weights);

/// Of what a rank holds on any device (parameters and moments), those that are wanted are loaded; the others stay. Then
/// model::round_masters and UnitShards::parameters_changed.
void load_initial_weights(runtime::Files& files, const InitialWeights& weights, const TrainOptions& options,
                          runtime::Stream& stream, std::span<const checkpoint::TensorSlice> held);

}  // namespace trireme::launch
