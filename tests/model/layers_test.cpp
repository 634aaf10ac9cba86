// Each layer alone: gradients of its input and weights against central differences of the float64 reference.
#include <gtest/gtest.h>

#include <functional>
#include <list>

#include "runtime/memory.h"
#include "tests/model/small_model.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using runtime::Arena;
using runtime::View;

constexpr int64_t kB = 2;
constexpr int64_t kT = 5;
constexpr int64_t kN = kB * kT;

/// One layer in memory of its own: named weights, an input x and an output gradient dy. The scalar that is differentiated is the sum of
/// dy * y.
class LayerCase {
 public:
  explicit LayerCase(const model::ModelConfig& config_) : config(config_), x(values("x", {kN, config_.width})) {}

  View weight(const std::string& name, runtime::Shape shape) { return values(name, shape); }
  View gradient(runtime::Shape shape) { return zeros_.emplace_back(Tensor<float>(shape)).view(); }

  model::Context context() { return {.config = config, .stream = stream_, .scratch = scratch_, .tp = *tp_}; }
  model::TokenViews tokens() const { return {.B = kB, .T = kT}; }
  Arena& slot() { return slot_; }
  View output() { return gradient({kN, config.width}); }
  View dy() { return dy_.view(); }

  /// Holds `analytic` against differences of `reference`(values by name) -> y, at some elements of the tensor `name`.
  void expect_gradient(const std::string& name, const View& analytic,
                       const std::function<Rows(const Parameters&)>& reference) {
    Parameters at;
    for (const auto& [key, tensor] : named_) at[key] = to_double(tensor);
    const auto scalar = [&] {
      const Rows y = reference(at);
      double sum = 0;
      for (int64_t i = 0; i < dy_.size(); ++i) sum += y.values[static_cast<size_t>(i)] * dy_[i];
      return sum;
    };
    const std::vector<float> gradient(analytic.as<float>(), analytic.as<float>() + analytic.elements());
    double norm = 0;
    for (float g : gradient) norm += double{g} * g;
    for (int probe = 0; probe < 8; ++probe) {
      const size_t i = static_cast<size_t>(random_.below(analytic.elements()));
      constexpr double kStep = 1e-5;  // error of the quotient about 1e-9
      double& value = at.at(name)[i];
      const double before = value;
      value = before + kStep;
      const double above = scalar();
      value = before - kStep;
      const double below = scalar();
      value = before;
      // fp32 sums of some hundred terms; the absolute part is for tensors whose gradient cancels (the bias of k).
      EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-5 * std::sqrt(norm) + 2e-6) << name << "[" << i << "]";
    }
  }

  const model::ModelConfig config;

 private:
  View values(const std::string& name, runtime::Shape shape) {
    return named_.emplace(name, random_.normals(shape, 0.5f)).first->second.view();
  }

  Random random_;
  std::map<std::string, Tensor<float>> named_;
  std::list<Tensor<float>> zeros_;
  Tensor<float> dy_ = random_.normals({kN, config.width});
  runtime::Stream stream_{runtime::Device::cpu};
  Arena scratch_ = Arena::host("scratch", 1 << 20);
  Arena slot_ = Arena::host("slot", 1 << 20);
  std::unique_ptr<runtime::Communicator> tp_ = runtime::solo_communicator();

 public:
  const View x;
};

TEST(Layers, NormWithResidualGradients) {
  LayerCase layer(small_config());
  const int64_t C = layer.config.width;
  const model::NormWeights weights{layer.weight("weight", {C}), layer.weight("bias", {C})};
  const model::NormWeights gradients{layer.gradient({C}), layer.gradient({C})};
  const View branch = layer.weight("branch", {kN, C});
  model::Context context = layer.context();
  const model::NormSaved saved = norm_forward(context, weights, {.residual = layer.x, .branch = branch}, layer.slot());
  const View dx = layer.output();
  norm_backward(context, weights, gradients, saved, {.dy = layer.dy(), .dresidual = {}, .dx = dx});
  const auto reference = [&](const Parameters& p) {
    Rows sum(kN, C);
    sum.values = p.at("x");
    for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += p.at("branch")[i];
    return reference_norm(sum, p.at("weight"), p.at("bias"), layer.config.norm_epsilon);
  };
  layer.expect_gradient("x", dx, reference);
  layer.expect_gradient("branch", dx, reference);
  layer.expect_gradient("weight", gradients.weight, reference);
  layer.expect_gradient("bias", gradients.bias, reference);
}

TEST(Layers, FeedForwardGradients) {
  LayerCase layer(small_config());
  const int64_t C = layer.config.width;
  const int64_t F = layer.config.feed_forward_width;
  const model::FeedForwardWeights weights{layer.weight("up", {F, C}), layer.weight("up_bias", {F}),
                                          layer.weight("down", {C, F}), layer.weight("down_bias", {C})};
  const model::FeedForwardWeights gradients{layer.gradient({F, C}), layer.gradient({F}), layer.gradient({C, F}),
                                            layer.gradient({C})};
  model::Context context = layer.context();
  const model::FeedForwardSaved saved = feed_forward_forward(context, weights, layer.x, layer.output(), layer.slot());
  const View dx = layer.output();
  feed_forward_backward(context, weights, gradients, saved, {.x = layer.x, .dy = layer.dy(), .dx = dx});
  const auto reference = [&](const Parameters& p) {
    Rows x(kN, C);
    x.values = p.at("x");
    Rows hidden = reference_linear(x, p.at("up"), p.at("up_bias"));
    for (double& value : hidden.values) value = reference_gelu(value);
    return reference_linear(hidden, p.at("down"), p.at("down_bias"));
  };
  layer.expect_gradient("x", dx, reference);
  layer.expect_gradient("up", gradients.up, reference);
  layer.expect_gradient("up_bias", gradients.up_bias, reference);
  layer.expect_gradient("down", gradients.down, reference);
  layer.expect_gradient("down_bias", gradients.down_bias, reference);
}

/// Rows [begin, begin + count) of a matrix of `width` columns, or elements of a vector (width 1).
Vector part(const Vector& values, int64_t begin, int64_t count, int64_t width) {
  return {values.begin() + begin * width, values.begin() + (begin + count) * width};
}

TEST(Layers, AttentionGradients) {
  LayerCase layer(small_config());
  const int64_t C = layer.config.width;
  const model::AttentionWeights weights{layer.weight("qkv", {3 * C, C}), layer.weight("qkv_bias", {3 * C}),
                                        layer.weight("out", {C, C}), layer.weight("out_bias", {C})};
  const model::AttentionWeights gradients{layer.gradient({3 * C, C}), layer.gradient({3 * C}), layer.gradient({C, C}),
                                          layer.gradient({C})};
  model::Context context = layer.context();
  const model::AttentionSaved saved =
      attention_forward(context, weights, layer.tokens(), layer.x, layer.output(), layer.slot());
  const View dx = layer.output();
  attention_backward(context, weights, gradients, layer.tokens(), saved, {.x = layer.x, .dy = layer.dy(), .dx = dx});
  const auto reference = [&](const Parameters& p) {
    Rows x(kN, C);
    x.values = p.at("x");
    const auto projection = [&](int64_t which) {
      return reference_linear(x, part(p.at("qkv"), which * C, C, C), part(p.at("qkv_bias"), which * C, C, 1));
    };
    const Rows heads = reference_attention(projection(0), projection(1), projection(2), kT, layer.config.heads);
    return reference_linear(heads, p.at("out"), p.at("out_bias"));
  };
  layer.expect_gradient("x", dx, reference);
  layer.expect_gradient("qkv", gradients.qkv, reference);
  layer.expect_gradient("qkv_bias", gradients.qkv_bias, reference);
  layer.expect_gradient("out", gradients.out, reference);
  layer.expect_gradient("out_bias", gradients.out_bias, reference);
}

}  // namespace
}  // namespace trireme::tests
