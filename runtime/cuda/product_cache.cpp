#include "runtime/cuda/product_cache.h"

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/json.h"
#include "runtime/log.h"

namespace trireme::runtime::cuda {
namespace {

namespace json = boost::json;

constexpr char kKind[] = "trireme-products";
constexpr int64_t kFormatVersion = 1;

/// "NVIDIA H200" as a part of a file's name: "nvidia-h200".
std::string file_word(const std::string& text) {
  std::string word;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    const bool capital = c >= 'A' && c <= 'Z';
    word += plain ? c : capital ? static_cast<char>(c - 'A' + 'a') : '-';
  }
  return word;
}

std::string hexadecimal(uint64_t word) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), word, 16).ptr;
  return {digits.data(), end};
}

uint64_t word_of(const json::value& value) {
  const json::string& text = value.as_string();
  uint64_t word = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), word, 16);
  if (failure != std::errc() || end != text.data() + text.size() || text.empty()) {
    throw std::runtime_error("a word of an algorithm is no hexadecimal number");
  }
  return word;
}

// The `at` and `as_` of boost.json throw for what is missing or of another type; read() catches.
ProductChoice choice_of(const json::object& object) {
  ProductChoice choice;
  const json::array& words = object.at("algorithm").as_array();
  if (words.size() != choice.algorithm.size()) throw std::runtime_error("an algorithm is not 8 words");
  for (size_t i = 0; i < choice.algorithm.size(); ++i) choice.algorithm[i] = word_of(words[i]);
  const json::string& gradient = object.at("bias_gradient").as_string();
  if (gradient != "product" && gradient != "columns") throw std::runtime_error("bias_gradient is unknown");
  choice.bias_gradient = gradient == "product" ? BiasGradient::product : BiasGradient::columns;
  choice.microseconds = object.at("microseconds").to_number<double>();
  if (!std::isfinite(choice.microseconds)) throw std::runtime_error("microseconds is no number");
  return choice;
}

json::object to_json(const ProductChoice& choice) {
  json::array words;
  for (const uint64_t word : choice.algorithm) words.emplace_back(hexadecimal(word));
  return {{"algorithm", std::move(words)},
          {"bias_gradient", choice.bias_gradient == BiasGradient::product ? "product" : "columns"},
          {"microseconds", choice.microseconds}};
}

/// Others hold the lock for the time of one small write.
std::optional<FileLock> lock_soon(const std::string& path) {
  constexpr int kTries = 200;
  for (int i = 0; i < kTries; ++i) {
    if (auto lock = FileLock::try_lock(path)) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return std::nullopt;
}

}  // namespace

std::string cache_directory() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string ours = variable("TRIREME_CACHE_DIR"); !ours.empty()) return ours;
  // The XDG base directory specification: a relative path is to be ignored.
  if (const std::string xdg = variable("XDG_CACHE_HOME"); xdg.starts_with('/')) return xdg + "/trireme";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/trireme";
}

ProductCache::ProductCache(Files& files, const std::string& directory, const std::string& gpu, int64_t library_version)
    : files_(files), directory_(directory), gpu_(gpu), library_version_(library_version) {
  if (directory_.empty()) return;
  path_ = directory_ + "/products-" + file_word(gpu) + "-cublaslt-" + std::to_string(library_version) + ".json";
  try {
    products_ = read();
  } catch (const Error& error) {
    warn_once(warned_of_content_, error.what());
  }
}

std::optional<ProductChoice> ProductCache::find(const std::string& key) const {
  const auto found = products_.find(key);
  return found == products_.end() ? std::nullopt : std::optional(found->second);
}

void ProductCache::refuse(const std::string& key) {
  const auto found = products_.find(key);
  if (found == products_.end()) return;
  warn_once(warned_of_content_, path_ + " names an algorithm that cuBLASLt refuses (" + key + "): chosen again");
  refused_.insert_or_assign(key, found->second);
  products_.erase(found);
}

ProductChoice ProductCache::keep(const std::string& key, const ProductChoice& choice) {
  products_.insert_or_assign(key, choice);
  if (directory_.empty()) {
    warn_once(
        warned_of_writing_,
        "the choices made for matrix products are lost at the end: TRIREME_CACHE_DIR, XDG_CACHE_HOME and HOME are "
        "all unset");
    return choice;
  }
  if (!warned_of_writing_) merge_and_write();
  return products_.at(key);
}

/// What the file holds; nothing where that cannot be used. Throws Error(io) when it cannot be read: what may be whole
/// is not to be replaced.
ProductCache::Products ProductCache::read() {
  try {
    if (!files_.exists(path_)) return {};
    const json::value value = parse_json(read_text(files_, path_));
    const json::object& object = value.as_object();
    if (object.at("kind").as_string() != kKind) throw std::runtime_error("it is of another kind");
    if (object.at("format_version").to_number<int64_t>() != kFormatVersion) {
      throw std::runtime_error("it is of another format version");
    }
    if (object.at("gpu").as_string() != gpu_ || object.at("cublaslt").to_number<int64_t>() != library_version_) {
      throw std::runtime_error("it is of another GPU or another cuBLASLt");
    }
    Products products;
    for (const auto& [key, entry] : object.at("products").as_object()) {
      products.emplace(std::string(key), choice_of(entry.as_object()));
    }
    return products;
  } catch (const std::exception& error) {  // boost.json throws several types, for missing keys and kinds
    const auto* ours = dynamic_cast<const Error*>(&error);
    if (ours != nullptr && ours->kind() == ErrorKind::io) throw;
    warn_once(warned_of_content_, path_ + " cannot be used (" + error.what() + "): made anew");
    return {};
  }
}

/// Under a lock, so that no process loses what another has added.
void ProductCache::merge_and_write() {
  try {
    files_.make_directory(directory_);
    const std::optional<FileLock> lock = lock_soon(path_ + ".lock");
    if (!lock) throw Error(ErrorKind::io, path_ + " is locked by " + FileLock::owner(path_ + ".lock"));
    for (const auto& [key, choice] : read()) {
      const auto refused = refused_.find(key);
      if (refused == refused_.end() || refused->second != choice) products_.insert_or_assign(key, choice);
    }
    json::object products;
    for (const auto& [key, choice] : products_) products.emplace(key, to_json(choice));
    const json::object object{{"kind", kKind},
                              {"format_version", kFormatVersion},
                              {"gpu", gpu_},
                              {"cublaslt", library_version_},
                              {"products", std::move(products)}};
    write_text_atomically(files_, path_, json::serialize(object) + "\n");
  } catch (const Error& error) {
    warn_once(warned_of_writing_, std::string("the choices made for matrix products are not kept: ") + error.what());
  }
}

void ProductCache::warn_once(bool& warned, const std::string& message) {
  if (!warned) log_warning(message);
  warned = true;
}

}  // namespace trireme::runtime::cuda
