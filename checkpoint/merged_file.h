// A plain file of whole tensors in one of the formats that other people's tools read. Knows no step and no slice.
//
// HDF5: /parameter/NAME, /exp_avg/NAME, ..., contiguous. safetensors (github.com/huggingface/safetensors, README,
// "Format"): 8 bytes little-endian, the length of a JSON header; the header, padded with spaces so that the data begins
// at a multiple of 8; the elements, little-endian and row-major, without gaps. Parameters have their own names there,
// what belongs to the optimizer is "exp_avg/NAME".
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

class MergedFile {
 public:
  virtual ~MergedFile() = default;
  /// The elements of the next tensor.
  virtual void add(const StoredTensor& tensor, std::span<const std::byte> elements) = 0;
  /// The content is durable when this returns; without it the file is debris.
  virtual void finish() = 0;
};

/// For these tensors, in this order, in a file that was created at `path` and is empty.
std::unique_ptr<MergedFile> begin_merged_h5(std::unique_ptr<runtime::File> file, const std::string& path,
                                            const Manifest& manifest);
std::unique_ptr<MergedFile> begin_safetensors(std::unique_ptr<runtime::File> file, const Manifest& manifest,
                                              std::span<const StoredTensor> tensors);

/// The order in which they lie without gaps and yet aligned: larger elements first, then by kind and name.
void order_for_safetensors(std::vector<StoredTensor>& tensors);

}  // namespace trireme::checkpoint
