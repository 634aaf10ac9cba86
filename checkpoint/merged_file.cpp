#include "checkpoint/merged_file.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <tuple>
#include <utility>

#include "parallel/box.h"
#include "runtime/error.h"
#include "runtime/h5.h"

namespace trireme::checkpoint {
namespace {

namespace json = boost::json;
using runtime::DType;

class MergedH5 : public MergedFile {
 public:
  MergedH5(std::unique_ptr<runtime::File> file, const std::string& path, const Manifest& manifest)
      : writer_(std::move(file), path) {
    writer_.attribute("/", "format", "trireme-merged 1.0");
    writer_.attribute("/", "run_id", manifest.run_id);
    writer_.attribute("/", "step", std::span(&manifest.step, 1));
  }

  void add(const StoredTensor& tensor, std::span<const std::byte> elements) override {
    const runtime::H5Dataset dataset =
        writer_.create("/" + tensor.kind + "/" + tensor.name, tensor.dtype, tensor.global_shape);
    const auto count = static_cast<int64_t>(elements.size()) / size_bytes(tensor.dtype);
    writer_.write(dataset, 0, runtime::ConstView{elements.data(), tensor.dtype, {count}});
  }

  void finish() override {
    writer_.finish();
    writer_.file().sync();
  }

 private:
  runtime::H5Writer writer_;
};

std::string safetensors_dtype(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return "U8";
    case DType::u16:
      return "U16";
    case DType::i32:
      return "I32";
    case DType::i64:
      return "I64";
    case DType::bf16:
      return "BF16";
    case DType::fp32:
      return "F32";
    case DType::fp64:
      return "F64";
  }
  throw runtime::Error(runtime::ErrorKind::internal, "safetensors has no such dtype");
}

int64_t bytes_of(const StoredTensor& tensor) {
  return parallel::whole(tensor.global_shape).elements() * size_bytes(tensor.dtype);
}

/// "format" is what transformers asks for before it reads such a file: elements are laid out as PyTorch's.
std::string safetensors_header(const Manifest& manifest, std::span<const StoredTensor> tensors) {
  json::object header;
  header["__metadata__"] = {{"format", "pt"}, {"run_id", manifest.run_id}, {"step", std::to_string(manifest.step)}};
  int64_t begin = 0;
  for (const StoredTensor& tensor : tensors) {
    const int64_t end = begin + bytes_of(tensor);
    header[tensor.kind == "parameter" ? tensor.name : tensor.kind + "/" + tensor.name] = {
        {"dtype", safetensors_dtype(tensor.dtype)},
        {"shape", json::value_from(tensor.global_shape)},
        {"data_offsets", json::array{begin, end}}};
    begin = end;
  }
  std::string text = json::serialize(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

class Safetensors : public MergedFile {
 public:
  Safetensors(std::unique_ptr<runtime::File> file, const std::string& header) : file_(std::move(file)) {
    std::string text(8, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(header.size() >> (8 * i) & 255);
    text += header;
    file_->append(std::as_bytes(std::span(text)));
  }

  void add(const StoredTensor&, std::span<const std::byte> elements) override { file_->append(elements); }
  void finish() override { file_->sync(); }

 private:
  std::unique_ptr<runtime::File> file_;
};

}  // namespace

std::unique_ptr<MergedFile> begin_merged_h5(std::unique_ptr<runtime::File> file, const std::string& path,
                                            const Manifest& manifest) {
  return std::make_unique<MergedH5>(std::move(file), path, manifest);
}

std::unique_ptr<MergedFile> begin_safetensors(std::unique_ptr<runtime::File> file, const Manifest& manifest,
                                              std::span<const StoredTensor> tensors) {
  return std::make_unique<Safetensors>(std::move(file), safetensors_header(manifest, tensors));
}

void order_for_safetensors(std::vector<StoredTensor>& tensors) {
  std::ranges::sort(tensors, {},
                    [](const StoredTensor& t) { return std::tuple(-size_bytes(t.dtype), t.kind, t.name); });
}

}  // namespace trireme::checkpoint
