#include "runtime/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace trireme::runtime {
namespace {

TEST(Log, LinesNameTheRankOnlyAmongSeveral) {
  EXPECT_EQ(log_line(LogLevel::info, "ready", 0, 1), "trireme: ready");
  EXPECT_EQ(log_line(LogLevel::warning, "slow", 0, 1), "trireme: warning: slow");
  EXPECT_EQ(log_line(LogLevel::error, "gone", 3, 4), "trireme[3]: error: gone");
}

TEST(Log, OneMessageIsOneLine) {
  EXPECT_EQ(log_line(LogLevel::info, "a\nb\r\nc", 0, 1), "trireme: a b  c");
}

TEST(Log, ThreadsDoNotMixTheirLines) {
  set_log_rank(1, 2);
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int k = 0; k < 100; ++k) log_warning(std::string(200, 'x'));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = testing::internal::GetCapturedStderr();
  set_log_rank(0, 1);
  const std::string line = "trireme[1]: warning: " + std::string(200, 'x') + "\n";
  std::string expected;
  for (int i = 0; i < 400; ++i) expected += line;
  EXPECT_EQ(text, expected);
}

}  // namespace
}  // namespace trireme::runtime
