// Lines over TCP between two ends in this process.
#include "runtime/watchdog_socket.h"

#include <gtest/gtest.h>

#include <thread>

namespace trireme::runtime {
namespace {

using namespace std::chrono_literals;

/// Accepts one, and answers its first line with `answer`.
LineSocket accept_one(LineListener& listener, const std::string& answer) {
  while (true) {
    std::vector<LineSocket> sockets = listener.accept();
    if (!sockets.empty()) {
      std::vector<std::string> lines;
      while (lines.empty() && sockets.front().open()) lines = sockets.front().receive();
      sockets.front().send(answer);
      return std::move(sockets.front());
    }
    std::this_thread::sleep_for(1ms);
  }
}

std::vector<std::string> next_lines(LineSocket& socket) {
  std::vector<std::string> lines;
  while (lines.empty() && socket.open()) lines = socket.receive();
  return lines;
}

TEST(LineSocket, CarriesLinesOfAnyLengthBothWays) {
  LineListener listener;
  std::optional<LineSocket> near;
  std::jthread other([&] { near = connect_to_any({"127.0.0.1"}, listener.port(), "hello", "yes", 20s); });
  LineSocket far = accept_one(listener, "yes");
  other.join();
  ASSERT_TRUE(near);
  const std::string longer_than_buffers(3'000'000, 'x');
  near->send("one");
  near->send("");
  near->send(longer_than_buffers);
  std::vector<std::string> got;
  while (got.size() < 3 && far.open()) {
    near->flush();
    for (std::string& line : far.receive()) got.push_back(std::move(line));
  }
  EXPECT_EQ(got, (std::vector<std::string>{"one", "", longer_than_buffers}));
  EXPECT_TRUE(near->sent());
  far.send("back");
  EXPECT_EQ(next_lines(*near), std::vector<std::string>{"back"});
}

TEST(LineSocket, WhatWasSaidBeforeTheEndIsHeard) {
  LineListener listener;
  std::optional<LineSocket> near;
  std::jthread other([&] { near = connect_to_any({"127.0.0.1"}, listener.port(), "hello", "yes", 20s); });
  LineSocket far = accept_one(listener, "yes");
  other.join();
  ASSERT_TRUE(near);
  far.send("bye");
  far.close();
  EXPECT_EQ(next_lines(*near), std::vector<std::string>{"bye"});
  while (near->open()) EXPECT_TRUE(near->receive().empty());
  near->send("to nobody");
}

TEST(LineSocket, NeverWaitsForAReaderThatDoesNotRead) {
  LineListener listener;
  std::optional<LineSocket> near;
  std::jthread other([&] { near = connect_to_any({"127.0.0.1"}, listener.port(), "hello", "yes", 20s); });
  const LineSocket far = accept_one(listener, "yes");
  other.join();
  ASSERT_TRUE(near);
  for (int i = 0; i < 20; ++i) near->send(std::string(1'000'000, 'x'));
  EXPECT_FALSE(near->sent());
  EXPECT_TRUE(near->open());
}

TEST(ConnectToAny, PassesByWhatDoesNotAnswer) {
  LineListener listener;
  std::optional<LineSocket> near;
  // No such name, an address kept for documents (RFC 5737), and the right one.
  std::jthread other([&] {
    near = connect_to_any({"nowhere", "192.0.2.1", "127.0.0.1"}, listener.port(), "hello", "yes", 20s);
  });
  const LineSocket far = accept_one(listener, "yes");
  other.join();
  EXPECT_TRUE(near);
}

TEST(ConnectToAny, TakesNoStranger) {
  LineListener listener;
  std::optional<LineSocket> near;
  std::jthread other([&] { near = connect_to_any({"127.0.0.1"}, listener.port(), "hello", "yes", 20s); });
  const LineSocket far = accept_one(listener, "HTTP/1.1 400 Bad Request");
  other.join();
  EXPECT_FALSE(near);
  const int port = listener.port();
  EXPECT_FALSE(connect_to_any({"127.0.0.1"}, port, "hello", "yes", 50ms));  // connects, and nobody speaks
  EXPECT_FALSE(connect_to_any({}, port, "hello", "yes", 20s));
}

TEST(OwnAddresses, EndWithThoseThatOnlyThisHostKnows) {
  const std::vector<std::string> addresses = own_addresses();
  ASSERT_FALSE(addresses.empty());
  bool loopback = false;
  for (const std::string& address : addresses) {
    const bool is_loopback = address.starts_with("127.") || address == "::1";
    EXPECT_TRUE(is_loopback || !loopback) << address;
    loopback = loopback || is_loopback;
  }
}

}  // namespace
}  // namespace trireme::runtime
