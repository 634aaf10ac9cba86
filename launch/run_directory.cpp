#include "launch/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <utility>

#include "launch/fenced_file.h"
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

/// With its line end; empty when there is no line. `text` ends with whole lines.
std::string_view last_line_of(std::string_view text) {
  if (text.empty()) return text;
  const size_t end_before = text.substr(0, text.size() - 1).rfind('\n');
  return end_before == std::string_view::npos ? text : text.substr(end_before + 1);
}

struct JsonOfOption {
  json::value operator()(std::monostate) const { return nullptr; }
  json::value operator()(bool flag) const { return flag; }
  json::value operator()(int64_t number) const { return number; }
  json::value operator()(double number) const { return number; }
  json::value operator()(const std::string& text) const { return json::string(text); }
  json::value operator()(const std::vector<std::string>& words) const { return json::value_from(words); }
  json::value operator()(const std::vector<double>& numbers) const { return json::value_from(numbers); }
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
  if (record.busy) {
    object["busiest_rank"] = record.busy->busiest_rank;
    object["busy_seconds"] = record.busy->busy_seconds;
    object["busy_seconds_median"] = record.busy->busy_seconds_median;
    if (record.busy->slow) {
      object["slow_rank"] = record.busy->slow->rank;
      object["slow_by"] = record.busy->slow->by;
    }
  }
  if (record.skipped()) object["skipped"] = runtime::name(record.verdict);
  return object;
}

RunLog::RunLog(runtime::Files& files, std::string path, int64_t last_step, int64_t attempt)
    : files_(&files), path_(std::move(path)), attempt_(attempt) {
  if (files.is_regular_file(path_)) {
    replace_file(files, path_, lines_up_to(runtime::read_text(files, path_), last_step), attempt_);
  }
  open();
}

RunLog::RunLog(RunLog&& other) noexcept
    : files_(other.files_),
      path_(std::move(other.path_)),
      attempt_(other.attempt_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLog::~RunLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void RunLog::open() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw Error(ErrorKind::io, "cannot write " + path_ + ": " + runtime::system_message(errno));
}

void RunLog::put(const json::object& line) {
  std::string text = runtime::read_text(*files_, path_);
  const std::string_view last = last_line_of(text);
  if (last.empty() || step_of(last) != line.at("step").as_int64()) return append(line);
  text.resize(text.size() - last.size());
  replace_file(*files_, path_, text + json_line(line) + "\n", attempt_);
  open();  // the file of that name is another one now
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

RunDirectory::RunDirectory(runtime::Files& files, std::string path, int64_t attempt)
    : files_(files), path_(std::move(path)), attempt_(attempt) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  try {
    files_.make_directory(path_);
  } catch (const Error& error) {
    throw Error(ErrorKind::io, std::string("--run: ") + error.what());
  }
}

void RunDirectory::sweep() {
  for (const std::string& name : files_.list(path_)) {
    const std::optional<int64_t> attempt = attempt_writing(name);
    if (attempt && *attempt < attempt_) files_.remove_all(path_ + "/" + name);
  }
}

void RunDirectory::write_config(const json::object& config) {
  replace_file(files_, path_ + "/config.json", json_text(config), attempt_);
}

bool RunDirectory::has_log() const {
  const std::string log = path_ + "/log.jsonl";
  return files_.exists(log) && !runtime::read_text(files_, log).empty();
}

std::optional<json::object> RunDirectory::last_logged() const {
  if (!has_log()) return std::nullopt;
  const std::string text = runtime::read_text(files_, path_ + "/log.jsonl");
  const std::string_view last = last_line_of(text);
  if (!step_of(last)) return std::nullopt;
  return runtime::parse_json(last).as_object();
}

std::string RunDirectory::set_log_aside() {
  const auto aside = [&](int64_t number) { return path_ + "/log-aside-" + std::to_string(number) + ".jsonl"; };
  int64_t number = 1;
  while (files_.exists(aside(number))) ++number;
  replace_file(files_, aside(number), runtime::read_text(files_, path_ + "/log.jsonl"), attempt_);
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
