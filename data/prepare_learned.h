// The tokenizer that a `prepare` learns from its text, kept in the output directory while it works: a run that is
// killed does not learn again. It lies there as tokenizer.json already; tokenizer.learned.json says whose it is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/json/object.hpp>

#include "data/prepare_survey.h"
#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::data {

inline constexpr char kLearnedName[] = "tokenizer.learned.json";

/// How a tokenizer is learned from the text that is prepared.
struct TokenizerLearner {
  boost::json::object settings;  ///< same settings and text, same tokenizer; not empty, dataset.json shows them
  bool has_safe_cuts = false;    ///< of the tokenizer to come
  std::function<std::unique_ptr<Tokenizer>()> learn;
};

/// What the tokenizer depends on: the settings and, as `text`, a digest of the text as it lies in its files.
boost::json::object learned_from(const boost::json::object& settings, const Survey& survey);

/// The tokenizer of description `tokenizer` in `directory`; null where its file is missing, Error(data) naming the mend
/// where it is damaged.
std::unique_ptr<Tokenizer> open_finished_tokenizer(runtime::Files& files, const std::string& directory,
                                                   const boost::json::object& tokenizer);

/// What an interrupted run learned from the same (`learned`: learned_from()); null when there is no such whole.
std::unique_ptr<Tokenizer> read_learned(runtime::Files& files, const std::string& directory,
                                        const boost::json::object& learned);

/// Durable; replaces what an interrupted run left.
void write_learned(runtime::Files& files, const std::string& directory, const boost::json::object& learned,
                   const Tokenizer& tokenizer);

/// Whether the tokenizer.json in `directory` was left by an interrupted run that learned it, and is nobody's.
bool holds_learned_tokenizer(runtime::Files& files, const std::string& directory);

/// Removes what an interrupted run learned; a tokenizer.json that is another one stays.
void remove_learned(runtime::Files& files, const std::string& directory);

}  // namespace trireme::data
