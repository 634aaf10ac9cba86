// Lines of text between processes over TCP, without ever waiting: what cannot be sent now is kept, what has come is
// taken. It knows nothing of what the lines say. Errors of a connection close it; they are nobody's exception.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::runtime {

/// Closes a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();
  int number() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_;
};

class LineSocket {
 public:
  /// Of a connected socket, or of one that is connecting.
  explicit LineSocket(Descriptor socket) : socket_(std::move(socket)) {}

  bool open() const { return socket_.valid(); }
  int number() const { return socket_.number(); }
  void close() {
    const Descriptor old = std::move(socket_);
    unsent_.clear();
  }

  /// The line without its end, which it has nowhere inside.
  void send(std::string_view line);
  /// Nothing waits to be sent.
  bool sent() const { return unsent_.empty(); }
  void flush();
  /// The whole lines that have come. Closes at the other side's end, or at a line that has none.
  std::vector<std::string> receive();

 private:
  Descriptor socket_;
  std::string unsent_;
  std::string received_;
};

/// On a free port of all interfaces, IPv6 and IPv4. Throws Error(io).
class LineListener {
 public:
  LineListener();
  int port() const { return port_; }
  /// Those that have connected since.
  std::vector<LineSocket> accept();

 private:
  Descriptor socket_;
  int port_ = 0;
};

/// Of this host's interfaces that are up, in figures; those that only this host knows come last.
std::vector<std::string> own_addresses();

/// Tries all addresses at once, says `hello`, and keeps the first connection that replies with `answer`: a private
/// address may be another host's here. Nothing when none does within `patience`.
std::optional<LineSocket> connect_to_any(const std::vector<std::string>& addresses, int port, const std::string& hello,
                                         const std::string& answer, std::chrono::milliseconds patience);

}  // namespace trireme::runtime
