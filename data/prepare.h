// Text to a prepared dataset: a directory of token shards (train-00000.h5, validation-00000.h5, ...) and dataset.json,
// which is written last and makes it valid. Two passes over the text: the first counts and hashes, so that the split is
// known and an unchanged dataset is recognised; the second writes tokens. Both clean and hash on several threads, and
// the result does not depend on how many. Memory does not depend on the length of the text: some pieces a thread, and a
// bit a document or (only to find duplicates, in the first pass) up to 43 bytes.
#pragma once

#include <functional>

#include "data/dataset_manifest.h"
#include "data/prepare_learned.h"
#include "data/prepare_options.h"
#include "data/text_piece.h"
#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::data {

struct PrepareReport {
  DatasetManifest dataset;        ///< documents, bytes and tokens of each split
  bool already_prepared = false;  ///< the same text and options were found in the output; nothing was written
};

/// Every document is followed by end of text; a part held back from a single document too. An output that holds another
/// dataset or foreign files, or in which another process is preparing, is Error(usage). A run that was killed or failed
/// after its first journal leaves its work there: the same call then goes on from it, with the same result as one that
/// was not interrupted; other text or options begin anew and say so. Any other failure leaves nothing behind.
PrepareReport prepare(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options);

/// The same with a tokenizer that is learned from the text: between the two passes, once all else has been checked. It
/// is not learned again for a finished dataset of the same text and settings, nor after a run that was killed or failed
/// later: such a run leaves its tokenizer, unless the text changed.
PrepareReport prepare(runtime::Files& files, const TokenizerLearner& learner, const PrepareOptions& options);

/// Gets the clean text of a document, or a part of a long one.
using PieceVisitor = std::function<void(const TextPiece& piece)>;

/// Reads and cleans all text of options.inputs as `prepare` does, duplicates and what will be validation included, and
/// calls each of options.threads visitors, of its own thread, with a share of it. Which visitor gets which piece is not
/// defined. make_visitor(thread) is called by the calling thread before all else, options.progress by it meanwhile.
void for_each_clean_piece(runtime::Files& files, const PrepareOptions& options,
                          const std::function<PieceVisitor(int thread)>& make_visitor);

}  // namespace trireme::data
