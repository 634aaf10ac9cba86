#include "checkpoint/diff.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstring>

#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/tensor_slice.h"
#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

namespace json = boost::json;
using Lines = std::vector<std::string>;

// Members that both objects have are compared by recursion, so that the line names the value that differs.
void diff_json(const std::string& path, const json::value& a, const json::value& b, Lines& lines) {
  if (!a.is_object() || !b.is_object()) {
    if (a != b) lines.push_back(path + ": " + json::serialize(a) + " and " + json::serialize(b));
    return;
  }
  for (const auto& [key, value] : a.as_object()) {
    const std::string inner = path + "." + std::string(key);
    const json::value* other = b.as_object().if_contains(key);
    if (other == nullptr) {
      lines.push_back(inner + ": only in the first");
    } else {
      diff_json(inner, value, *other, lines);
    }
  }
  for (const auto& member : b.as_object()) {
    if (!a.as_object().contains(member.key()))
      lines.push_back(path + "." + std::string(member.key()) + ": only in the second");
  }
}

// "[3, 17]" for a flat index.
std::string place_text(int64_t index, const std::vector<int64_t>& shape) {
  std::string text;
  for (size_t axis = shape.size(); axis-- > 0; index /= shape[axis]) {
    text = std::to_string(index % shape[axis]) + (text.empty() ? "" : ", " + text);
  }
  return "[" + text + "]";
}

std::string bytes_difference(const StoredTensor& tensor, const std::vector<std::byte>& a,
                             const std::vector<std::byte>& b) {
  const auto element_bytes = static_cast<size_t>(size_bytes(tensor.dtype));
  int64_t different = 0;
  int64_t first = -1;
  for (size_t i = 0; i * element_bytes < a.size(); ++i) {
    if (std::memcmp(&a[i * element_bytes], &b[i * element_bytes], element_bytes) == 0) continue;
    if (different++ == 0) first = static_cast<int64_t>(i);
  }
  if (different == 0) return "";
  return std::to_string(different) + " of " + std::to_string(a.size() / element_bytes) +
         " elements differ, the first at " + place_text(first, tensor.global_shape);
}

struct Side {
  const std::string& directory;
  const Manifest& manifest;
};

void diff_tensor(runtime::Files& files, const StoredTensor& tensor, const Side& a, const Side& b, Lines& lines) {
  const std::string title = tensor_title(tensor.name, tensor.kind) + ": ";
  const StoredTensor* other = b.manifest.find(tensor.name, tensor.kind);
  if (other == nullptr) {
    lines.push_back(title + "only in the first");
  } else if (*other != tensor) {
    lines.push_back(title + to_string(parallel::whole(tensor.global_shape)) + " " + std::string(name(tensor.dtype)) +
                    " and " + to_string(parallel::whole(other->global_shape)) + " " + std::string(name(other->dtype)));
  } else {
    try {
      const std::string difference = bytes_difference(tensor, read_tensor(files, a.directory, a.manifest, tensor),
                                                      read_tensor(files, b.directory, b.manifest, tensor));
      if (!difference.empty()) lines.push_back(title + difference);
    } catch (const runtime::Error& error) {
      lines.push_back(title + error.what());
    }
  }
}

}  // namespace

std::vector<std::string> diff(runtime::Files& files, const std::string& a, const std::string& b) {
  const Manifest manifest_a = read_manifest(files, a);
  const Manifest manifest_b = read_manifest(files, b);
  Lines lines;
  diff_json("step", manifest_a.step, manifest_b.step, lines);
  diff_json("state", manifest_a.state, manifest_b.state, lines);
  for (const StoredTensor& tensor : manifest_a.tensors) {
    diff_tensor(files, tensor, {a, manifest_a}, {b, manifest_b}, lines);
  }
  for (const StoredTensor& tensor : manifest_b.tensors) {
    if (manifest_a.find(tensor.name, tensor.kind) == nullptr) {
      lines.push_back(tensor_title(tensor.name, tensor.kind) + ": only in the second");
    }
  }
  return lines;
}

}  // namespace trireme::checkpoint
