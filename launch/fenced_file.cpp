#include "launch/fenced_file.h"

#include <charconv>

#include "checkpoint/attempt.h"
#include "runtime/error.h"

namespace trireme::launch {

void replace_file(runtime::Files& files, const std::string& path, std::string_view text, int64_t attempt,
                  const std::string& writer) {
  if (attempt == 0) return runtime::write_text_atomically(files, path, text);
  const std::string run = path.substr(0, path.rfind('/'));
  const std::string own = checkpoint::path_of_attempt(path, attempt) + (writer.empty() ? "" : "-" + writer);
  runtime::write_text_atomically(files, own, text);
  try {
    checkpoint::check_attempt(files, run + "/checkpoints", attempt);
    files.rename(own, path);
  } catch (const runtime::Error&) {
    files.remove_all(own);
    checkpoint::check_attempt(files, run + "/checkpoints", attempt);  // whose sweep took it away
    throw;
  }
  files.sync_directory(run);
}

std::optional<int64_t> attempt_writing(std::string_view name) {
  constexpr std::string_view kUnfinished = ".tmp-";
  if (!name.starts_with("config.json") && !name.starts_with("log") && !name.starts_with("exit.json")) {
    return std::nullopt;
  }
  const size_t mark = name.rfind(kUnfinished);
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view digits = name.substr(mark + kUnfinished.size());
  int64_t attempt = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), attempt);
  const std::string_view rest = digits.substr(static_cast<size_t>(end - digits.data()));
  const bool is_ours = rest.empty() || rest == ".tmp" || rest.front() == '-';  // ".tmp": what was to become it
  return code == std::errc() && is_ours ? std::optional(attempt) : std::nullopt;
}

}  // namespace trireme::launch
