#include "tests/checkpoint/mixed_sample.h"

#include <cstdint>
#include <cstring>

#include "checkpoint/attempt.h"
#include "checkpoint/save.h"
#include "checkpoint/step_directory.h"
#include "runtime/local_ranks.h"

namespace trireme::tests {
namespace {

using runtime::DType;

struct Tensor {
  std::string name;
  std::string kind;
  DType dtype;
  std::vector<int64_t> shape;
  bool is_any_bits = false;
};
const std::vector<Tensor> kTensors = {
    {"a.bf16", "parameter", DType::bf16, {5, 6}},     {"b.fp32", "parameter", DType::fp32, {3, 4}},
    {"b.fp32", "exp_avg", DType::fp32, {3, 4}, true}, {"c.fp32", "parameter", DType::fp32, {2, 3, 4}},
    {"d.bf16", "parameter", DType::bf16, {7}},        {"e.wide", "parameter", DType::fp32, {300, 130}, true}};

std::string elements_of(const Tensor& tensor) {
  const auto count = static_cast<size_t>(parallel::whole(tensor.shape).elements());
  const auto element_bytes = static_cast<size_t>(size_bytes(tensor.dtype));
  std::string bytes(count * element_bytes, '\0');
  for (size_t i = 0; i < count; ++i) {
    const float value = MixedSample::value(i);
    uint32_t bits = static_cast<uint32_t>(i) * 2654435761u + 12345u;
    if (!tensor.is_any_bits) std::memcpy(&bits, &value, sizeof bits);
    if (tensor.dtype == DType::bf16) bits >>= 16;  // little-endian: the low bytes are what is copied
    std::memcpy(bytes.data() + i * element_bytes, &bits, element_bytes);
  }
  return bytes;
}

}  // namespace

MixedSample::MixedSample(const std::string& checkpoints_directory)
    : step_directory(checkpoint::step_directory(checkpoints_directory, 1)) {
  for (const Tensor& tensor : kTensors) elements[tensor.kind + "/" + tensor.name] = elements_of(tensor);
  const int64_t attempt = checkpoint::claim_attempt(runtime::real_files(), checkpoints_directory, "a sample");
  runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
    checkpoint::SaveRequest request{
        .checkpoints_directory = checkpoints_directory, .step = 1, .run_id = "sample", .attempt = attempt};
    for (const Tensor& tensor : kTensors) {
      parallel::Box box = parallel::whole(tensor.shape);
      const int64_t half = box.size[0] / 2;
      box.start[0] = communicator.rank() == 0 ? 0 : half;
      box.size[0] = communicator.rank() == 0 ? half : box.size[0] - half;
      std::string& bytes = elements.at(tensor.kind + "/" + tensor.name);
      const int64_t row_bytes = std::ssize(bytes) / tensor.shape[0];
      const runtime::View data{{bytes.data() + box.start[0] * row_bytes, tensor.dtype, {box.elements()}}};
      request.slices.push_back({tensor.name, tensor.kind, tensor.shape, box, data});
    }
    checkpoint::save(runtime::real_files(), communicator, request);
  });
}

}  // namespace trireme::tests
