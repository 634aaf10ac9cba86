// Each layer alone: its output against the float64 reference, the gradients of its inputs and weights against central
// differences of that.
#include <gtest/gtest.h>

#include <functional>

#include "runtime/ops/elementwise.h"
#include "tests/model/small_model.h"
#include "tests/reference/finite_differences.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using model::BlockWeights;
using model::ModelConfig;
using runtime::DType;
using runtime::Shape;
using runtime::View;

constexpr int64_t kB = 2;
constexpr int64_t kT = 5;
constexpr int64_t kN = kB * kT;

/// The layers of a model of one block, given random inputs. What is differentiated is the sum of dy * y, so that the
/// gradients are those that the layer's backward makes of dy.
class LayerCase {
 public:
  LayerCase(const ModelConfig& config, DType storage)
      : trace_(__FILE__, __LINE__, config.family + " " + std::string(name(storage))),
        storage_(storage),
        small_(one_layer(config), {.storage = storage}, kB, kT),
        batch_(random_.engine(), kB, kT, config.vocabulary_size),
        slot_(small_.memory.slots[0].acquire()),
        tokens(model::upload_tokens(small_.stream, slot_.arena(), batch_.host())) {
    small_.randomize(random_.engine());
  }

  const ModelConfig& config() const { return small_.trainer->config; }
  model::Context context() { return model::context_of(*small_.trainer); }
  const BlockWeights& weights() const { return small_.trainer->chunks[0].weights.blocks[0]; }
  const BlockWeights& gradients() const { return small_.trainer->chunks[0].gradients.blocks[0]; }
  model::Trainer& trainer() { return *small_.trainer; }
  const std::vector<int32_t>& targets() const { return batch_.targets; }
  runtime::Arena& arena() { return arena_; }

  /// (N, C) in the storage, N(0, 1) or NaN.
  View normals() {
    const View view = empty();
    const Tensor<float> values = random_.normals(view.shape);
    runtime::cast(small_.stream, values.view(), view);
    return view;
  }
  View empty() { return filled({kN, config().width}, std::numeric_limits<double>::quiet_NaN()); }
  View filled(const Shape& shape, double value) {
    const View view = arena_.allocate(storage_, shape);
    runtime::fill(small_.stream, view, value);
    return view;
  }

  /// An input and what the backward says of it.
  struct Input {
    View value;
    View gradient;
  };
  struct Output {
    View value;
    View dy;
  };
  /// `reference` makes the outputs' rows from the inputs and the parameters under `prefix`, all by name.
  void expect_matches(const std::string& prefix, const std::map<std::string, Input>& inputs,
                      const std::vector<Output>& outputs,
                      const std::function<std::vector<Rows>(const Parameters&)>& reference) {
    Parameters at;
    Parameters actual;
    const Parameters gradients = small_.values(&parallel::UnitMemory::gradients);
    for (const auto& [key, value] : small_.values(&parallel::UnitMemory::parameters)) {
      if (!key.starts_with(prefix)) continue;
      at[key] = value;
      actual[key] = gradients.at(key);
    }
    for (const auto& [key, input] : inputs) {
      at[key] = doubles(small_.stream, input.value);
      actual[key] = doubles(small_.stream, input.gradient);
    }
    const std::vector<Rows> expected = reference(at);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Vector y = doubles(small_.stream, outputs[i].value);
      EXPECT_LE(relative_error(std::span<const double>(y), expected[i].values), tolerance()) << "output " << i;
    }
    const auto scalar = [&](const Parameters& p) {
      const std::vector<Rows> rows = reference(p);
      double sum = 0;
      for (size_t i = 0; i < outputs.size(); ++i) {
        const Vector dy = doubles(small_.stream, outputs[i].dy);
        for (size_t e = 0; e < dy.size(); ++e) sum += rows[i].values[e] * dy[e];
      }
      return sum;
    };
    expect_gradients_near(actual, finite_differences(at, scalar), {.of_own = tolerance(), .of_all = tolerance() / 10});
  }

 private:
  /// A layer is a few ops.
  double tolerance() const {
    return storage_ == DType::bf16 ? 2 * kStorageTolerance<runtime::bf16> : kStorageTolerance<float>;
  }
  static ModelConfig one_layer(ModelConfig config) {
    config.layers = 1;
    return config;
  }

  testing::ScopedTrace trace_;
  Random random_;
  DType storage_;
  SmallModel small_;
  SmallBatch batch_;
  runtime::Arena arena_ = runtime::Arena::host("activations", 1 << 20);
  runtime::SlotRing::Lease slot_;

 public:
  const model::TokenViews tokens;
};

Rows rows_of(const Parameters& p, const std::string& name, int64_t width) {
  Rows rows(kN, width);
  rows.values = p.at(name);
  return rows;
}

/// y = norm(residual + branch), and the sum itself, which later layers read.
void expect_norm_matches(const ModelConfig& config, DType storage) {
  LayerCase layer(config, storage);
  const View residual = layer.normals();
  const View branch = layer.normals();
  const View dy = layer.normals();
  const View dresidual = layer.normals();
  const View dx = layer.empty();
  model::Context context = layer.context();
  const model::NormSaved saved = norm_forward(context, layer.weights().norm2, {.residual = residual, .branch = branch},
                                              layer.arena(), layer.arena());
  norm_backward(context, layer.weights().norm2, layer.gradients().norm2, saved,
                {.dy = dy, .dresidual = dresidual, .dx = dx});
  const std::string name = "layers.0.post_attention_layernorm";
  layer.expect_matches(name, {{"residual", {residual, dx}}, {"branch", {branch, dx}}},
                       {{saved.y, dy}, {saved.sum, dresidual}}, [&](const Parameters& p) {
                         Rows sum = rows_of(p, "residual", config.width);
                         add_rows(sum, rows_of(p, "branch", config.width));
                         return std::vector<Rows>{reference_norm(config, sum, p, name), sum};
                       });
}

TEST(Layers, NormMatchesFloat64) {
  for (const DType storage : {DType::fp32, DType::bf16}) {
    expect_norm_matches(small_gpt2(), storage);
    expect_norm_matches(small_llama(), storage);
  }
}

void expect_feed_forward_matches(const ModelConfig& config, DType storage) {
  LayerCase layer(config, storage);
  const View x = layer.normals();
  const View y = layer.empty();
  const View dy = layer.normals();
  const View dx = layer.empty();
  model::Context context = layer.context();
  const model::FeedForwardSaved saved =
      feed_forward_up(context, layer.weights().feed_forward, x, layer.arena(), layer.arena());
  feed_forward_down(context, layer.weights().feed_forward, saved, y);
  feed_forward_backward(context, layer.weights().feed_forward, layer.gradients().feed_forward, saved,
                        {.x = x, .dy = dy, .dx = dx});
  const std::string name = "layers.0.mlp";
  layer.expect_matches(name, {{"x", {x, dx}}}, {{y, dy}}, [&](const Parameters& p) {
    return std::vector<Rows>{reference_feed_forward(config, rows_of(p, "x", config.width), p, name)};
  });
}

TEST(Layers, FeedForwardMatchesFloat64) {
  ModelConfig gelu_alone = small_gpt2();
  gelu_alone.feed_forward_bias = false;
  ModelConfig swiglu_with_biases = small_llama();
  swiglu_with_biases.feed_forward_bias = true;
  for (const DType storage : {DType::fp32, DType::bf16}) {
    for (const ModelConfig& config : {small_gpt2(), small_llama(), gelu_alone, swiglu_with_biases}) {
      expect_feed_forward_matches(config, storage);
    }
  }
}

void expect_attention_matches(const ModelConfig& config, DType storage) {
  LayerCase layer(config, storage);
  const View x = layer.normals();
  const View y = layer.empty();
  const View dy = layer.normals();
  const View dx = layer.empty();
  model::Context context = layer.context();
  const model::AttentionSaved saved =
      attention_forward(context, layer.weights().attention, layer.tokens, x, y, layer.arena());
  attention_backward(context, layer.weights().attention, layer.gradients().attention, layer.tokens, saved,
                     {.x = x, .dy = dy, .dx = dx});
  const std::string name = "layers.0.self_attn";
  layer.expect_matches(name, {{"x", {x, dx}}}, {{y, dy}}, [&](const Parameters& p) {
    return std::vector<Rows>{reference_attention(config, rows_of(p, "x", config.width), p, name, kT)};
  });
}

TEST(Layers, AttentionMatchesFloat64) {
  ModelConfig biased = small_llama();
  biased.attention_bias = true;
  for (const DType storage : {DType::fp32, DType::bf16}) {
    for (const ModelConfig& config : {small_gpt2(), small_llama(), small_llama_tied(), biased}) {
      expect_attention_matches(config, storage);
    }
  }
}

/// The loss alone is the output: its dy is 1.
void expect_head_matches(const ModelConfig& config, DType storage) {
  LayerCase layer(config, storage);
  const View y = layer.normals();
  const View dy = layer.empty();
  model::Context context = layer.context();
  model::reset_loss(layer.trainer());
  const View totals = layer.trainer().totals.rows(0, 2);
  head_loss_and_gradient(context, layer.trainer().chunks[0].weights.head, layer.trainer().chunks[0].gradients.head,
                         layer.tokens, {.y = y}, dy, totals);
  EXPECT_EQ(totals.as<double>()[1], kN);
  layer.expect_matches(config.tied_embeddings ? "embed_tokens" : "lm_head", {{"y", {y, dy}}},
                       {{totals.rows(0, 1), layer.filled({1}, 1)}}, [&](const Parameters& p) {
                         const Rows logits = reference_logits_of(config, rows_of(p, "y", config.width), p);
                         Rows loss(1, 1);
                         loss.values[0] = reference_cross_entropy(logits, layer.targets());
                         return std::vector<Rows>{loss};
                       });
}

TEST(Layers, HeadMatchesFloat64) {
  for (const DType storage : {DType::fp32, DType::bf16}) {
    expect_head_matches(small_gpt2(), storage);
    expect_head_matches(small_llama(), storage);
  }
}

}  // namespace
}  // namespace trireme::tests
