#include "runtime/watchdog_socket.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

constexpr size_t kLongestLine = 1 << 22;
constexpr int kSocketFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

void set(const Descriptor& socket, int level, int option, int value) {
  setsockopt(socket.number(), level, option, &value, sizeof value);  // one that is refused is only slower
}

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::io, what + ": " + system_message(errno));
}

/// Both families where this machine has IPv6, else IPv4.
Descriptor bound_socket() {
  sockaddr_in6 any6{.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
  Descriptor socket6(socket(AF_INET6, SOCK_STREAM | kSocketFlags, 0));
  if (socket6.valid()) {
    set(socket6, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(socket6.number(), reinterpret_cast<sockaddr*>(&any6), sizeof any6) == 0) return socket6;
  }
  sockaddr_in any4{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_ANY)}};
  Descriptor socket4(socket(AF_INET, SOCK_STREAM | kSocketFlags, 0));
  if (!socket4.valid() || bind(socket4.number(), reinterpret_cast<sockaddr*>(&any4), sizeof any4) != 0) {
    fail("no TCP port to listen on");
  }
  return socket4;
}

/// One that is connecting; not valid where that failed at once.
Descriptor connecting_socket(const std::string& address, int port) {
  const addrinfo hints{.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return Descriptor();
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | kSocketFlags, 0));
  if (!socket.valid()) return socket;
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (connect(socket.number(), found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) return Descriptor();
  return socket;
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

void LineSocket::send(std::string_view line) {
  if (!open()) return;
  unsent_.append(line).push_back('\n');
  flush();
}

void LineSocket::flush() {
  while (open() && !unsent_.empty()) {
    const ssize_t sent = ::send(number(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      unsent_.erase(0, static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      close();
    }
  }
}

std::vector<std::string> LineSocket::receive() {
  std::array<char, 65536> buffer;
  while (open()) {
    const ssize_t got = recv(number(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      received_.append(buffer.data(), static_cast<size_t>(got));
      if (received_.size() > kLongestLine) break;
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else if (got == 0 || errno != EINTR) {
      close();
    }
  }
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end = 0; (end = received_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(received_.substr(begin, end - begin));
  }
  received_.erase(0, begin);
  if (received_.size() > kLongestLine) close();
  return lines;
}

LineListener::LineListener() : socket_(bound_socket()) {
  if (listen(socket_.number(), SOMAXCONN) != 0) fail("cannot listen on a TCP port");
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("no TCP port");
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_port), sizeof port);
  port_ = ntohs(port);
}

std::vector<LineSocket> LineListener::accept() {
  std::vector<LineSocket> sockets;
  while (true) {
    Descriptor socket(accept4(socket_.number(), nullptr, nullptr, kSocketFlags));
    if (!socket.valid()) return sockets;
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    sockets.emplace_back(std::move(socket));
  }
}

std::vector<std::string> own_addresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {"127.0.0.1"};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, freeifaddrs);
  std::vector<std::string> far;
  std::vector<std::string> near;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0) continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    if (family == AF_INET6 &&
        IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr)) {
      continue;  // means something with the name of an interface only
    }
    std::array<char, NI_MAXHOST> text{};
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (getnameinfo(each->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    ((each->ifa_flags & IFF_LOOPBACK) != 0 ? near : far).emplace_back(text.data());
  }
  far.insert(far.end(), near.begin(), near.end());
  return far;
}

std::optional<LineSocket> connect_to_any(const std::vector<std::string>& addresses, int port, const std::string& hello,
                                         const std::string& answer, std::chrono::milliseconds patience) {
  struct Attempt {
    LineSocket socket;
    bool greeted = false;
  };
  std::vector<Attempt> attempts;
  for (const std::string& address : addresses) {
    Descriptor socket = connecting_socket(address, port);
    if (socket.valid()) attempts.push_back({LineSocket(std::move(socket))});
  }
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!attempts.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    std::vector<pollfd> polled;
    for (const Attempt& attempt : attempts) {
      const short events = attempt.greeted ? POLLIN : POLLOUT;
      polled.push_back({.fd = attempt.socket.number(), .events = events});
    }
    poll(polled.data(), polled.size(), static_cast<int>(left.count()));
    for (size_t i = 0; i < attempts.size(); ++i) {
      if (polled[i].revents == 0) continue;
      if (!attempts[i].greeted) {
        attempts[i].socket.send(hello);  // closes one that was refused
        attempts[i].greeted = true;
        continue;
      }
      const std::vector<std::string> lines = attempts[i].socket.receive();
      if (lines.empty()) continue;
      if (lines.front() == answer) return std::move(attempts[i].socket);
      attempts[i].socket.close();
    }
    std::erase_if(attempts, [](const Attempt& attempt) { return !attempt.socket.open(); });
  }
  return std::nullopt;
}

}  // namespace trireme::runtime
