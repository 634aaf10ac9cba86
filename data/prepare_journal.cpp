#include "data/prepare_journal.h"

#include <boost/json.hpp>

#include "runtime/digest.h"
#include "runtime/json.h"

namespace trireme::data {

namespace json = boost::json;

namespace {

constexpr char kFormat[] = "trireme-prepare-journal";
constexpr int64_t kVersion = 2;

json::array to_json(const runtime::Hash128& hash) {
  return {hash.low, hash.high};
}

runtime::Hash128 hash_from_json(const json::value& value) {
  return {.low = value.as_array().at(0).to_number<uint64_t>(), .high = value.as_array().at(1).to_number<uint64_t>()};
}

json::object to_json(const SplitState& state) {
  json::value open_shard;  // null: the last one is closed
  if (state.open_shard.has_value()) {
    open_shard = {{"tokens", state.open_shard->content.tokens},
                  {"documents", state.open_shard->content.documents},
                  {"max_id", state.open_shard->content.max_id},
                  {"tokens_xxh3", to_json(state.open_shard->tokens_hash)},
                  {"documents_xxh3", to_json(state.open_shard->documents_hash)}};
  }
  return {{"manifest", to_json(state.manifest)}, {"open_shard", open_shard}};
}

SplitState state_from_json(const json::object& object) {
  SplitState state{.manifest = split_from_json(object.at("manifest").as_object()), .open_shard = {}};
  if (!object.at("open_shard").is_null()) {
    const json::object& shard = object.at("open_shard").as_object();
    state.open_shard = UnfinishedShard{.content = {.tokens = shard.at("tokens").to_number<int64_t>(),
                                                   .documents = shard.at("documents").to_number<int64_t>(),
                                                   .max_id = shard.at("max_id").to_number<int64_t>()},
                                       .tokens_hash = hash_from_json(shard.at("tokens_xxh3")),
                                       .documents_hash = hash_from_json(shard.at("documents_xxh3"))};
  }
  return state;
}

WriteState from_json(const json::object& object) {
  WriteState state{.source = object.at("source").to_number<int64_t>(),
                   .source_pieces = object.at("source_pieces").to_number<int64_t>(),
                   .pieces = object.at("pieces").to_number<int64_t>(),
                   .documents = object.at("documents").to_number<int64_t>(),
                   .kept = object.at("kept").to_number<int64_t>(),
                   .has_text = object.at("has_text").as_bool(),
                   .chain = hash_from_json(object.at("chain")),
                   .splits = {}};
  for (const auto& [split, split_state] : object.at("splits").as_object()) {
    state.splits[split] = state_from_json(split_state.as_object());
  }
  return state;
}

std::string damaged(const std::string& what) {
  return "the unfinished `prepare` there is damaged (" + what + "): beginning anew";
}

/// SHA-256 of the journal without it, its last key.
constexpr char kDigest[] = "digest";

bool take_digest(json::object& journal) {
  const json::value digest = journal.at(kDigest);
  journal.erase(kDigest);
  return digest == json::value(runtime::sha256(json::serialize(journal)));
}

JournalReading parse(const std::string& text, const std::string& identity) {
  try {
    json::object object = runtime::parse_json(text).as_object();
    if (object.at("format").as_string() != kFormat) return {.state = {}, .why_anew = damaged(kJournalName)};
    if (object.at("version").to_number<int64_t>() != kVersion) {
      return {.state = {}, .why_anew = "an unfinished `prepare` of another version of this program is replaced"};
    }
    if (!take_digest(object)) return {.state = {}, .why_anew = damaged(kJournalName)};
    if (object.at("identity").as_string() != std::string_view(identity)) {
      return {.state = {}, .why_anew = "an unfinished `prepare` of other text or options is replaced"};
    }
    return {.state = from_json(object), .why_anew = {}};
  } catch (const std::exception&) {  // boost.json throws several types, for syntax, missing keys and kinds
    return {.state = {}, .why_anew = damaged(kJournalName)};
  }
}

std::string journal_path(const std::string& directory) {
  return directory + "/" + kJournalName;
}

}  // namespace

bool has_journal(runtime::Files& files, const std::string& directory) {
  return files.exists(journal_path(directory));
}

void write_journal(runtime::Files& files, const std::string& directory, const std::string& identity,
                   const WriteState& state) {
  json::object splits;
  for (const auto& [split, split_state] : state.splits) splits[split] = to_json(split_state);
  json::object journal = {{"format", kFormat},
                          {"version", kVersion},
                          {"identity", identity},
                          {"source", state.source},
                          {"source_pieces", state.source_pieces},
                          {"pieces", state.pieces},
                          {"documents", state.documents},
                          {"kept", state.kept},
                          {"has_text", state.has_text},
                          {"chain", to_json(state.chain)},
                          {"splits", splits}};
  journal[kDigest] = runtime::sha256(json::serialize(journal));
  runtime::write_text_atomically(files, journal_path(directory), json::serialize(journal) + "\n");
}

JournalReading read_journal(runtime::Files& files, const std::string& directory, const std::string& identity,
                            const Tokenizer& tokenizer) {
  if (!has_journal(files, directory)) return {};
  JournalReading reading = parse(runtime::read_text(files, journal_path(directory)), identity);
  if (!reading.state.has_value()) return reading;
  for (const auto& [split, state] : reading.state->splits) {
    const auto damage = resume_damage(files, directory, shard_identity(tokenizer, split), state);
    if (damage.has_value()) return {.state = {}, .why_anew = damaged(*damage)};
  }
  return reading;
}

std::vector<std::string> files_of(const WriteState& state) {
  std::vector<std::string> names = {kJournalName};
  for (const auto& [split, split_state] : state.splits) {
    for (const ShardEntry& shard : split_state.manifest.shards) names.push_back(shard.file);
    const std::string open = shard_name(split, split_state.manifest.shards.size());
    names.push_back(open + ".spool");
    names.push_back(open + ".documents");
  }
  return names;
}

}  // namespace trireme::data
