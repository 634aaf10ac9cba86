#include "bench/model/start_files.h"

#include <cstdio>
#include <fstream>
#include <span>

#include "runtime/error.h"
#include "runtime/ops/elementwise.h"

namespace trireme::model {
namespace {

class OutputFile {
 public:
  OutputFile(const std::string& directory, const std::string& name)
      : path_(directory + "/" + name), file_(path_, std::ios::binary) {}

  template <typename T>
  void write(std::span<const T> values) {
    file_.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  }
  void write(const std::string& text) { file_ << text; }
  void close() {
    if (!file_.flush()) throw runtime::Error(runtime::ErrorKind::io, "cannot write " + path_);
  }

 private:
  std::string path_;
  std::ofstream file_;
};

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace

void write_weights(runtime::Stream& stream, const std::vector<Unit>& units, const std::string& directory) {
  OutputFile values(directory, "weights.f32");
  OutputFile names(directory, "weights.txt");
  for (const Unit& unit : units) {
    for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
      const runtime::View part = unit.part(unit.memory.masters, i);
      std::vector<float> host(static_cast<size_t>(part.elements()));
      runtime::copy_to_host(stream, part, std::as_writable_bytes(std::span(host)));
      values.write(std::span<const float>(host));
      std::string line = unit.layout.parameters[i].spec.name;
      for (const int64_t size : part.shape.sizes()) line += " " + std::to_string(size);
      names.write(line + "\n");
    }
  }
  values.close();
  names.close();
}

void write_batch(const HostMicrobatch& batch, const std::string& directory) {
  OutputFile file(directory, "batch.i32");
  const auto count = static_cast<size_t>(batch.B * batch.T);
  file.write(std::span(batch.tokens, count));
  file.write(std::span(batch.targets, count));
  file.close();
}

void write_record(const ModelConfig& config, const StartRecord& record, const std::string& directory) {
  const UpdateOptions& update = record.update;
  std::string losses;
  for (const double loss : record.losses) losses += (losses.empty() ? "" : ", ") + number_text(loss);
  OutputFile file(directory, "start.json");
  file.write("{\"model\": \"" + record.model + "\", \"precision\": \"" + record.precision +
             "\", \"layers\": " + std::to_string(config.layers) + ", \"heads\": " + std::to_string(config.heads) +
             ", \"width\": " + std::to_string(config.width) + ", \"positions\": " + std::to_string(config.positions) +
             ", \"vocabulary_size\": " + std::to_string(config.vocabulary_size) +
             ", \"norm_epsilon\": " + number_text(config.norm_epsilon) + ",\n \"batch\": " + std::to_string(record.B) +
             ", \"sequence_length\": " + std::to_string(record.T) +
             ", \"learning_rate\": " + number_text(update.learning_rate) + ", \"beta1\": " + number_text(update.beta1) +
             ", \"beta2\": " + number_text(update.beta2) + ", \"epsilon\": " + number_text(update.epsilon) +
             ", \"weight_decay\": " + number_text(update.weight_decay) +
             ", \"clip_grad_norm\": " + number_text(update.clip_grad_norm) + ",\n \"losses\": [" + losses + "]}\n");
  file.close();
}

}  // namespace trireme::model
