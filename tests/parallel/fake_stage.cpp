#include "tests/parallel/fake_stage.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

namespace trireme::parallel {
namespace {

using runtime::View;

constexpr float kSpoilt = std::numeric_limits<float>::quiet_NaN();

void spoil(const View& view) {
  if (view.data != nullptr) std::fill_n(view.as<float>(), view.elements(), kSpoilt);
}

/// Small integers are exact in fp32; every chunk and microbatch gives others.
float next_activation(float x, int number, int microbatch) {
  return std::fmod(3 * x + static_cast<float>(2 * number + microbatch + 1), 1009.F);
}
float gradient_before(float d, float x, int number, int microbatch) {
  return std::fmod(5 * d + x + static_cast<float>(number + 3 * microbatch), 1013.F);
}

template <typename Values>
void expect_values(const View& view, const Values& values, const char* what) {
  if (view.data == nullptr) return;
  for (int64_t i = 0; i < view.elements(); ++i) {
    const float found = view.as<float>()[i];
    if (found == values(i)) continue;
    throw std::runtime_error(std::string(what) + ", element " + std::to_string(i) + ": " + std::to_string(found) +
                             ", expected " + std::to_string(values(i)));
  }
}

}  // namespace

SerialModel::SerialModel(int chunks, int microbatches)
    : chunks_(chunks),
      microbatches_(microbatches),
      activations_(static_cast<size_t>(kPeriod * (chunks + 1) * microbatches)),
      gradients_(activations_.size()) {
  for (int microbatch = 0; microbatch < microbatches; ++microbatch) {
    for (int64_t i = 0; i < kPeriod; ++i) {
      activations_[index(0, microbatch, i)] = static_cast<float>(i + 1);
      for (int number = 0; number < chunks; ++number) {
        const float x = activations_[index(number, microbatch, i)];
        activations_[index(number + 1, microbatch, i)] = next_activation(x, number, microbatch);
      }
      gradients_[index(chunks, microbatch, i)] = static_cast<float>(10 * i + microbatch);
      for (int number = chunks; number-- > 0;) {
        const float d = gradients_[index(number + 1, microbatch, i)];
        gradients_[index(number, microbatch, i)] =
            gradient_before(d, activations_[index(number, microbatch, i)], number, microbatch);
      }
    }
  }
}

size_t SerialModel::index(int number, int microbatch, int64_t i) const {
  return static_cast<size_t>((number * microbatches_ + microbatch) * kPeriod + i % kPeriod);
}
float SerialModel::activation(int number, int microbatch, int64_t i) const {
  return activations_[index(number, microbatch, i)];
}
float SerialModel::gradient(int number, int microbatch, int64_t i) const {
  return gradients_[index(number, microbatch, i)];
}

FakeStage::FakeStage(const ScheduleSpec& spec, std::vector<int> slots, MeshGroups& groups,
                     const FakeStageOptions& options)
    : spec_(spec),
      groups_(groups),
      options_(options),
      serial_(spec.stages * spec.chunks, spec.microbatches),
      random_(static_cast<unsigned>(17 + groups.at.pp)) {
  for (const int count : slots) {
    slots_.emplace_back(static_cast<size_t>(count));
    for (Slot& slot : slots_.back())
      slot.output.assign(options.dry ? 0 : static_cast<size_t>(options.elements), kSpoilt);
  }
}

View FakeStage::view(std::vector<float>& values) const {
  return {{values.empty() ? nullptr : values.data(), runtime::DType::fp32, {options_.elements}}};
}

PipelineBuffers FakeStage::make_buffers(const BufferCounts& counts) {
  PipelineBuffers buffers;
  memory_.reserve(memory_.size() + static_cast<size_t>(counts.inputs + counts.gradients));
  for (int buffer = 0; buffer < counts.inputs + counts.gradients; ++buffer) {
    memory_.emplace_back(options_.dry ? 0 : static_cast<size_t>(options_.elements), kSpoilt);
    (buffer < counts.inputs ? buffers.inputs : buffers.gradients).push_back(view(memory_.back()));
  }
  return buffers;
}

FakeStage::Slot& FakeStage::slot_of(int chunk, int microbatch) {
  for (Slot& slot : slots_[static_cast<size_t>(chunk)]) {
    if (slot.microbatch == microbatch) return slot;
  }
  throw std::runtime_error(microbatch < 0 ? "more microbatches in flight than slots" : "no such microbatch in flight");
}

void FakeStage::take_time() {
  if (actions_++ == options_.fails_at) throw std::runtime_error("a stage fails");
  if (options_.most_microseconds == 0) return;
  for (int part = 0; part < 2; ++part) {
    const auto half = static_cast<unsigned>(options_.most_microseconds / 2);
    if (random_() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random_() % (half + 1)));
    if (random_() % 2 == 0) groups_.pp_forward->progress();
  }
}

/// Input and output are as forward() left them.
void FakeStage::check_kept(int chunk, int microbatch) {
  Slot& slot = slot_of(chunk, microbatch);
  const auto activation = [&](int offset) {
    return [this, chunk, microbatch, offset](int64_t i) {
      return serial_.activation(number(chunk) + offset, microbatch, i);
    };
  };
  if (!slot.input.absent()) expect_values(slot.input, activation(0), "input");
  expect_values(view(slot.output), activation(1), "output");
}

View FakeStage::forward(int chunk, int microbatch, View input) {
  take_time();
  const bool is_first = number(chunk) == 0;
  const bool is_last = number(chunk) == spec_.stages * spec_.chunks - 1;
  EXPECT_EQ(input.absent(), is_first);
  EXPECT_TRUE(in_flight_.emplace(chunk, microbatch).second);
  Slot& slot = slot_of(chunk, -1);
  slot.microbatch = microbatch;
  slot.input = input;
  for (size_t i = 0; i < slot.output.size(); ++i) {
    const float x = is_first ? serial_.activation(0, microbatch, static_cast<int64_t>(i)) : input.as<float>()[i];
    slot.output[i] = next_activation(x, number(chunk), microbatch);
  }
  take_time();
  check_kept(chunk, microbatch);
  return is_last ? View{} : view(slot.output);
}

void FakeStage::backward_input(int chunk, int microbatch, View d) {
  take_time();
  const int own = number(chunk);
  check_kept(chunk, microbatch);
  const auto gradient_of_output = [&](int64_t i) { return serial_.gradient(own + 1, microbatch, i); };
  const bool is_last = own == spec_.stages * spec_.chunks - 1;
  if (!is_last) expect_values(d, gradient_of_output, "gradient");
  for (int64_t i = 0; d.data != nullptr && i < d.elements(); ++i)
    d.as<float>()[i] = serial_.gradient(own, microbatch, i);
  if (own == 0) spoil(d);
  take_time();
}

void FakeStage::backward_weight(int chunk, int microbatch) {
  take_time();
  check_kept(chunk, microbatch);
}

void FakeStage::backward(int chunk, int microbatch, View d) {
  backward_input(chunk, microbatch, d);
  backward_weight(chunk, microbatch);
}

void FakeStage::release(int chunk, int microbatch) {
  check_kept(chunk, microbatch);
  Slot& slot = slot_of(chunk, microbatch);
  spoil(view(slot.output));
  if (!slot.input.absent()) spoil(slot.input);
  slot.microbatch = -1;
  EXPECT_EQ(in_flight_.erase({chunk, microbatch}), 1U);
  ++released_;
}

}  // namespace trireme::parallel
