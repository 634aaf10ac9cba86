// Learns a byte-level BPE vocabulary: of the pieces of a corpus, joins the most frequent pair of neighbouring tokens
// again and again (Sennrich et al. 2016, arXiv:1508.07909). The same tokens and merges as Hugging Face's BpeTrainer
// with the byte alphabet (tokenizers 0.23), but with counts of 64 bits. It does not know texts or files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/bpe_vocabulary.h"
#include "data/piece_counts.h"

namespace trireme::data {

struct BpeTrainerOptions {
  int64_t vocabulary_size = 0;              ///< special tokens, 256 bytes and merges together
  std::vector<std::string> special_tokens;  ///< the i-th has id i
  int64_t min_frequency = 2;                ///< a pair that is rarer is not joined
  int threads = 1;                          ///< the result does not depend on them
};

/// Ids: the special tokens, the bytes in order of their printable forms (byte_alphabet.h), then what each merge makes.
/// The pair with the highest count is joined next, of several the one with the smallest (left id, right id). One whose
/// joined bytes are more than kTokenBytesLimit, which no vocabulary may hold, is passed over.
///
/// The special tokens' places in `tokens` are empty. A pair whose joined bytes have the printable form of one ("the")
/// is passed over too, where Hugging Face learns it and gives both one id: plain text would become the special token.
/// When no pair is frequent enough any more there are fewer tokens than asked for: tokens.size() says how many.
///
/// Error(usage): a vocabulary too small for special tokens and bytes, a special token that is empty, given twice or the
/// printable form of a byte.
/// Error(data): pieces of 4 GiB in all, each counted once, or more.
BpeVocabulary train_bpe(const PieceCounts& counts, const BpeTrainerOptions& options);

}  // namespace trireme::data
