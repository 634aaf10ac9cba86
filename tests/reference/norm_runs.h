// What the tests of both norms have in common: sizes, and the tolerance of sums.
#pragma once

#include <cstdint>
#include <utility>

namespace trireme::tests {

/// Statistics and gradients of parameters are fp32 sums of what is stored, for either storage: an fp32 operation errs
/// by 6e-8, sums of C terms run in 4 or more lanes and sums of N terms in blocks of 64, so random inputs stay below
/// 1e-6. 1e-5 leaves a factor for unlucky inputs; a wrong term would show as 1e-3 or more.
inline constexpr double kNormSumTolerance = 1e-5;

/// N, C. Of the GPU's kernels: a vector and less; rows of one warp to the last lane (512 fp32, 1024 bf16) and of one
/// vector more; of all the warps there are (8192, 16384), and rows that do not fit into those.
inline constexpr std::pair<int64_t, int64_t> kNormForwardSizes[] = {
    {1, 7},   {4, 1},    {3, 16},   {5, 33},   {17, 768}, {2, 4099},  {5, 512},
    {2, 520}, {9, 1024}, {2, 1032}, {1, 8192}, {2, 8200}, {1, 16384}, {2, 16392}};
/// One warp holds 384 fp32 and 768 bf16, all that there are 6144 and 12288. {2200, 8} and {1060, 776} are more rows
/// than the blocks take at once.
inline constexpr std::pair<int64_t, int64_t> kNormBackwardSizes[] = {
    {1, 7},   {3, 16},   {65, 33},  {17, 768},  {2051, 5},  {2, 4099}, {9, 384},   {5, 392},
    {3, 776}, {2, 6144}, {2, 6152}, {2, 12288}, {3, 12296}, {2200, 8}, {1060, 776}};

}  // namespace trireme::tests
