#include "data/decompressor.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <new>
#include <string>

#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// zlib counts in 32 bits.
uInt limited(size_t count) {
  return static_cast<uInt>(std::min(count, size_t{1} << 30));
}

class GzipDecompressor : public Decompressor {
 public:
  GzipDecompressor() {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecompressor() override { inflateEnd(&stream_); }
  GzipDecompressor(const GzipDecompressor&) = delete;
  GzipDecompressor& operator=(const GzipDecompressor&) = delete;

  Step decompress(std::span<const char> input, std::span<char> output) override {
    size_t padding = 0;
    if (is_between_) {  // tapes and some archives fill the end with zeros
      while (padding < input.size() && input[padding] == 0) ++padding;
      input = input.subspan(padding);
      if (input.empty() || padding > 0 || is_padded_) return skip_padding(padding, input);
      inflateReset(&stream_);
      is_between_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = limited(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = limited(output.size());
    const Step whole{.consumed = stream_.avail_in, .produced = stream_.avail_out};
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) {
      throw Error(ErrorKind::data, stream_.msg == nullptr ? "gzip without a reason" : stream_.msg);
    }
    is_between_ = result == Z_STREAM_END;
    return {.consumed = whole.consumed - stream_.avail_in, .produced = whole.produced - stream_.avail_out};
  }

  bool may_end() const override { return is_between_; }

 private:
  Step skip_padding(size_t padding, std::span<const char> rest) {
    if (!rest.empty()) throw Error(ErrorKind::data, "bytes behind the end of its content");
    is_padded_ = is_padded_ || padding > 0;
    return {.consumed = padding, .produced = 0};
  }

  z_stream stream_{};
  bool is_between_ = false;  // members
  bool is_padded_ = false;
};

class ZstdDecompressor : public Decompressor {
 public:
  ZstdDecompressor() : stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdDecompressor() override { ZSTD_freeDStream(stream_); }
  ZstdDecompressor(const ZstdDecompressor&) = delete;
  ZstdDecompressor& operator=(const ZstdDecompressor&) = delete;

  Step decompress(std::span<const char> input, std::span<char> output) override {
    if (is_between_ && input.empty()) return {};
    ZSTD_inBuffer in{.src = input.data(), .size = input.size(), .pos = 0};
    ZSTD_outBuffer out{.dst = output.data(), .size = output.size(), .pos = 0};
    const size_t result = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(result) != 0) {
      if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
        throw Error(ErrorKind::data, "its window is larger than 128 MiB: compress it without --long");
      }
      throw Error(ErrorKind::data, ZSTD_getErrorName(result));
    }
    is_between_ = result == 0;
    return {.consumed = in.pos, .produced = out.pos};
  }

  bool may_end() const override { return is_between_; }

 private:
  ZSTD_DStream* stream_;
  bool is_between_ = false;  // frames
};

bool begins_zstd(std::string_view beginning) {
  const bool is_skippable =  // a frame of somebody's own, which comes first in files of pzstd
      beginning.size() >= 4 && (static_cast<unsigned char>(beginning[0]) >> 4) == 5 &&
      beginning.substr(1, 3) == "\x2A\x4D\x18";
  return is_skippable || beginning.starts_with("\x28\xB5\x2F\xFD");
}

}  // namespace

std::unique_ptr<Decompressor> make_decompressor(std::string_view beginning) {
  if (beginning.starts_with("\x1F\x8B")) return std::make_unique<GzipDecompressor>();
  if (begins_zstd(beginning)) return std::make_unique<ZstdDecompressor>();
  return nullptr;
}

}  // namespace trireme::data
