#include <cublasLt.h>

#include <cmath>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/bf16.h"
#include "tests/emulation/device_array.h"

namespace trireme {
namespace {

using runtime::bf16;

constexpr int64_t kM = 7, kN = 5, kK = 40;

template <typename T>
constexpr cudaDataType_t kType = sizeof(T) == 2 ? CUDA_R_16BF : CUDA_R_32F;

template <typename T>
std::vector<T> random_values(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = normal(random);
  return values;
}

/// The descriptors of D (kM, kN) = op(A) op(B), by columns and packed.
class Descriptors {
 public:
  Descriptors(cudaDataType_t in, cudaDataType_t out, bool transpose_a, bool transpose_b) {
    EXPECT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
    const cublasOperation_t op_a = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t op_b = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, op_a);
    set(CUBLASLT_MATMUL_DESC_TRANSB, op_b);
    a = layout(in, transpose_a ? kK : kM, transpose_a ? kM : kK);
    b = layout(in, transpose_b ? kN : kK, transpose_b ? kK : kN);
    d = layout(out, kM, kN);
    EXPECT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
    allow_workspace(32 << 20);
  }
  ~Descriptors() {
    for (const cublasLtMatrixLayout_t each : {a, b, d}) cublasLtMatrixLayoutDestroy(each);
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatmulDescDestroy(product);
    EXPECT_EQ(cublasLtDestroy(handle), CUBLAS_STATUS_SUCCESS);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }
  void set_epilogue(cublasLtEpilogue_t epilogue, void* bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  void allow_workspace(uint64_t bytes) {
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                                   sizeof bytes),
              CUBLAS_STATUS_SUCCESS);
  }
  std::vector<cublasLtMatmulHeuristicResult_t> algorithms() {
    std::vector<cublasLtMatmulHeuristicResult_t> results(8);
    int count = 0;
    EXPECT_EQ(cublasLtMatmulAlgoGetHeuristic(handle, product, a, b, d, d, preference, 8, results.data(), &count),
              CUBLAS_STATUS_SUCCESS);
    results.resize(static_cast<size_t>(count));
    return results;
  }

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;

 private:
  static cublasLtMatrixLayout_t layout(cudaDataType_t type, int64_t rows, int64_t columns) {
    cublasLtMatrixLayout_t made = nullptr;
    EXPECT_EQ(
        cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), rows),
        CUBLAS_STATUS_SUCCESS);
    return made;
  }
};

/// Element (i, k) of op(A) where op(A) has `rows` rows and `columns` columns.
template <typename T>
double element(const std::vector<T>& values, bool transpose, int64_t i, int64_t j, int64_t rows, int64_t columns) {
  return static_cast<float>(values[static_cast<size_t>(transpose ? j + i * columns : i + j * rows)]);
}

/// Of 40 products of about 1 in fp32, against float64; bf16 keeps 8 bits of what is stored.
template <typename T>
constexpr double kTolerance = sizeof(T) == 2 ? 1e-2 : 1e-5;

template <typename In, typename Out>
struct Case {
  bool transpose_a, transpose_b;
  float alpha = 1, beta = 0;
  std::vector<In> a = random_values<In>(kM * kK, 1);
  std::vector<In> b = random_values<In>(kK * kN, 2);
  std::vector<Out> c = random_values<Out>(kM * kN, 3);

  double expected(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t k = 0; k < kK; ++k)
      sum += element(a, transpose_a, i, k, kM, kK) * element(b, transpose_b, k, j, kK, kN);
    return alpha * sum + beta * static_cast<float>(c[static_cast<size_t>(i + j * kM)]);
  }

  /// In place: C is D.
  std::vector<Out> run(Descriptors& descriptors, const cublasLtMatmulAlgo_t& algorithm, cublasStatus_t status) const {
    const DeviceArray<In> a_device(a), b_device(b);
    const DeviceArray<Out> d(c);
    const DeviceArray<unsigned char> workspace(32 << 20);
    EXPECT_EQ(cublasLtMatmul(descriptors.handle, descriptors.product, &alpha, a_device.data(), descriptors.a,
                             b_device.data(), descriptors.b, &beta, d.data(), descriptors.d, d.data(), descriptors.d,
                             &algorithm, workspace.data(), 32 << 20, nullptr),
              status);
    return d.values();
  }
};

template <typename In, typename Out>
void check_products(float alpha, float beta) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      const Case<In, Out> product{.transpose_a = transpose_a, .transpose_b = transpose_b, .alpha = alpha, .beta = beta};
      Descriptors descriptors(kType<In>, kType<Out>, transpose_a, transpose_b);
      for (const cublasLtMatmulHeuristicResult_t& each : descriptors.algorithms()) {
        const std::vector<Out> got = product.run(descriptors, each.algo, CUBLAS_STATUS_SUCCESS);
        double error = 0, norm = 0;
        for (int64_t j = 0; j < kN; ++j) {
          for (int64_t i = 0; i < kM; ++i) {
            const double expected = product.expected(i, j);
            error += std::pow(static_cast<float>(got[static_cast<size_t>(i + j * kM)]) - expected, 2);
            norm += expected * expected;
          }
        }
        EXPECT_LT(std::sqrt(error / norm), kTolerance<Out>) << transpose_a << transpose_b;
      }
    }
  }
}

TEST(EmulatedCublasLt, ProductsOfEveryTransposeTypeAndAlgorithm) {
  check_products<float, float>(1, 0);
  check_products<float, float>(0.5f, 1);
  check_products<bf16, float>(1, 1);
  check_products<bf16, bf16>(2, 0);
}

TEST(EmulatedCublasLt, AlgorithmsDifferInRoundingAndInWorkspace) {
  Descriptors descriptors(CUDA_R_32F, CUDA_R_32F, false, false);
  const Case<float, float> product{.transpose_a = false, .transpose_b = false};
  const auto algorithms = descriptors.algorithms();
  ASSERT_EQ(algorithms.size(), 3u);
  std::set<std::vector<float>> results;
  for (const auto& each : algorithms) results.insert(product.run(descriptors, each.algo, CUBLAS_STATUS_SUCCESS));
  EXPECT_EQ(results.size(), 3u);
  EXPECT_EQ(algorithms[0].workspaceSize, 0u);
  EXPECT_EQ(algorithms[1].workspaceSize, 1u << 20);
  EXPECT_EQ(algorithms[2].workspaceSize, 32u << 20);
  descriptors.allow_workspace(1 << 20);
  EXPECT_EQ(descriptors.algorithms().size(), 2u);
  cublasLtMatmulHeuristicResult_t checked;
  EXPECT_EQ(cublasLtMatmulAlgoCheck(descriptors.handle, descriptors.product, descriptors.a, descriptors.b,
                                    descriptors.d, descriptors.d, &algorithms[2].algo, &checked),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(checked.workspaceSize, 32u << 20);
}

TEST(EmulatedCublasLt, ABiasIsAddedToEveryColumn) {
  const DeviceArray<float> bias(random_values<float>(kM, 4));
  const std::vector<float> bias_values = bias.values();
  Descriptors descriptors(CUDA_R_16BF, CUDA_R_32F, true, false);
  descriptors.set_epilogue(CUBLASLT_EPILOGUE_BIAS, bias.data());
  const Case<bf16, float> product{.transpose_a = true, .transpose_b = false};
  const std::vector<float> got = product.run(descriptors, descriptors.algorithms()[0].algo, CUBLAS_STATUS_SUCCESS);
  for (int64_t j = 0; j < kN; ++j) {
    for (int64_t i = 0; i < kM; ++i) {
      const auto at = static_cast<size_t>(i + j * kM);
      EXPECT_NEAR(got[at], product.expected(i, j) + static_cast<double>(bias_values[static_cast<size_t>(i)]), 1e-4);
    }
  }
}

/// A weight gradient: the sum over k of one operand goes to the bias gradient.
TEST(EmulatedCublasLt, BiasGradientsAddOneOperandOverK) {
  for (const bool transpose : {false, true}) {
    for (const bool of_a : {false, true}) {
      const int64_t count = of_a ? kM : kN;
      const DeviceArray<float> gradient(static_cast<size_t>(count));
      Descriptors descriptors(CUDA_R_16BF, CUDA_R_32F, transpose, transpose);
      descriptors.set_epilogue(of_a ? CUBLASLT_EPILOGUE_BGRADA : CUBLASLT_EPILOGUE_BGRADB, gradient.data());
      const Case<bf16, float> product{.transpose_a = transpose, .transpose_b = transpose};
      product.run(descriptors, descriptors.algorithms()[0].algo, CUBLAS_STATUS_SUCCESS);
      const std::vector<float> got = gradient.values();
      for (int64_t i = 0; i < count; ++i) {
        double sum = 0;
        for (int64_t k = 0; k < kK; ++k)
          sum += of_a ? element(product.a, transpose, i, k, kM, kK) : element(product.b, transpose, k, i, kK, kN);
        EXPECT_NEAR(got[static_cast<size_t>(i)], sum, 1e-4);
      }
    }
  }
}

TEST(EmulatedCublasLt, WhatItDoesNotDoIsNotSupported) {
  Descriptors descriptors(CUDA_R_16BF, CUDA_R_16BF, false, false);
  const Case<bf16, bf16> product{.transpose_a = false, .transpose_b = false};
  const cublasLtMatmulAlgo_t algorithm = descriptors.algorithms()[0].algo;
  descriptors.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU);
  product.run(descriptors, algorithm, CUBLAS_STATUS_NOT_SUPPORTED);
  descriptors.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  product.run(descriptors, algorithm, CUBLAS_STATUS_INVALID_VALUE);  // without a bias
  descriptors.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
  product.run(descriptors, algorithm, CUBLAS_STATUS_NOT_SUPPORTED);  // not of the output's type
  const int64_t too_long = 0;
  EXPECT_EQ(
      cublasLtMatmulDescSetAttribute(descriptors.product, CUBLASLT_MATMUL_DESC_TRANSA, &too_long, sizeof too_long),
      CUBLAS_STATUS_INVALID_VALUE);
}

TEST(EmulatedCublasLt, AWorkspaceMustBeLargeAndAlignedEnough) {
  Descriptors descriptors(CUDA_R_32F, CUDA_R_32F, false, false);
  const DeviceArray<float> a(kM * kK), b(kK * kN), d(kM * kN);
  const DeviceArray<unsigned char> workspace((1 << 20) + 256);
  const float one = 1, zero = 0;
  const cublasLtMatmulAlgo_t algorithm = descriptors.algorithms()[1].algo;
  const auto run = [&](unsigned char* memory, size_t bytes) {
    return cublasLtMatmul(descriptors.handle, descriptors.product, &one, a.data(), descriptors.a, b.data(),
                          descriptors.b, &zero, d.data(), descriptors.d, d.data(), descriptors.d, &algorithm, memory,
                          bytes, nullptr);
  };
  EXPECT_EQ(run(workspace.data(), 1 << 20), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(run(workspace.data(), (1 << 20) - 1), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(run(workspace.data() + 16, 1 << 20), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(run(nullptr, 0), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(EmulatedCublasLt, ItIsDeferredAndCapturedLikeAKernel) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  Descriptors descriptors(CUDA_R_32F, CUDA_R_32F, false, false);
  const Case<float, float> product{.transpose_a = false, .transpose_b = false};
  const DeviceArray<float> a(product.a), b(product.b), d(product.c);
  const float one = 1, zero = 0;
  const cublasLtMatmulAlgo_t algorithm = descriptors.algorithms()[0].algo;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_EQ(
      cublasLtMatmul(descriptors.handle, descriptors.product, &one, a.data(), descriptors.a, b.data(), descriptors.b,
                     &zero, d.data(), descriptors.d, d.data(), descriptors.d, &algorithm, nullptr, 0, stream),
      CUBLAS_STATUS_SUCCESS);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  EXPECT_EQ(d.values(), product.c);  // the stream has not been waited for
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_NEAR(d.values()[0], product.expected(0, 0), 1e-4);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

}  // namespace
}  // namespace trireme
