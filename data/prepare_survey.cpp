#include "data/prepare_survey.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "data/hash_set.h"
#include "data/prepare_progress.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// Puts the pieces of documents together again, as far as their counts and hashes go.
class SurveyTaker {
 public:
  SurveyTaker(Survey& survey, bool drop_duplicates) : survey_(survey), drop_duplicates_(drop_duplicates) {}

  void add(const CleanPiece& clean) {
    const TextPiece& piece = clean.piece;
    chain_.add(clean);
    if (piece.is_first) {
      fate_ = {};
      piece_bytes_.clear();
      first_piece_ = clean.number;
    }
    fate_ += clean.fate;
    piece_bytes_.push_back(std::ssize(piece.text));
    if (piece.is_first && piece.is_last) return end_document(clean.hash);
    stream_.update(std::as_bytes(std::span(piece.text)));
    if (!piece.is_last) return;
    const runtime::Hash128 hash = stream_.finish();
    survey_.long_documents[survey_.fates.documents()] = hash;
    end_document(hash);
  }

  void finish() {
    survey_.digest = survey_.kept.finish();
    survey_.chain = chain_.hash();
  }

 private:
  void end_document(const runtime::Hash128& hash) {
    const int64_t bytes = std::reduce(piece_bytes_.begin(), piece_bytes_.end());
    const bool is_duplicate = drop_duplicates_ && bytes > 0 && !hashes_.insert(hash);
    if (drop_duplicates_) survey_.is_duplicate.push_back(is_duplicate);
    const Outcome outcome = bytes == 0 ? Outcome::empty : is_duplicate ? Outcome::duplicate : Outcome::kept;
    survey_.fates.add(outcome, fate_);
    if (outcome != Outcome::kept) return;
    survey_.kept.add(bytes, hash);
    if (survey_.kept.documents() == 1) {
      survey_.piece_bytes = piece_bytes_;
      survey_.first_piece = first_piece_;
    } else {
      survey_.piece_bytes.clear();
    }
  }

  Survey& survey_;
  bool drop_duplicates_;
  HashSet hashes_;
  PieceChain chain_;
  runtime::Xxh3Stream stream_;
  PieceFate fate_;  // of the open document
  std::vector<int64_t> piece_bytes_;
  int64_t first_piece_ = 0;
};

}  // namespace

void PieceChain::add(const CleanPiece& clean) {
  const TextPiece& piece = clean.piece;
  const std::array<uint64_t, 8> link = {hash_.low,
                                        hash_.high,
                                        clean.hash.low,
                                        clean.hash.high,
                                        piece.text.size(),
                                        static_cast<uint64_t>(piece.source),
                                        static_cast<uint64_t>(piece.row),
                                        (piece.is_first ? 1u : 0u) + (piece.is_last ? 2u : 0u)};
  hash_ = runtime::xxh3_128(std::as_bytes(std::span(link)));
}

Survey take_survey(runtime::Files& files, std::span<const TextFile> texts, const PrepareOptions& options) {
  Survey survey;
  SurveyTaker taker(survey, options.drop_duplicates);
  ProgressTimer progress(options.progress, PreparePhase::survey, texts);
  for_each_batch(
      files, texts, options.text, options.threads, {}, [](int, PieceBatch&) {},
      [&](PieceBatch& batch) {
        for (const CleanPiece& piece : batch.pieces) taker.add(piece);
        progress.report(batch.bytes_read, survey.fates.documents());
      });
  taker.finish();
  progress.finish(survey.fates.documents());
  if (survey.kept.documents() == 0) {
    throw Error(ErrorKind::data, "the corpus is empty: no text in --input " + options.inputs.front() +
                                     (options.inputs.size() > 1 ? " and the others" : ""));
  }
  return survey;
}

PieceCut find_validation_cut(runtime::Files& files, std::span<const TextFile> texts, const PrepareOptions& options,
                             const Survey& survey) {
  constexpr int64_t kMargin = 4;  // a character of UTF-8 has no more bytes
  const int64_t bytes = survey.kept.bytes();
  std::optional<int64_t> cut;
  if (bytes >= 2) {
    const int64_t target = validation_target(bytes, options.validation_fraction);
    DocumentReader reader(files, texts, options.text);
    RawPiece raw;
    std::string window;
    int64_t window_begin = 0;
    int64_t end = 0;  // of the pieces so far, in the document
    for (int64_t number = 0; end < target + kValidationCutReach + kMargin && reader.next(raw); ++number) {
      const int64_t index = number - survey.first_piece;
      if (index < 0) continue;
      if (index >= std::ssize(survey.piece_bytes)) break;
      end += survey.piece_bytes[static_cast<size_t>(index)];
      if (end <= target - kMargin) {
        window_begin = end;
        continue;
      }
      PieceFate fate;
      window += read_piece(raw, options.text, fate).text;
    }
    if (std::ssize(window) != end - window_begin) throw TextChanged();
    cut = validation_cut(window, window_begin, target, bytes);
  }
  if (!cut.has_value()) {
    throw Error(ErrorKind::data, "the only document has " + std::to_string(bytes) +
                                     " bytes, too few to hold some back: give more text or --validation-fraction 0");
  }
  PieceCut found{.piece = survey.first_piece};
  for (const int64_t piece_bytes : survey.piece_bytes) {
    if (*cut <= piece_bytes) break;
    *cut -= piece_bytes;
    ++found.piece;
  }
  found.offset = static_cast<size_t>(*cut);
  return found;
}

TextChanged::TextChanged()
    : Error(ErrorKind::data, "the text changed while it was prepared: run `trireme prepare` again") {}

}  // namespace trireme::data
