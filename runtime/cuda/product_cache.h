// What timing found for matrix products, kept on disk: one JSON file for each GPU model and version of cuBLASLt. Text
// and numbers only: it knows neither CUDA nor what the words of an algorithm mean. The file only saves time, but its
// loss changes bits: other algorithms add up in other orders. So what the file says first is what every rank and every
// later run uses.
//
// {"kind": "trireme-products", "format_version": 1, "gpu": NAME, "cublaslt": VERSION, "products":
//  {KEY: {"algorithm": [8 words of 64 bits, hexadecimal], "bias_gradient": "product" | "columns",
//         "microseconds": NUMBER}}}
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/cuda/product_key.h"
#include "runtime/files.h"

namespace trireme::runtime::cuda {

/// How the gradient of a bias, the column sums of dy, is computed.
enum class BiasGradient {
  product,  ///< by the weight gradient's product, which reads dy anyway
  columns,  ///< by kernels of ours
};

struct ProductChoice {
  ProductAlgorithm algorithm{};
  BiasGradient bias_gradient = BiasGradient::columns;
  double microseconds = 0;  ///< of the product, for people
  bool operator==(const ProductChoice&) const = default;
};

/// $TRIREME_CACHE_DIR, else $XDG_CACHE_HOME/trireme, else $HOME/.cache/trireme; "" where none is set.
std::string cache_directory();

class ProductCache {
 public:
  using Products = std::map<std::string, ProductChoice>;

  /// `directory` "" keeps everything in memory. What is there is read now; a file that is damaged, or of another GPU or
  /// version, is a warning and counts as empty.
  ProductCache(Files& files, const std::string& directory, const std::string& gpu, int64_t library_version);

  std::optional<ProductChoice> find(const std::string& key) const;
  /// The library refused what was found for `key`: forgotten here, and in the file at the next keep().
  void refuse(const std::string& key);
  /// Keeps `choice` here and in the file, and returns what is to be used: the file's choice where another process was
  /// first. Where the file cannot be written this warns once and goes on in memory.
  ProductChoice keep(const std::string& key, const ProductChoice& choice);

  const std::string& path() const { return path_; }

 private:
  Products read();
  void merge_and_write();
  void warn_once(bool& warned, const std::string& message);

  Files& files_;
  std::string directory_;
  std::string gpu_;
  int64_t library_version_;
  std::string path_;
  Products products_;
  Products refused_;
  bool warned_of_content_ = false;
  bool warned_of_writing_ = false;
};

}  // namespace trireme::runtime::cuda
