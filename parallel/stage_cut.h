// Cuts a row of units of different cost into contiguous parts: the chunks of a pipeline. A pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::parallel {

/// The first layer of each of `chunks` chunks: contiguous, of one layer at least, so that the most expensive chunk
/// costs as little as possible; `before` (the embedding) belongs to the first, `after` (the head) to the last chunk.
/// Of equal solutions the most level one (least sum of squares), and of those the one whose last chunks are fullest: in
/// 1F1B the first hold the most microbatches. Throws Error(usage) with both numbers when there are more chunks than
/// layers.
std::vector<int64_t> cut_layers(std::span<const double> layer_costs, double before, double after, int chunks);

/// Mean over largest cost of the stages of such a cut, 1 when they are equal: what a pipeline loses by its cut. Chunk
/// c of stage s is number c * stages + s.
double balance(std::span<const double> layer_costs, double before, double after, std::span<const int64_t> first_layers,
               int stages);

}  // namespace trireme::parallel
