#include "launch/peak_table.h"

#include <array>
#include <cstdio>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

template <typename... Values>
std::string line(const char* format, Values... values) {
  std::array<char, 256> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

}  // namespace

std::string peak_table(const runtime::Calibration& c) {
  std::string text = "machine       " + c.processor + ", " + counted(c.cores, "core") + "\nmeasured by   " +
                     counted(c.ranks, "rank") + " x " + counted(c.threads, "thread") + (c.ranks > 1 ? " at once" : "") +
                     "; rates are of one rank, the best of many runs\n";
  text += "fp32 peak     " + rate_text(c.fma_flops_per_second, "flop") + " of multiply-adds on registers\n";
  text += "memory        read " + rate_text(c.memory.read, "B") + ", copy " + rate_text(c.memory.copy, "B") +
          ", triad " + rate_text(c.memory.triad, "B") + "\n";
  if (!c.ops.empty()) {
    text += "ops           " + counted(static_cast<int64_t>(c.ops.size()), "call") +
            " timed inside of training steps, of " + time_text(c.call_seconds) + " at least\n";
  }
  text += line("\n%-24s %6s %6s %6s %14s %8s\n", "product", "N", "C_in", "C_out", "rate", "of peak");
  for (const runtime::ProductRate& rate : c.products) {
    text +=
        line("%-24s %6lld %6lld %6lld %14s %7.1f%%\n", rate.op.c_str(), static_cast<long long>(rate.shape.N),
             static_cast<long long>(rate.shape.C_in), static_cast<long long>(rate.shape.C_out),
             rate_text(rate.flops_per_second, "flop").c_str(), 100 * rate.flops_per_second / c.fma_flops_per_second);
  }
  if (c.messages.empty()) return text;
  text += line("\n%-24s %6s %12s %10s %14s\n", "message", "ranks", "size", "time", "rate");
  for (const runtime::MessageTime& time : c.messages) {
    text += line("%-24s %6lld %12s %10s %14s\n", time.op.c_str(), static_cast<long long>(time.ranks),
                 bytes_text(time.bytes).c_str(), time_text(time.seconds).c_str(),
                 rate_text(static_cast<double>(time.bytes) / time.seconds, "B").c_str());
  }
  return text;
}

}  // namespace trireme::launch
