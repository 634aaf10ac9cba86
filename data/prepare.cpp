#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <boost/json/serialize.hpp>

#include "data/dataset_writer.h"
#include "data/output_directory.h"
#include "data/prepare_checks.h"
#include "data/prepare_journal.h"
#include "data/prepare_learned.h"
#include "data/prepare_progress.h"
#include "data/prepare_survey.h"
#include "data/token_dataset.h"
#include "data/tokenizer_files.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// Of the text and of all options that the files in the output depend on.
std::string identity_of(const DatasetManifest& dataset, const PrepareOptions& options, const Survey& survey) {
  std::string identity = boost::json::serialize(to_json(dataset));
  for (const uint64_t number : {survey.chain.low, survey.chain.high, static_cast<uint64_t>(options.text.piece_bytes)}) {
    identity += "\n" + std::to_string(number);
  }
  return runtime::sha256(identity);
}

void write_tokenizer_file(runtime::Files& files, const Tokenizer& tokenizer, const std::string& output) {
  const std::string path = output + "/" + kTokenizerFile;
  if (tokenizer.file_text().empty() || files.exists(path)) return;
  runtime::write_text_atomically(files, path, tokenizer.file_text());
}

/// The finished dataset in the output, when it is whole.
PrepareReport reuse(runtime::Files& files, const Tokenizer& tokenizer, const std::string& output,
                    const DatasetManifest& found) {
  try {
    for (const auto& [split, manifest] : found.splits) TokenDataset(files, output, split).check_all();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(ErrorKind::data, std::string(error.what()) + "; to prepare it again, remove " + output + " first");
  }
  write_tokenizer_file(files, tokenizer, output);
  remove_work_files(files, output);
  return {.dataset = found, .already_prepared = true};
}

/// Writes the journal when it is time.
class JournalKeeper {
 public:
  JournalKeeper(runtime::Files& files, const PrepareOptions& options, std::string identity)
      : files_(files), options_(options), identity_(std::move(identity)) {}

  void keep(DatasetWriter& writer, int64_t bytes_read) {
    const auto now = std::chrono::steady_clock::now();
    const bool is_time = now - last_ >= std::chrono::duration<double>(options_.journal_seconds) ||
                         bytes_read - last_bytes_ >= options_.journal_bytes;
    if (!is_time) return;
    write_journal(files_, options_.output, identity_, writer.sync());
    writer.remove_old_spools();
    last_ = std::chrono::steady_clock::now();
    last_bytes_ = bytes_read;
  }

 private:
  runtime::Files& files_;
  const PrepareOptions& options_;
  std::string identity_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  int64_t last_bytes_ = 0;
};

/// The second pass: all shards, then the manifest. `dataset` lacks its splits.
void write(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options,
           std::span<const TextFile> texts, const Survey& survey, OutputDirectory& output, DatasetManifest& dataset) {
  std::optional<PieceCut> cut;
  if (survey.kept.documents() == 1 && options.validation_fraction > 0) {
    cut = find_validation_cut(files, texts, options, survey);
  }
  const std::string identity = identity_of(dataset, options, survey);
  const auto [resumed, why_anew] = read_journal(files, options.output, identity, tokenizer);
  if (resumed.has_value()) {
    int64_t bytes = 0;
    for (const auto& [split, state] : resumed->splits) bytes += state.manifest.bytes;
    runtime::log_info(options.output + ": going on with an unfinished `prepare` after " +
                      std::to_string(100 * bytes / survey.kept.bytes()) + "% of the text");
  } else if (!why_anew.empty()) {
    runtime::log_warning(options.output + ": " + why_anew);
  }
  output.begin(resumed.has_value() ? files_of(*resumed) : std::vector<std::string>{});

  const WriteState begin = resumed.value_or(WriteState{});
  DatasetWriter writer(files, tokenizer, options, survey, cut, begin);
  JournalKeeper journal(files, options, identity);
  ProgressTimer progress(options.progress, PreparePhase::write, texts);
  try {
    for_each_batch(
        files, texts, options.text, options.threads,
        {.first_source = begin.source, .skip_pieces = begin.source_pieces, .first_number = begin.pieces},
        [&](int, PieceBatch& batch) { encode_batch(tokenizer, cut, batch); },
        [&](PieceBatch& batch) {
          writer.add(batch);
          journal.keep(writer, batch.bytes_read);
          progress.report(batch.bytes_read, writer.documents());
        });
    dataset.splits = writer.finish();
  } catch (const TextChanged&) {
    output.forget();  // the journal tells of text that is none
    throw;
  }
  progress.finish(writer.documents());
  write_tokenizer_file(files, tokenizer, options.output);
  files.sync_directory(options.output);
  write_manifest(files, options.output, dataset);
}

/// What both ways to a dataset, with a tokenizer that is given or learned, have in common.
class Preparation {
 public:
  /// Checks and locks all that can be known before the text is read.
  Preparation(runtime::Files& files, const PrepareOptions& options, bool may_cut) : files_(files), options_(options) {
    options_.text.may_cut = may_cut;
    check_prepare_options(options_);
    texts_ = list_text_files(files, options_.inputs);
    bool is_prepared = holds_dataset(files, options_.output);
    if (!is_prepared) {  // a finished dataset may lie where nobody can write a lock
      output_.emplace(files, options_.output);
      is_prepared = holds_dataset(files, options_.output);  // another process may have been faster
    }
    if (!is_prepared) return;
    found_ = read_manifest(files, options_.output);
    check_same_options(*found_, describe_options(options_, texts_), options_.output);
  }

  /// The finished dataset that is there already.
  const std::optional<DatasetManifest>& found() const { return found_; }

  /// The first pass. Text other than found()'s is an Error.
  Survey survey() {
    Survey survey = take_survey(files_, texts_, options_);
    if (found_.has_value()) check_same_text(*found_, survey, options_.output);
    return survey;
  }

  /// The second pass, or the checks of what is there, which has passed all comparisons. `learned`: from what the
  /// tokenizer was learned.
  PrepareReport finish(const Tokenizer& tokenizer, const Survey& survey, const boost::json::object& learned) {
    if (found_.has_value()) return reuse(files_, tokenizer, options_.output, *found_);
    DatasetManifest dataset = describe_options(options_, texts_);
    describe_tokenizer(tokenizer, dataset);
    describe_text(survey, dataset);
    dataset.learned = learned;
    write(files_, tokenizer, options_, texts_, survey, *output_, dataset);
    output_->finish();
    return {.dataset = std::move(dataset), .already_prepared = false};
  }

 private:
  runtime::Files& files_;
  PrepareOptions options_;
  std::vector<TextFile> texts_;
  std::optional<OutputDirectory> output_;
  std::optional<DatasetManifest> found_;
};

}  // namespace

PrepareReport prepare(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options) {
  Preparation work(files, options, tokenizer.has_safe_cuts());
  if (work.found().has_value()) {
    check_same_tokenizer(*work.found(), tokenizer, options.output);
    if (!tokenizer.file_text().empty()) open_finished_tokenizer(files, options.output, tokenizer.description());
  } else if (!holds_learned_tokenizer(files, options.output)) {  // an unfinished run's own may be replaced
    check_tokenizer_file(files, tokenizer.file_text(), options.output);
  }
  const Survey survey = work.survey();
  if (!work.found().has_value()) remove_learned(files, options.output);
  return work.finish(tokenizer, survey, {});
}

PrepareReport prepare(runtime::Files& files, const TokenizerLearner& learner, const PrepareOptions& options) {
  Preparation work(files, options, learner.has_safe_cuts);
  if (work.found().has_value()) {
    check_same_learning(*work.found(), learner.settings, options.output);
  } else if (!holds_learned_tokenizer(files, options.output)) {
    check_tokenizer_file(files, "", options.output);
  }
  const Survey survey = work.survey();
  const boost::json::object learned = learned_from(learner.settings, survey);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!work.found().has_value()) {
    tokenizer = read_learned(files, options.output, learned);
  } else if (work.found()->learned == learned) {
    tokenizer = open_finished_tokenizer(files, options.output, work.found()->tokenizer);
  }
  if (tokenizer == nullptr) {
    tokenizer = learner.learn();
    if (!work.found().has_value()) write_learned(files, options.output, learned, *tokenizer);
  }
  if (work.found().has_value()) check_same_tokenizer(*work.found(), *tokenizer, options.output);
  return work.finish(*tokenizer, survey, learned);
}

void for_each_clean_piece(runtime::Files& files, const PrepareOptions& options,
                          const std::function<PieceVisitor(int thread)>& make_visitor) {
  check_text_options(options.text);
  const std::vector<TextFile> texts = list_text_files(files, options.inputs);
  std::vector<PieceVisitor> visitors;
  for (int thread = 0; thread < std::max(options.threads, 1); ++thread) visitors.push_back(make_visitor(thread));
  ProgressTimer progress(options.progress, PreparePhase::learn, texts);
  int64_t documents = 0;
  for_each_batch(
      files, texts, options.text, options.threads, {},
      [&](int thread, PieceBatch& batch) {
        for (const CleanPiece& clean : batch.pieces) visitors[static_cast<size_t>(thread)](clean.piece);
      },
      [&](PieceBatch& batch) {
        documents += std::ranges::count_if(batch.pieces, [](const CleanPiece& clean) { return clean.piece.is_last; });
        progress.report(batch.bytes_read, documents);
      });
  progress.finish(documents);
}

}  // namespace trireme::data
