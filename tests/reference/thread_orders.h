// What holds of a kernel on the emulated GPU, which can choose the order of its threads: every order gives the same
// bits, and without any one of its barriers some order does not. So a test of the first can fail.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/emulation.h"
#include "tests/reference/op_runs.h"

namespace trireme::tests {

struct Order {
  emulation::ThreadOrder order = emulation::ThreadOrder::forward;
  uint64_t seed = 1;
};
inline constexpr Order kOtherOrders[] = {
    {emulation::ThreadOrder::reverse}, {emulation::ThreadOrder::shuffled, 1}, {emulation::ThreadOrder::shuffled, 2}};

/// What `run` gives under this order; the next is forward again.
inline Bits bits_under(const Order& order, const std::function<Bits()>& run) {
  emulation::set_thread_order(order.order, order.seed);
  Bits bits = run();
  emulation::set_thread_order(emulation::ThreadOrder::forward);
  return bits;
}

/// `run` writes to new outputs whenever it is called.
inline void expect_same_bits_in_every_order(const std::function<Bits()>& run) {
  const Bits forward = bits_under({}, run);
  for (const Order& other : kOtherOrders) {
    EXPECT_TRUE(bits_under(other, run) == forward) << "order " << static_cast<int>(other.order) << ":" << other.seed;
  }
}

/// `run` passes so many barriers, and needs each: without it some order gives other bits, or ends the process, for
/// which the runs have one of their own.
inline void expect_each_barrier_needed(const std::function<Bits()>& run, size_t barriers) {
  testing::GTEST_FLAG(death_test_style) = "fast";
  emulation::forget_barriers();
  const Bits expected = bits_under({}, run);
  const std::vector<std::string> sites = emulation::barrier_sites();
  EXPECT_EQ(sites.size(), barriers);
  const auto run_without = [&](const std::string& site) {
    emulation::ignore_barrier(site);
    const auto same = [&](const Order& order) { return bits_under(order, run) == expected; };
    std::_Exit(same({}) && std::ranges::all_of(kOtherOrders, same) ? 0 : 1);
  };
  EXPECT_EXIT(run_without(""), testing::ExitedWithCode(0), "");  // what fails below fails for its barrier
  const auto fails = [](int status) { return status != 0; };
  for (const std::string& site : sites) {
    SCOPED_TRACE(site);
    EXPECT_EXIT(run_without(site), fails, "");
  }
}

}  // namespace trireme::tests
