// prepare.json, the journal of an unfinished `prepare` in its output directory: how far it is, so that the same command
// goes on there. It is replaced atomically, and only when what it speaks of is durable; a finished dataset has none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset_writer.h"
#include "runtime/files.h"

namespace trireme::data {

inline constexpr char kJournalName[] = "prepare.json";

/// Whether `directory` holds a journal.
bool has_journal(runtime::Files& files, const std::string& directory);

/// `identity` is a digest of the text and of all options that the files depend on.
void write_journal(runtime::Files& files, const std::string& directory, const std::string& identity,
                   const WriteState& state);

struct JournalReading {
  std::optional<WriteState> state;  ///< to go on from
  std::string why_anew;             ///< a sentence for people, when there is a journal and no state; else empty
};

/// No state when the journal is another text's or damaged, or the files that it speaks of are. These are read, see
/// resume_damage(). An unreadable disk is Error(io).
JournalReading read_journal(runtime::Files& files, const std::string& directory, const std::string& identity,
                            const Tokenizer& tokenizer);

/// The names of the files in the output directory that going on from `state` needs, the journal's included.
std::vector<std::string> files_of(const WriteState& state);

}  // namespace trireme::data
