#include "data/dataset_writer.h"

#include <algorithm>
#include <string_view>

namespace trireme::data {
namespace {

std::string text_in(const boost::json::object& description, const char* key) {
  const boost::json::value* value = description.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : "";
}

/// The document that ends with this piece.
DocumentEntry entry_of(const CleanPiece& clean, const runtime::Hash128& hash) {
  return {.hash = hash, .source = static_cast<int32_t>(clean.piece.source), .row = clean.piece.row};
}

}  // namespace

ShardIdentity shard_identity(const Tokenizer& tokenizer, const std::string& split) {
  const boost::json::object description = tokenizer.description();
  return {.vocabulary_size = tokenizer.vocabulary_size(),
          .end_of_text = tokenizer.end_of_text(),
          .tokenizer_digest = tokenizer.digest(),
          .split = split,
          .unicode_version = text_in(description, "unicode_version"),
          .tokenizer_mode = text_in(description, "mode")};
}

void encode_batch(const Tokenizer& tokenizer, const std::optional<PieceCut>& cut, PieceBatch& batch) {
  for (CleanPiece& clean : batch.pieces) {
    std::string_view text = clean.piece.text;
    clean.ids_cut = batch.ids.size();
    if (cut.has_value() && cut->piece == clean.number) {
      const std::string_view train = text.substr(0, cut->offset);
      tokenizer.encode(train, batch.ids);
      clean.ids_cut = batch.ids.size();
      text.remove_prefix(train.size());
    }
    tokenizer.encode(text, batch.ids);
    clean.ids_end = batch.ids.size();
  }
}

DatasetWriter::DatasetWriter(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options,
                             const Survey& survey, const std::optional<PieceCut>& cut, const WriteState& resumed)
    : files_(files),
      tokenizer_(tokenizer),
      options_(options),
      survey_(survey),
      cut_(cut),
      split_(options.validation_fraction, survey.kept),
      state_(resumed),
      chain_(resumed.chain) {
  state_.splits.clear();
  for (const auto& [split, state] : resumed.splits) {
    writers_.try_emplace(split, files, options.output, shard_identity(tokenizer, split), options.shard_tokens, state);
  }
}

void DatasetWriter::add(const PieceBatch& batch) {
  size_t ids_begin = 0;
  for (const CleanPiece& clean : batch.pieces) {
    if (state_.documents >= survey_.fates.documents()) throw TextChanged();
    add_piece(clean, std::span(batch.ids).subspan(ids_begin, clean.ids_end - ids_begin));
    ids_begin = clean.ids_end;
    chain_.add(clean);
    state_.source_pieces = clean.piece.source == state_.source ? state_.source_pieces + 1 : 1;
    state_.source = clean.piece.source;
    state_.pieces += 1;
  }
}

void DatasetWriter::add_piece(const CleanPiece& clean, std::span<const int32_t> ids) {
  const auto number = static_cast<size_t>(state_.documents);
  const bool is_dropped = !survey_.is_duplicate.empty() && survey_.is_duplicate[number];
  const auto text_bytes = std::ssize(clean.piece.text);
  if (!is_dropped && text_bytes > 0) {
    state_.has_text = true;
    if (cut_.has_value() && cut_->piece == clean.number) {
      const auto train_bytes = std::min(static_cast<int64_t>(cut_->offset), text_bytes);
      const size_t train_ids = ids.size() - (clean.ids_end - clean.ids_cut);
      writer("train").append(train_bytes, ids.first(train_ids));
      writer("train").end_document(entry_of(clean, document_hash(clean)));
      writer("validation").append(text_bytes - train_bytes, ids.subspan(train_ids));
    } else {
      writer_of(clean).append(text_bytes, ids);
    }
  }
  if (!clean.piece.is_last) return;
  if (state_.has_text) {
    writer_of(clean).end_document(entry_of(clean, document_hash(clean)));
    state_.kept += 1;
  }
  state_.has_text = false;
  state_.documents += 1;
}

runtime::Hash128 DatasetWriter::document_hash(const CleanPiece& clean) const {
  if (clean.piece.is_first && clean.piece.is_last) return clean.hash;
  const auto found = survey_.long_documents.find(state_.documents);
  if (found == survey_.long_documents.end()) throw TextChanged();
  return found->second;
}

SplitWriter& DatasetWriter::writer_of(const CleanPiece& clean) {
  const bool is_validation =
      cut_.has_value() ? clean.number >= cut_->piece : split_.is_validation(document_hash(clean), state_.kept);
  return writer(is_validation ? "validation" : "train");
}

SplitWriter& DatasetWriter::writer(const std::string& split) {
  const auto found = writers_.find(split);
  if (found != writers_.end()) return found->second;
  return writers_.try_emplace(split, files_, options_.output, shard_identity(tokenizer_, split), options_.shard_tokens)
      .first->second;
}

WriteState DatasetWriter::sync() {
  WriteState state = state_;
  state.chain = chain_.hash();
  for (auto& [split, writer] : writers_) state.splits[split] = writer.sync();
  return state;
}

void DatasetWriter::remove_old_spools() {
  for (auto& [split, writer] : writers_) writer.remove_old_spools();
}

std::map<std::string, SplitManifest> DatasetWriter::finish() {
  if (!(chain_.hash() == survey_.chain)) throw TextChanged();
  std::map<std::string, SplitManifest> splits;
  for (auto& [split, writer] : writers_) splits[split] = writer.finish();
  return splits;
}

}  // namespace trireme::data
