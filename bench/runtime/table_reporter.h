// Google Benchmark's output on the console, and besides a table in Markdown of the same runs: time, bytes/s or flop/s,
// part of the ceiling that binds (op_bench.h's of_peak). Each row is in the file before the next bench begins.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace trireme::runtime {

class TableReporter : public benchmark::ConsoleReporter {
 public:
  /// Begins the table in a new file `path`, below `head`. Throws Error(io) when it cannot be written.
  TableReporter(const std::string& path, const std::string& head);
  /// One row a run. Throws Error(io).
  void ReportRuns(const std::vector<Run>& runs) override;
  /// How many could not run.
  int64_t failures() const { return failures_; }

 private:
  void flush();

  std::string path_;
  std::ofstream file_;
  int64_t failures_ = 0;
};

}  // namespace trireme::runtime
