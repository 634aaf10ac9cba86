// Damage of every kind at every class of position in a step: named by file, and by tensor where it lies in one; never
// loaded; and fallen back from.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::real_files;
using tests::Cut;
using tests::RankState;
using Names = std::vector<std::string>;

/// Not atomically: a test makes thousands of files.
void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

bool any_contains(const Names& lines, const std::string& part) {
  return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

/// Steps 1 and 2 of two shards each; damage is done to step 2.
class Steps {
 public:
  Steps() {
    tests::save_sample(directory_.path(), 1, 1, Cut::rows, 2);
    tests::save_sample(directory_.path(), 2, 2, Cut::rows, 2);
    manifest = read_manifest(real_files(), step());
  }
  std::string step() const { return step_directory(directory_.path(), 2); }
  std::string path(const std::string& name) const { return step() + "/" + name; }

  /// The step that is loaded when the newest is asked for, after checking that its bits are those that were saved. Step
  /// 1 must have been announced.
  int64_t loaded() const {
    RankState state(Cut::rows, 0, 1);
    state.poison();
    testing::internal::CaptureStderr();
    const auto solo = runtime::solo_communicator();
    const std::optional<Loaded> found = load_newest(real_files(), *solo, directory_.path(), state.slices);
    const std::string log = testing::internal::GetCapturedStderr();
    if (!found) return 0;
    EXPECT_TRUE(state.holds(static_cast<uint32_t>(found->step))) << "other bits than were saved";
    EXPECT_EQ(log.find("falling back to step 1") != std::string::npos, found->step == 1) << log;
    return found->step;
  }

  /// The step alone, without another to fall back to: it is refused, or has the bits that were saved.
  bool is_loaded_alone() const {
    RankState state(Cut::columns, 0, 1);
    state.poison();
    try {
      load(real_files(), step(), read_manifest(real_files(), step()), state.slices);
    } catch (const runtime::Error&) {
      return false;
    }
    EXPECT_TRUE(state.holds(2)) << "other bits than were saved";
    return true;
  }

  /// What must hold of damage anywhere in `file`. `in_data`: where loading must meet it; then a line of verify names
  /// `tensor` too, unless that is empty.
  void expect_found(const std::string& file, bool in_data, const std::string& tensor) const {
    const Names problems = verify(real_files(), step());
    EXPECT_TRUE(any_contains(problems, file)) << problems.size() << " problems";
    EXPECT_TRUE(tensor.empty() || any_contains(problems, file + ": " + tensor)) << problems.front();
    const int64_t step_loaded = loaded();
    EXPECT_EQ(is_loaded_alone(), step_loaded == 2);
    EXPECT_TRUE(!in_data || step_loaded == 1);
  }

  Manifest manifest;

 private:
  tests::TemporaryDirectory directory_;
};

/// A place in a file; in the data of a slice, or not.
struct Position {
  std::string title;
  size_t byte = 0;
  const StoredSlice* slice = nullptr;
};

std::vector<StoredSlice> slices_of(const Manifest& manifest, const std::string& file) {
  std::vector<StoredSlice> slices;
  std::ranges::copy_if(manifest.slices, std::back_inserter(slices),
                       [&](const StoredSlice& slice) { return slice.file == file; });
  std::ranges::sort(slices, {}, &StoredSlice::offset_bytes);
  return slices;
}

/// `text` is the shard. The gap before a slice is what lies between it and the one before: object headers, and the
/// bytes that align it.
std::vector<Position> positions_in(const std::string& text, const std::vector<StoredSlice>& slices) {
  std::vector<Position> positions{{"the signature", 1}, {"the superblock", 20}, {"its checksum", 44}};
  for (size_t at = text.find("OHDR"); at != std::string::npos; at = text.find("OHDR", at + 1)) {
    positions.push_back({"an object header", at + 2});
    positions.push_back({"inside an object header", at + 24});
  }
  size_t end_before = 0;
  for (const StoredSlice& slice : slices) {
    const auto begin = static_cast<size_t>(slice.offset_bytes);
    const auto bytes = static_cast<size_t>(slice.bytes);
    if (begin > end_before) positions.push_back({"the gap before " + slice.dataset, begin - 1});
    positions.push_back({"the first byte of " + slice.dataset, begin, &slice});
    positions.push_back({"the middle of " + slice.dataset, begin + bytes / 2, &slice});
    positions.push_back({"the last byte of " + slice.dataset, begin + bytes - 1, &slice});
    end_before = begin + bytes;
  }
  positions.push_back({"the last byte of the file", text.size() - 1});
  // What looked like a header inside of data is data.
  for (Position& position : positions) {
    for (const StoredSlice& slice : slices) {
      const auto begin = static_cast<size_t>(slice.offset_bytes);
      if (position.byte >= begin && position.byte < begin + static_cast<size_t>(slice.bytes)) position.slice = &slice;
    }
  }
  return positions;
}

std::string title_of(const StoredSlice* slice) {
  return slice == nullptr ? "" : tensor_title(slice->tensor, slice->kind);
}

TEST(DamagePositions, OfEachShardAreFound) {
  const Steps steps;
  size_t count = 0;
  std::set<std::string> kinds_of_place;
  for (const StoredFile& file : steps.manifest.files) {
    const std::string path = steps.path(file.name);
    const std::string text = read_text(real_files(), path);
    const std::vector<StoredSlice> slices = slices_of(steps.manifest, file.name);
    for (const Position& position : positions_in(text, slices)) {
      SCOPED_TRACE(file.name + ", " + position.title);
      const bool in_data = position.slice != nullptr;
      const std::string tensor = title_of(position.slice);
      kinds_of_place.insert(position.title.substr(0, position.title.find(" of ")));

      std::string damaged = text;
      damaged[position.byte] = static_cast<char>(damaged[position.byte] ^ (1 << count % 8));
      write_file(path, damaged);
      steps.expect_found(file.name, in_data, tensor);

      write_file(path, text.substr(0, position.byte));  // every file that is cut has not the size that is recorded
      steps.expect_found(file.name, true, tensor);

      damaged = text;
      const size_t block = position.byte / 4096 * 4096;
      const size_t length = std::min<size_t>(4096, text.size() - block);
      damaged.replace(block, length, length, '\0');
      write_file(path, damaged);
      steps.expect_found(file.name, in_data, tensor);
      write_file(path, text);
      ++count;
    }
  }
  EXPECT_GT(count, 100u);
  EXPECT_GE(kinds_of_place.size(), 8u);
  EXPECT_EQ(verify(real_files(), steps.step()), Names{});
  EXPECT_EQ(steps.loaded(), 2);
}

/// verify and load read the manifest alone before they know that it is damaged, so that every byte can be tried.
TEST(DamagePositions, OfTheManifestAreFoundAtEveryByte) {
  const Steps steps;
  const std::string path = steps.path("manifest.json");
  const std::string text = read_text(real_files(), path);
  const auto expect_named = [&] {
    const Names problems = verify(real_files(), steps.step());
    EXPECT_EQ(problems.size(), 1u);
    EXPECT_TRUE(any_contains(problems, "manifest.json cannot be used: "));
  };
  for (size_t byte = 0; byte < text.size(); ++byte) {
    SCOPED_TRACE(byte);
    const auto bit = static_cast<int64_t>(byte * 8 + byte % 8);
    tests::flip_bit(path, bit);
    expect_named();
    tests::flip_bit(path, bit);
  }
  EXPECT_EQ(verify(real_files(), steps.step()), Names{});
  for (size_t block = 0; block < text.size(); block += 4096) {
    std::string damaged = text;
    const size_t length = std::min<size_t>(4096, text.size() - block);
    write_file(path, damaged.replace(block, length, length, '\0'));
    expect_named();
  }
  write_file(path, text);
  for (size_t bytes = text.size(); bytes-- > 0;) {  // shorter and shorter: to write it anew each time would be slow
    SCOPED_TRACE(bytes);
    std::filesystem::resize_file(path, bytes);
    expect_named();
  }
}

TEST(DamagePositions, OfEachFieldOfTheManifestAreFallenBackFrom) {
  const Steps steps;
  const std::string path = steps.path("manifest.json");
  const std::string text = read_text(real_files(), path);
  for (const char* field : {"format",    "name",     "major",        "minor",          "required_features",
                            "step",      "run_id",   "attempt",      "parent_step",    "writer",
                            "version",   "commit",   "layout",       "state",          "tensors",
                            "kind",      "dtype",    "global_shape", "slices",         "tensor",
                            "box_start", "box_size", "file",         "dataset",        "offset_bytes",
                            "bytes",     "crc32c",   "files",        "manifest_crc32c"}) {
    SCOPED_TRACE(field);
    const std::string quoted = "\"" + std::string(field) + "\":";
    const size_t name = text.find(quoted);
    ASSERT_NE(name, std::string::npos);
    for (const size_t byte : {name + 1, name + quoted.size() + 2}) {  // the name, and early in its value
      std::string damaged = text;
      damaged[byte] = static_cast<char>(damaged[byte] ^ 2);
      write_file(path, damaged);
      steps.expect_found("manifest.json", true, "");
    }
  }
}

TEST(DamagePositions, OfWholeFilesAreFound) {
  const Steps steps;
  for (const char* name : {"manifest.json", "shard-00000-of-00002.h5", "shard-00001-of-00002.h5"}) {
    SCOPED_TRACE(name);
    const std::string text = read_text(real_files(), steps.path(name));
    std::filesystem::remove(steps.path(name));
    steps.expect_found(name, true, "");
    write_file(steps.path(name), "");
    steps.expect_found(name, true, "");
    std::filesystem::remove(steps.path(name));
    std::filesystem::create_directory(steps.path(name));
    EXPECT_FALSE(steps.is_loaded_alone());
    std::filesystem::remove(steps.path(name));
    write_file(steps.path(name), text + std::string(1, '\0'));
    steps.expect_found(name, true, "");
    write_file(steps.path(name), text);
  }
}

/// Files of the same size, whole in themselves: of this step the other way round, and of the step before.
TEST(DamagePositions, ExchangedFilesAreFound) {
  const Steps steps;
  const std::string first = steps.path("shard-00000-of-00002.h5");
  const std::string second = steps.path("shard-00001-of-00002.h5");
  const std::string text_of_first = read_text(real_files(), first);
  const std::string text_of_second = read_text(real_files(), second);
  write_file(first, text_of_second);
  write_file(second, text_of_first);
  steps.expect_found("shard-00000-of-00002.h5", true, "");
  steps.expect_found("shard-00001-of-00002.h5", true, "");
  write_file(first, text_of_first);
  write_file(second, text_of_second);
  EXPECT_EQ(steps.loaded(), 2);

  const std::string before = std::filesystem::path(steps.step()).parent_path() / "step-000000001";
  for (const char* name : {"shard-00000-of-00002.h5", "manifest.json"}) {
    SCOPED_TRACE(name);
    const std::string text = read_text(real_files(), steps.path(name));
    write_file(steps.path(name), read_text(real_files(), before + "/" + name));
    const std::string tensor = std::string(name) == "manifest.json" ? "" : "parameter of wte.weight";
    steps.expect_found(name, true, tensor);
    write_file(steps.path(name), text);
  }
}

}  // namespace
}  // namespace trireme::checkpoint
