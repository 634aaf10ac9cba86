// gzip (RFC 1952, by zlib) and zstandard (RFC 8878, by libzstd) as streams, members and frames one after the other
// included. It knows neither files nor what the bytes mean.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace trireme::data {

class Decompressor {
 public:
  struct Step {
    size_t consumed = 0;  ///< of the input
    size_t produced = 0;  ///< in the output
  };
  virtual ~Decompressor() = default;

  /// Goes on as far as `input` and the room in `output` allow; nothing consumed and nothing produced: it wants more.
  /// Content that is damaged is Error(data) with the library's reason.
  virtual Step decompress(std::span<const char> input, std::span<char> output) = 0;
  /// Whether the content may end here: between members or frames.
  virtual bool may_end() const = 0;
};

/// For content that begins with `beginning` (4 bytes are enough to tell); null when it is not compressed. Memory: the
/// window of the format, at most 32 KiB and 128 MiB.
std::unique_ptr<Decompressor> make_decompressor(std::string_view beginning);

}  // namespace trireme::data
