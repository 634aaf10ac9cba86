// What another program needs to train the same steps: the initial weights, a batch and the losses that came out, as raw
// files and one JSON that says what lies where. bench/gpu_pytorch.py reads them.
#pragma once

#include <string>
#include <vector>

#include "model/train_step.h"

namespace trireme::model {

/// DIRECTORY/weights.f32: the masters of all parameters behind one another, fp32, little endian; DIRECTORY/weights.txt:
/// a line a parameter, in that order, its name and its shape. The directory exists.
void write_weights(runtime::Stream& stream, const std::vector<Unit>& units, const std::string& directory);

/// DIRECTORY/batch.i32: B*T tokens, then B*T targets.
void write_batch(const HostMicrobatch& batch, const std::string& directory);

/// DIRECTORY/start.json: model, B, T, precision, options of the updates, and the loss of each step, the first of them
/// of the initial weights.
struct StartRecord {
  std::string model;
  std::string precision;
  int64_t B = 0;
  int64_t T = 0;
  UpdateOptions update;
  std::vector<double> losses;
};
void write_record(const ModelConfig& config, const StartRecord& record, const std::string& directory);

}  // namespace trireme::model
