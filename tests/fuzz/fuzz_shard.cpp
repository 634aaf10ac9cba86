// A token shard that somebody damaged: bytes of a sound one changed at some places, cut, or a file of any bytes at all.
// Whatever it holds, opening and reading it ends with the true tokens or with an Error, and reads nothing outside.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "data/token_shard.h"
#include "data/token_shard_writer.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/memory_files.h"

namespace {

using namespace trireme;

constexpr int64_t kTokens = 5000;

std::vector<int32_t> true_ids() {
  std::vector<int32_t> ids(kTokens);
  for (int64_t i = 0; i < kTokens; ++i) ids[static_cast<size_t>(i)] = static_cast<int32_t>(i * i % 257);
  return ids;
}

std::string sound_shard() {
  tests::MemoryFiles files;
  data::TokenShardWriter writer(
      files, "shard.h5",
      {.vocabulary_size = 257, .end_of_text = 256, .tokenizer_digest = std::string(64, 'a'), .split = "train"});
  const std::vector<int32_t> ids = true_ids();
  for (size_t begin = 0; begin < ids.size(); begin += 100) {
    writer.append(std::span(ids).subspan(begin, 100));
    writer.end_document({});
  }
  writer.finish();
  return runtime::read_text(files, "shard.h5");
}

/// The first byte chooses: any bytes as a file, or a sound shard cut to a length and with bytes changed, 5 of the input
/// for each (offset, value).
std::string damaged(const uint8_t* input, size_t size) {
  static const std::string sound = sound_shard();
  if (size == 0 || input[0] == 0) return {reinterpret_cast<const char*>(input), size};
  std::string shard = sound;
  for (size_t at = 1; at + 5 <= size; at += 5) {
    uint32_t offset = 0;
    std::memcpy(&offset, input + at, sizeof offset);
    shard[offset % shard.size()] = static_cast<char>(input[at + 4]);
  }
  if (input[0] % 8 == 1 && size > 3) shard.resize(shard.size() * input[2] / 256);
  return shard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const std::vector<int32_t> truth = true_ids();
  tests::MemoryFiles files;
  const std::string bytes = damaged(input, size);
  files.create("shard.h5")->append(std::as_bytes(std::span(bytes)));
  try {
    const data::TokenShard shard(files, "shard.h5", std::string(64, 'a'));
    std::vector<int32_t> ids(static_cast<size_t>(std::min<int64_t>(shard.content().tokens, 2 * kTokens)));
    shard.read(0, ids);
    if (ids != truth) __builtin_trap();  // damage that no check saw
  } catch (const runtime::Error&) {
  }
  return 0;
}
