#include "launch/run_tokenizer.h"

#include "data/tokenizer_files.h"

namespace trireme::launch {

void check_tokenizer(runtime::Files& files, const boost::json::object& description, const std::string& data) {
  data::open_tokenizer(files, description, data);
}

void keep_tokenizer(runtime::Files& files, const boost::json::object& description, const std::string& data,
                    const std::string& run) {
  const std::string text = data::open_tokenizer(files, description, data)->file_text();
  const std::string kept = run + "/" + data::kTokenizerFile;
  if (text.empty() || (files.exists(kept) && runtime::read_text(files, kept) == text)) return;
  runtime::write_text_atomically(files, kept, text);
}

std::unique_ptr<data::Tokenizer> trained_tokenizer(runtime::Files& files, const boost::json::object& description,
                                                   const std::string& step_directory) {
  const std::string checkpoints = runtime::parent_directory(files.real_path(step_directory));  // RUN/checkpoints
  const std::string run = runtime::parent_directory(checkpoints);
  const bool is_in_run =
      !files.exists(step_directory + "/" + data::kTokenizerFile) && files.exists(run + "/" + data::kTokenizerFile);
  return data::open_tokenizer(files, description, is_in_run ? run : step_directory);
}

}  // namespace trireme::launch
