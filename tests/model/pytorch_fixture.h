// A file of tests/parity/make_fixtures.py: a model's weights, batches, and what PyTorch made of them. Knows the
// datasets, not what is compared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/train_step.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/h5.h"
#include "runtime/json.h"

namespace trireme::tests {

struct Fixture {
  runtime::H5Reader reader;
  std::unique_ptr<runtime::File> file;
  const model::ModelConfig config;
  const std::string made_with;             ///< versions and seed
  const int64_t parameters;                ///< elements of all of them
  const std::vector<int64_t> batch_shape;  ///< batches, sequences in a batch, tokens in a sequence
  const std::vector<int32_t> tokens;       ///< of all batches
  const std::vector<int32_t> targets;
  const std::vector<double> learning_rates;  ///< of each step
  const std::vector<double> losses;          ///< mean over the targets of the step's batch
  const std::vector<double> gradient_norms;  ///< before clipping
  std::vector<int64_t> samples;

  explicit Fixture(const std::string& path)
      : reader(runtime::real_files(), path),
        file(runtime::real_files().open(path)),
        config(model::parse_model_config(runtime::parse_json(reader.text_attribute("/", "config")).as_object(), path)),
        made_with(reader.text_attribute("/", "made_with")),
        parameters(reader.integer_attribute("/", "parameters").at(0)),
        batch_shape(reader.dataset("/tokens").shape),
        tokens(read<int32_t>("/tokens")),
        targets(read<int32_t>("/targets")),
        learning_rates(read<double>("/learning_rates")),
        losses(read<double>("/losses")),
        gradient_norms(read<double>("/gradient_norms")) {
    for (int64_t b = 0; b < batch_shape[0] * batch_shape[1]; ++b) samples.push_back(b);
  }

  template <typename T>
  std::vector<T> read(const std::string& name) {
    const runtime::H5Dataset dataset = reader.dataset(name);
    if (dataset.dtype != runtime::dtype_of<T>) {
      throw runtime::Error(runtime::ErrorKind::data, name + " is " + std::string(runtime::name(dataset.dtype)));
    }
    int64_t elements = 1;
    for (int64_t size : dataset.shape) elements *= size;
    std::vector<T> values(static_cast<size_t>(elements));
    file->read_at(dataset.offset_bytes, std::as_writable_bytes(std::span(values)));
    return values;
  }

  /// The batch of a step (from 0; they come round in turn), cut into microbatches of B sequences.
  std::vector<model::HostMicrobatch> batch(int64_t step, int64_t B) const {
    const int64_t sequences = batch_shape[1];
    const int64_t T = batch_shape[2];
    const int64_t first = step % batch_shape[0] * sequences;
    std::vector<model::HostMicrobatch> microbatches;
    for (int64_t b = first; b < first + sequences; b += B) {
      microbatches.push_back({.B = B,
                              .T = T,
                              .tokens = tokens.data() + b * T,
                              .targets = targets.data() + b * T,
                              .samples = samples.data() + b});
    }
    return microbatches;
  }
};

}  // namespace trireme::tests
