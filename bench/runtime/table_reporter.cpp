#include "bench/runtime/table_reporter.h"

#include <iomanip>
#include <sstream>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

double counter(const benchmark::BenchmarkReporter::Run& run, const std::string& name) {
  const auto found = run.counters.find(name);
  return found == run.counters.end() ? 0 : found->second.value;
}

/// "linear_forward/none/bf16/N:16384/..." without what Google Benchmark says of its own doings.
std::string op_name(std::string name) {
  for (const char* words : {"/manual_time", "/real_time", "/iterations:"}) {
    const size_t at = name.find(words);
    if (at != std::string::npos) name.erase(at, name.find('/', at + 1) - at);
  }
  return name;
}

std::string row(const benchmark::BenchmarkReporter::Run& run) {
  std::ostringstream text;
  text << "| " << op_name(run.benchmark_name()) << " | ";
  if (run.error_occurred) {
    text << "FAILED: " << run.error_message << " | | | |";
    return text.str();
  }
  const double seconds = run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit);
  text << std::fixed << std::setprecision(1) << 1e6 * seconds << " | " << counter(run, "bytes/s") / 1e9 << " | ";
  if (counter(run, "flop/s") > 0) text << counter(run, "flop/s") / 1e12;
  text << " | " << std::setprecision(0) << 100 * counter(run, "of_peak") << " |";
  return text.str();
}

}  // namespace

TableReporter::TableReporter(const std::string& path, const std::string& head) : path_(path), file_(path) {
  file_ << head << "\n| op/storage/sizes | us | GB/s | Tflop/s | % of ceiling |\n|---|---|---|---|---|\n";
  flush();
}

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    failures_ += run.error_occurred ? 1 : 0;
    file_ << row(run) << '\n';
  }
  flush();  // whatever ends this program later, these rows are kept
  ConsoleReporter::ReportRuns(runs);
}

void TableReporter::flush() {
  if (!file_.flush()) throw Error(ErrorKind::io, "cannot write " + path_);
}

}  // namespace trireme::runtime
