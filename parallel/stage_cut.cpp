#include "parallel/stage_cut.h"

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/error.h"

namespace trireme::parallel {

using runtime::Error;
using runtime::ErrorKind;

namespace {

// Costs of all that comes before each layer, and of everything: a chunk of layers [i, j) costs edges[j] - edges[i].
std::vector<double> edges_of(std::span<const double> layer_costs, double before, double after) {
  std::vector<double> edges{0};
  double sum = before;
  for (double cost : layer_costs) edges.push_back(sum += cost);
  edges.back() += after;
  return edges;
}

// Equal costs differ by the rounding of their edges: at most about one part in 2^52 of the sum for each layer.
constexpr double kRounding = 1e-12;

// Whether `chunks` chunks that cost `limit` at most can hold all layers: each takes as many as it can.
bool suffices(const std::vector<double>& edges, size_t chunks, double limit) {
  const size_t layers = edges.size() - 1;
  const double allowed = limit + kRounding * edges.back();
  size_t layer = 0;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const size_t end_at_most = layers - (chunks - 1 - chunk);
    const size_t first = layer;
    while (layer < end_at_most && edges[layer + 1] - edges[first] <= allowed) ++layer;
    if (layer == first) return false;
  }
  return layer == layers;
}

// First layers of the most level chunks that cost `limit` at most each: the least sum of squares, by dynamic
// programming over (chunks, layers before their end).
std::vector<int64_t> level_chunks(const std::vector<double>& edges, size_t chunks, double limit) {
  const size_t layers = edges.size() - 1;
  const double allowed = limit + kRounding * edges.back();
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> before(layers + 1, kNever);  // least sums of the first k chunks
  before[0] = 0;
  std::vector<std::vector<size_t>> last_begin(chunks, std::vector<size_t>(layers + 1, 0));
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    std::vector<double> sums(layers + 1, kNever);
    for (size_t end = chunk + 1; end <= layers; ++end) {
      for (size_t begin = end; begin-- > chunk;) {
        const double cost = edges[end] - edges[begin];
        if (cost > allowed) break;
        const double sum = before[begin] + cost * cost;
        if (sum > sums[end] * (1 + kRounding)) continue;
        sums[end] = sum;
        last_begin[chunk][end] = begin;  // of equal sums the longest last chunk
      }
    }
    before = sums;
  }
  std::vector<int64_t> first_layers(chunks);
  for (size_t chunk = chunks, end = layers; chunk-- > 0;) {
    end = last_begin[chunk][end];
    first_layers[chunk] = static_cast<int64_t>(end);
  }
  return first_layers;
}

}  // namespace

std::vector<int64_t> cut_layers(std::span<const double> layer_costs, double before, double after, int chunks) {
  const size_t layers = layer_costs.size();
  if (chunks < 1 || static_cast<size_t>(chunks) > layers) {
    throw Error(ErrorKind::usage, "--pipeline-parallel x --virtual-stages is " + std::to_string(chunks) +
                                      ", but the model has " + std::to_string(layers) +
                                      " layers: " + std::to_string(layers) + " is the most");
  }
  const std::vector<double> edges = edges_of(layer_costs, before, after);
  std::vector<double> limits;  // the smallest possible largest cost is that of some chunk
  for (size_t first = 0; first < layers; ++first) {
    for (size_t end = first + 1; end <= layers; ++end) limits.push_back(edges[end] - edges[first]);
  }
  std::sort(limits.begin(), limits.end());
  const auto too_low = [&](double limit, size_t count) { return !suffices(edges, count, limit); };
  const auto lowest = std::lower_bound(limits.begin(), limits.end() - 1, static_cast<size_t>(chunks), too_low);
  return level_chunks(edges, static_cast<size_t>(chunks), *lowest);
}

double balance(std::span<const double> layer_costs, double before, double after, std::span<const int64_t> first_layers,
               int stages) {
  if (stages < 1 || first_layers.empty() || first_layers.size() % static_cast<size_t>(stages) != 0) {
    throw Error(ErrorKind::internal,
                "balance: " + std::to_string(first_layers.size()) + " chunks on " + std::to_string(stages) + " stages");
  }
  const std::vector<double> edges = edges_of(layer_costs, before, after);
  std::vector<double> stage_costs(static_cast<size_t>(stages), 0.0);
  for (size_t chunk = 0; chunk < first_layers.size(); ++chunk) {
    const size_t first = static_cast<size_t>(first_layers[chunk]);
    const size_t end =
        chunk + 1 < first_layers.size() ? static_cast<size_t>(first_layers[chunk + 1]) : layer_costs.size();
    stage_costs[chunk % stage_costs.size()] += edges[end] - edges[first];
  }
  const double largest = *std::max_element(stage_costs.begin(), stage_costs.end());
  return largest > 0 ? edges.back() / (static_cast<double>(stages) * largest) : 1;
}

}  // namespace trireme::parallel
