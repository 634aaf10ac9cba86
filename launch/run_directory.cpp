#include "launch/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <utility>

#include "launch/json_text.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorKind;

/// The step of a log line; nothing for a line that is not whole.
std::optional<int64_t> step_of(std::string_view line) {
  boost::system::error_code error;
  const json::value value = json::parse({line.data(), line.size()}, error);
  if (error || !value.is_object()) return std::nullopt;
  const json::value* step = value.get_object().if_contains("step");
  if (step == nullptr || !step->is_int64()) return std::nullopt;
  return step->get_int64();
}

/// The lines of `text` whose step is at most `last_step`.
std::string lines_up_to(std::string_view text, int64_t last_step) {
  std::string kept;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // half a line: its writer died
    const std::string_view line = text.substr(0, end);
    const std::optional<int64_t> step = step_of(line);
    if (step && *step <= last_step) kept.append(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return kept;
}

struct JsonOfOption {
  json::value operator()(std::monostate) const { return nullptr; }
  json::value operator()(bool flag) const { return flag; }
  json::value operator()(int64_t number) const { return number; }
  json::value operator()(double number) const { return number; }
  json::value operator()(const std::string& text) const { return json::string(text); }
  json::value operator()(const std::vector<std::string>& words) const { return json::value_from(words); }
};

}  // namespace

json::object options_json(const OptionTable& table) {
  json::object object;
  for (const Option& option : table.options) object[option.name] = std::visit(JsonOfOption{}, option.value());
  return object;
}

json::object step_json(const StepRecord& record) {
  json::object object{{"step", record.step},
                      {"tokens", record.tokens},
                      {"loss", record.loss},
                      {"grad_norm", record.grad_norm},
                      {"learning_rate", record.learning_rate},
                      {"step_seconds", record.step_seconds},
                      {"tokens_per_second", record.tokens_per_second}};
  object["mfu"] = record.mfu ? json::value(*record.mfu) : json::value(nullptr);
  for (const auto& [phase, seconds] : record.phase_seconds) object[phase + "_seconds"] = seconds;
  if (record.validation_loss) object["validation_loss"] = *record.validation_loss;
  if (record.skipped) object["skipped"] = true;
  return object;
}

RunLog::RunLog(runtime::Files& files, std::string path, int64_t last_step) : path_(std::move(path)) {
  if (files.exists(path_)) {
    const std::string text = runtime::read_text(files, path_);
    const std::string kept = lines_up_to(text, last_step);
    if (kept != text) runtime::write_text_atomically(files, path_, kept);
  }
  descriptor_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw Error(ErrorKind::io, "cannot write " + path_ + ": " + runtime::system_message(errno));
}

RunLog::RunLog(RunLog&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLog::~RunLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void RunLog::append(const json::object& line) {
  const std::string text = json_line(line) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const std::string reason = runtime::system_message(errno);
      const auto half_bytes = static_cast<off_t>(text.size() - rest.size());
      if (half_bytes > 0 && ftruncate(descriptor_, lseek(descriptor_, 0, SEEK_END) - half_bytes) != 0) {
        // The half line stays: the next start of the run drops it.
      }
      throw Error(ErrorKind::io, "cannot write " + path_ + ": " + reason);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

RunDirectory::RunDirectory(runtime::Files& files, std::string path) : files_(files), path_(std::move(path)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  try {
    files_.make_directory(path_);
  } catch (const Error& error) {
    throw Error(ErrorKind::io, std::string("--run: ") + error.what());
  }
}

void RunDirectory::write_config(const json::object& config) {
  runtime::write_text_atomically(files_, path_ + "/config.json", json_text(config));
}

bool RunDirectory::has_log() const {
  const std::string log = path_ + "/log.jsonl";
  return files_.exists(log) && !runtime::read_text(files_, log).empty();
}

std::string RunDirectory::set_log_aside() {
  const auto aside = [&](int64_t number) { return path_ + "/log-aside-" + std::to_string(number) + ".jsonl"; };
  int64_t number = 1;
  while (files_.exists(aside(number))) ++number;
  runtime::write_text_atomically(files_, aside(number), runtime::read_text(files_, path_ + "/log.jsonl"));
  return aside(number);
}

std::optional<json::object> RunDirectory::read_config() const {
  const std::string path = path_ + "/config.json";
  if (!files_.exists(path)) return std::nullopt;
  const std::string mend = "; move it away or choose another --run";
  json::value value;
  try {
    value = runtime::parse_json(runtime::read_text(files_, path));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(ErrorKind::data, path + ": " + error.what() + mend);
  }
  if (!value.is_object()) throw Error(ErrorKind::data, path + " is not a JSON object" + mend);
  return value.get_object();
}

}  // namespace trireme::launch
