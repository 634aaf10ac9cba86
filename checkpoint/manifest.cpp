#include "checkpoint/manifest.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <charconv>
#include <new>
#include <span>

#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::checkpoint {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorKind;

constexpr std::string_view kFormat = "trireme-checkpoint";
constexpr std::string_view kBeforeCrc = ",\n\"manifest_crc32c\": \"";
constexpr std::string_view kAfterCrc = "\"}\n";
constexpr size_t kCrcDigits = 8;

uint32_t crc_of(std::string_view text) {
  return runtime::crc32c(std::as_bytes(std::span(text)));
}

template <typename T>
T member(const json::value& value, std::string_view key) {
  return json::value_to<T>(value.as_object().at(key));
}

uint32_t crc_member(const json::value& value, std::string_view key) {
  const auto text = member<std::string>(value, key);
  uint32_t crc = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), crc, 16);
  if (code != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorKind::data, "\"" + text + "\" is not a CRC32C");
  }
  return crc;
}

// An array with one entry a line, so that people can read and compare manifests.
template <typename T>
std::string lines(const std::vector<T>& entries) {
  std::string text = "[";
  for (size_t i = 0; i < entries.size(); ++i) {
    text += (i == 0 ? "\n  " : ",\n  ") + json::serialize(to_json(entries[i]));
  }
  return text + "]";
}

template <typename T>
std::vector<T> entries(const json::value& value, std::string_view key, T (*from_json)(const json::value&)) {
  std::vector<T> result;
  for (const json::value& entry : value.as_object().at(key).as_array()) result.push_back(from_json(entry));
  return result;
}

void check_version(const json::value& format) {
  const auto name = member<std::string>(format, "name");
  if (name != kFormat) throw Error(ErrorKind::version, "its format is \"" + name + "\", not " + std::string(kFormat));
  const auto major = member<int64_t>(format, "major");
  if (major != Manifest::kMajor) {
    throw Error(ErrorKind::version, "it has format version " + std::to_string(major) + "." +
                                        std::to_string(member<int64_t>(format, "minor")) +
                                        "; this program reads version " + std::to_string(Manifest::kMajor) + "." +
                                        std::to_string(Manifest::kMinor));
  }
  for (const json::value& feature : format.as_object().at("required_features").as_array()) {
    throw Error(ErrorKind::version, "it needs the feature " + json::serialize(feature) + " of format version " +
                                        std::to_string(major) + "." + std::to_string(member<int64_t>(format, "minor")) +
                                        ", which this program's version " + std::to_string(Manifest::kMajor) + "." +
                                        std::to_string(Manifest::kMinor) + " does not know");
  }
}

void check_crc(std::string_view text) {
  const size_t tail = kBeforeCrc.size() + kCrcDigits + kAfterCrc.size();
  if (text.size() < tail || text.substr(text.size() - tail, kBeforeCrc.size()) != kBeforeCrc) {
    throw Error(ErrorKind::data, "it is cut off: it does not end with its CRC32C");
  }
  const std::string_view body = text.substr(0, text.size() - tail);
  const std::string expected = crc_text(crc_of(body)) + std::string(kAfterCrc);
  if (text.substr(text.size() - kCrcDigits - kAfterCrc.size()) != expected) {
    throw Error(ErrorKind::data, "it is damaged: its CRC32C is not the one at its end");
  }
}

Manifest from_value(const json::value& value) {
  check_version(value.as_object().at("format"));
  Manifest manifest;
  manifest.step = member<int64_t>(value, "step");
  manifest.run_id = member<std::string>(value, "run_id");
  manifest.attempt = member<int64_t>(value, "attempt");
  manifest.parent_step = member<int64_t>(value, "parent_step");
  const json::value& writer = value.as_object().at("writer");
  manifest.writer = {member<std::string>(writer, "version"), member<std::string>(writer, "commit")};
  manifest.layout = value.as_object().at("layout").as_object();
  manifest.state = value.as_object().at("state").as_object();
  manifest.tensors = entries(value, "tensors", tensor_from_json);
  manifest.slices = entries(value, "slices", slice_from_json);
  manifest.files = entries(value, "files", file_from_json);
  return manifest;
}

}  // namespace

const StoredTensor* Manifest::find(std::string_view name, std::string_view kind) const {
  const auto found =
      std::ranges::find_if(tensors, [&](const StoredTensor& t) { return t.name == name && t.kind == kind; });
  return found == tensors.end() ? nullptr : &*found;
}

std::string to_text(const Manifest& manifest) {
  const json::object format = {{"name", std::string(kFormat)},
                               {"major", Manifest::kMajor},
                               {"minor", Manifest::kMinor},
                               {"required_features", json::array()}};
  std::string text = "{\"format\": " + json::serialize(format) + ",\n\"step\": " + std::to_string(manifest.step);
  text += ",\n\"run_id\": " + json::serialize(json::value(manifest.run_id));
  text += ",\n\"attempt\": " + std::to_string(manifest.attempt);
  text += ",\n\"parent_step\": " + std::to_string(manifest.parent_step);
  const json::object writer = {{"version", manifest.writer.version}, {"commit", manifest.writer.commit}};
  text += ",\n\"writer\": " + json::serialize(writer);
  text += ",\n\"layout\": " + json::serialize(manifest.layout) + ",\n\"state\": " + json::serialize(manifest.state);
  text += ",\n\"tensors\": " + lines(manifest.tensors) + ",\n\"slices\": " + lines(manifest.slices);
  text += ",\n\"files\": " + lines(manifest.files);
  return text + std::string(kBeforeCrc) + crc_text(crc_of(text)) + std::string(kAfterCrc);
}

Manifest parse_manifest(std::string_view text, const std::string& path) {
  const std::string before = path + " cannot be used: ";
  try {
    check_crc(text);
    return from_value(runtime::parse_json(text));
  } catch (const Error& error) {
    throw Error(error.kind(), before + error.what());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {  // Boost's for an absent or mistyped member
    throw Error(ErrorKind::data, before + error.what());
  }
}

json::object to_json(const StoredTensor& tensor) {
  return {{"name", tensor.name},
          {"kind", tensor.kind},
          {"dtype", std::string(runtime::name(tensor.dtype))},
          {"global_shape", json::value_from(tensor.global_shape)}};
}

json::object to_json(const StoredSlice& slice) {
  return {{"tensor", slice.tensor},
          {"kind", slice.kind},
          {"box_start", json::value_from(slice.box.start)},
          {"box_size", json::value_from(slice.box.size)},
          {"file", slice.file},
          {"dataset", slice.dataset},
          {"offset_bytes", slice.offset_bytes},
          {"bytes", slice.bytes},
          {"crc32c", crc_text(slice.crc32c)}};
}

json::object to_json(const StoredFile& file) {
  return {{"name", file.name}, {"bytes", file.bytes}, {"crc32c", crc_text(file.crc32c)}};
}

StoredTensor tensor_from_json(const json::value& value) {
  const auto dtype_name = member<std::string>(value, "dtype");
  const auto dtype = runtime::dtype_from_name(dtype_name);
  if (!dtype) throw Error(ErrorKind::data, "there is no dtype \"" + dtype_name + "\"");
  return {member<std::string>(value, "name"), member<std::string>(value, "kind"), *dtype,
          member<std::vector<int64_t>>(value, "global_shape")};
}

StoredSlice slice_from_json(const json::value& value) {
  StoredSlice slice;
  slice.tensor = member<std::string>(value, "tensor");
  slice.kind = member<std::string>(value, "kind");
  slice.box = {member<std::vector<int64_t>>(value, "box_start"), member<std::vector<int64_t>>(value, "box_size")};
  slice.file = member<std::string>(value, "file");
  slice.dataset = member<std::string>(value, "dataset");
  slice.offset_bytes = member<int64_t>(value, "offset_bytes");
  slice.bytes = member<int64_t>(value, "bytes");
  slice.crc32c = crc_member(value, "crc32c");
  if (slice.offset_bytes < 0 || slice.bytes < 0 || slice.file.find('/') != std::string::npos) {
    throw Error(ErrorKind::data, "the slice " + json::serialize(value) + " has no place in this directory");
  }
  return slice;
}

StoredFile file_from_json(const json::value& value) {
  return {member<std::string>(value, "name"), member<int64_t>(value, "bytes"), crc_member(value, "crc32c")};
}

std::string crc_text(uint32_t crc) {
  std::string digits(kCrcDigits, '0');
  for (size_t i = 0; i < kCrcDigits; ++i) digits[i] = "0123456789abcdef"[crc >> (28 - 4 * i) & 15];
  return digits;
}

std::string tensor_title(std::string_view name, std::string_view kind) {
  return std::string(kind) + " of " + std::string(name);
}

}  // namespace trireme::checkpoint
