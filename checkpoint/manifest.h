// What a committed step directory holds: manifest.json, the only file that is parsed to load one. It places every slice
// (tensor, box) in a file at a byte offset, with the CRC32C of its bytes. Format: README.md.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/box.h"
#include "runtime/dtype.h"

namespace trireme::checkpoint {

struct StoredTensor {
  std::string name;
  std::string kind;
  runtime::DType dtype = runtime::DType::fp32;
  std::vector<int64_t> global_shape;
  bool operator==(const StoredTensor&) const = default;
};

struct StoredSlice {
  std::string tensor;
  std::string kind;
  parallel::Box box;
  std::string file;     ///< a name inside the step directory
  std::string dataset;  ///< where other people's tools find it in the file
  int64_t offset_bytes = 0;
  int64_t bytes = 0;
  uint32_t crc32c = 0;
  bool operator==(const StoredSlice&) const = default;
};

struct StoredFile {
  std::string name;
  int64_t bytes = 0;
  uint32_t crc32c = 0;
  bool operator==(const StoredFile&) const = default;
};

/// The program that saved a step; for people, never compared.
struct Writer {
  std::string version;
  std::string commit;
  bool operator==(const Writer&) const = default;
};

struct Manifest {
  static constexpr int64_t kMajor = 1;
  static constexpr int64_t kMinor = 0;

  int64_t step = 0;
  std::string run_id;
  int64_t attempt = 0;
  int64_t parent_step = -1;  ///< the newest step that was committed before; -1: none
  Writer writer;
  boost::json::object layout;
  boost::json::object state;
  std::vector<StoredTensor> tensors;
  std::vector<StoredSlice> slices;
  std::vector<StoredFile> files;

  /// Null when there is no such tensor.
  const StoredTensor* find(std::string_view name, std::string_view kind) const;
};

/// JSON, one entry a line; its last member is the CRC32C of all text before it.
std::string to_text(const Manifest& manifest);
/// Throws, starting with `path`, Error(data) for a damaged text, Error(version) for a whole one of another format, an
/// unknown major version (naming both versions) or an unknown required feature.
Manifest parse_manifest(std::string_view text, const std::string& path);

/// Parts of the above, for what the ranks tell each other during a save.
boost::json::object to_json(const StoredTensor& tensor);
boost::json::object to_json(const StoredSlice& slice);
boost::json::object to_json(const StoredFile& file);
StoredTensor tensor_from_json(const boost::json::value& value);
StoredSlice slice_from_json(const boost::json::value& value);
StoredFile file_from_json(const boost::json::value& value);

/// "1badcafe"
std::string crc_text(uint32_t crc);
/// "exp_avg of h.0.ln_1.weight"
std::string tensor_title(std::string_view name, std::string_view kind);

}  // namespace trireme::checkpoint
