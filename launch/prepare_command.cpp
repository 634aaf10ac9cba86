#include "launch/prepare_command.h"

#include <iostream>

#include "data/bpe_tokenizer.h"
#include "data/bpe_trainer.h"
#include "data/piece_counts.h"
#include "data/prepare.h"
#include "data/splitter.h"
#include "data/tokenizer_files.h"
#include "launch/commands.h"
#include "launch/number_text.h"
#include "launch/prepare_progress.h"
#include "launch/progress_line.h"
#include "runtime/files.h"
#include "runtime/log.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

constexpr char kEndOfText[] = "<|endoftext|>";

data::CleaningOptions cleaning_of(const PrepareOptions& options) {
  using data::InvalidUtf8;
  return {.invalid_utf8 = options.invalid_utf8 == "refuse" ? InvalidUtf8::refuse
                          : options.invalid_utf8 == "keep" ? InvalidUtf8::keep
                                                           : InvalidUtf8::repair,
          .remove_controls = options.control_characters == "remove",
          .unix_line_ends = options.line_ends == "unix",
          .normal_form = data::normal_form_from_name(options.normal_form)};
}

data::PrepareOptions data_options(const PrepareOptions& options, PrepareLine& line) {
  return {
      .inputs = options.input,
      .output = options.output,
      .validation_fraction = options.validation_fraction,
      .text = {.separator = options.document_separator, .field = options.text_field, .cleaning = cleaning_of(options)},
      .drop_duplicates = options.deduplicate,
      .threads = static_cast<int>(options.threads > 0 ? options.threads : runtime::compute_threads()),
      .progress = [&line](const data::PrepareProgress& progress) { line.show(progress); }};
}

/// The tokenizer that is not learned.
std::string source_of(const PrepareOptions& options) {
  return options.tokenizer.empty() ? "byte" : options.tokenizer;
}

/// Text of another encoding, and what is no text, comes out as repairs everywhere.
void warn_of_repairs(const data::DatasetManifest& dataset) {
  int64_t bytes = 0;
  for (const auto& [name, split] : dataset.splits) bytes += split.bytes;
  if (dataset.fates.repairs > bytes / 100) {
    runtime::log_warning("more than one byte in a hundred was not UTF-8: is this text, and is it UTF-8? " +
                         grouped(dataset.fates.repairs) + " places became U+FFFD");
  }
}

/// Byte-level BPE of the pieces of all the text.
std::unique_ptr<data::Tokenizer> learn_tokenizer(const PrepareOptions& options, const std::string& pattern,
                                                 data::PrepareOptions text) {
  const std::unique_ptr<data::Splitter> splitter = data::make_splitter(pattern);
  text.text.may_cut = splitter->has_safe_cuts();
  std::vector<data::PieceCounts> counts(static_cast<size_t>(text.threads));
  data::for_each_clean_piece(runtime::real_files(), text, [&](int thread) {
    data::PieceCounts& mine = counts[static_cast<size_t>(thread)];
    return [&mine, &splitter](const data::TextPiece& piece) { mine.add_text(*splitter, piece.text); };
  });
  for (size_t i = 1; i < counts.size(); ++i) {
    counts[0].merge(counts[i]);
    counts[i] = {};
  }
  data::BpeVocabulary vocabulary = data::train_bpe(
      counts[0], {.vocabulary_size = options.vocabulary_size, .special_tokens = {kEndOfText}, .threads = text.threads});
  const auto learned = static_cast<int64_t>(vocabulary.tokens.size());
  if (learned < options.vocabulary_size) {
    runtime::log_warning("the text gives " + grouped(learned) + " tokens, fewer than --vocab-size " +
                         grouped(options.vocabulary_size) + ": no other pair of them occurs twice");
  }
  return std::make_unique<data::BpeTokenizer>(data::TokenizerParts{.vocabulary = std::move(vocabulary),
                                                                   .pattern = pattern,
                                                                   .added_tokens = {{.id = 0, .content = kEndOfText}},
                                                                   .end_of_text = kEndOfText});
}

/// `options` and `text` must outlive it.
data::TokenizerLearner learner_of(const PrepareOptions& options, const data::PrepareOptions& text) {
  const char* known = data::pattern_by_name(options.split_pattern);
  const std::string pattern = known != nullptr ? known : options.split_pattern;
  return {.settings = {{"kind", "bpe"}, {"pattern", pattern}, {"vocabulary_size", options.vocabulary_size}},
          .has_safe_cuts = data::make_splitter(pattern)->has_safe_cuts(),
          .learn = [&options, &text, pattern] { return learn_tokenizer(options, pattern, text); }};
}

data::PrepareReport prepare_data(const PrepareOptions& options, const data::PrepareOptions& text) {
  runtime::Files& files = runtime::real_files();
  if (!options.train_tokenizer.empty()) return data::prepare(files, learner_of(options, text), text);
  return data::prepare(
      files, *data::tokenizer_from_option(files, source_of(options), {.end_of_text = options.end_of_text}), text);
}

void print_fates(const data::DocumentFates& fates, std::ostream& out) {
  if (fates.empty > 0) out << "  left out: " << counted(fates.empty, "empty document") << "\n";
  if (fates.duplicate > 0) out << "  left out: " << counted(fates.duplicate, "duplicate") << "\n";
  if (fates.repaired > 0) {
    out << "  repaired: " << counted(fates.repairs, "place") << " that were not UTF-8 in "
        << counted(fates.repaired, "document") << "\n";
  }
  if (fates.changed > 0) out << "  cleaned: " << counted(fates.changed, "document") << "\n";
}

}  // namespace

int run_prepare(const PrepareOptions& options) {
  return prepare(options, std::cout);
}

int prepare(const PrepareOptions& options, std::ostream& out) {
  data::PrepareReport report;
  {
    PrepareLine line(ProgressLine::on_terminal());
    report = prepare_data(options, data_options(options, line));
  }
  out << (report.already_prepared ? "already prepared: " : "prepared ") << options.output << " (tokenizer "
      << (options.train_tokenizer.empty() ? source_of(options) : "bpe, learned") << ", vocabulary "
      << report.dataset.vocabulary_size << ")\n";
  for (const auto& [name, split] : report.dataset.splits) {
    out << "  " << name << ": " << counted(split.documents, "document") << ", " << counted(split.bytes, "byte") << ", "
        << counted(split.tokens, "token") << ", " << counted(static_cast<int64_t>(split.shards.size()), "shard")
        << "\n";
  }
  print_fates(report.dataset.fates, out);
  warn_of_repairs(report.dataset);
  return 0;
}

}  // namespace trireme::launch
