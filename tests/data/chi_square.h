// Chi-square statistics of random permutations, as standard normal deviates.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace trireme::tests {

using Table = std::vector<std::vector<int64_t>>;

/// A chi-square value with `freedom` degrees as a standard normal deviate (Wilson and Hilferty 1931; good to a few
/// hundredths from 10 degrees on).
inline double normal_deviate(double chi_square, double freedom) {
  const double ninth = 2 / (9 * freedom);
  return (std::cbrt(chi_square / freedom) - (1 - ninth)) / std::sqrt(ninth);
}

/// places[j][w]: how often place j got window w in `epochs` random permutations of N. Such a table's margins are fixed,
/// and a cell's variance is epochs (1/N)(1 - 1/N): (N-1)/N times the usual sum has (N-1)^2 degrees of freedom.
inline double deviate_of_places(const Table& places, int64_t epochs) {
  const auto N = static_cast<double>(places.size());
  const double expected = static_cast<double>(epochs) / N;
  double sum = 0;
  for (const auto& row : places) {
    for (const int64_t count : row) sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  }
  return normal_deviate(sum * (N - 1) / N, (N - 1) * (N - 1));
}

/// successors[a][b]: how often b came next after a, in `epochs` random cyclic orders of N (the first follows the last).
/// With p = 1/(N-1) and q = p/(N-2), the chance of two given pairs that can go together, the covariance of the cells
/// has two eigenvalues beside 0: p on symmetric tables, since a-b and b-a exclude each other just as two pairs of one row
/// do, and p + 2q on antisymmetric ones. All rows and columns sum to `epochs`. So the sums a-b plus b-a and their
/// differences are two independent chi-squares.
inline std::pair<double, double> deviates_of_successors(const Table& successors, int64_t epochs) {
  const auto N = static_cast<double>(successors.size());
  const double p = 1 / (N - 1);
  const double q = p / (N - 2);
  const auto E = static_cast<double>(epochs);
  double symmetric = 0;
  double antisymmetric = 0;
  for (size_t a = 0; a < successors.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      const auto one = static_cast<double>(successors[a][b]);
      const auto other = static_cast<double>(successors[b][a]);
      symmetric += std::pow(one + other - 2 * E * p, 2) / (2 * E * p);
      antisymmetric += std::pow(one - other, 2) / (2 * E * (p + 2 * q));
    }
  }
  const double pairs = N * (N - 1) / 2;
  return {normal_deviate(symmetric, pairs - N), normal_deviate(antisymmetric, pairs - (N - 1))};
}

/// Pearson's test of a contingency table; `variance` is that of a cell as a part of what independent draws have.
inline double deviate_of_independence(const Table& table, double variance = 1) {
  std::vector<double> columns(table[0].size(), 0);
  double total = 0;
  for (const auto& row : table) {
    for (size_t j = 0; j < row.size(); ++j) {
      columns[j] += static_cast<double>(row[j]);
      total += static_cast<double>(row[j]);
    }
  }
  double sum = 0;
  for (const auto& row : table) {
    double row_total = 0;
    for (const int64_t count : row) row_total += static_cast<double>(count);
    for (size_t j = 0; j < row.size(); ++j) {
      const double expected = row_total * columns[j] / total;
      sum += std::pow(static_cast<double>(row[j]) - expected, 2) / expected;
    }
  }
  const double freedom = static_cast<double>(table.size() - 1) * static_cast<double>(columns.size() - 1);
  return normal_deviate(sum / variance, freedom);
}

}  // namespace trireme::tests
