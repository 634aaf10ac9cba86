#include "launch/prepare_command.h"

#include <iostream>

#include "data/prepare.h"
#include "data/tokenizer.h"
#include "launch/commands.h"
#include "launch/number_text.h"
#include "runtime/files.h"

namespace trireme::launch {
int run_prepare(const PrepareOptions& options) {
  return prepare(options, std::cout);
}

int prepare(const PrepareOptions& options, std::ostream& out) {
  const std::unique_ptr<data::Tokenizer> tokenizer = data::tokenizer_from_option(options.tokenizer);
  const data::PrepareReport report = data::prepare(runtime::real_files(), *tokenizer,
                                                   {.inputs = options.input,
                                                    .output = options.output,
                                                    .validation_fraction = options.validation_fraction,
                                                    .document_separator = options.document_separator});
  out << (report.already_prepared ? "already prepared: " : "prepared ") << options.output << " (tokenizer "
      << options.tokenizer << ", vocabulary " << report.dataset.vocabulary_size << ")\n";
  for (const auto& [name, split] : report.dataset.splits) {
    out << "  " << name << ": " << counted(split.documents, "document") << ", " << counted(split.bytes, "byte") << ", "
        << counted(split.tokens, "token") << ", " << counted(static_cast<int64_t>(split.shards.size()), "shard")
        << "\n";
  }
  return 0;
}

}  // namespace trireme::launch
