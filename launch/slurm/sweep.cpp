#include "launch/slurm/sweep.h"

#include <cerrno>
#include <fstream>
#include <variant>

#include "launch/number_text.h"
#include "launch/option_tables.h"
#include "launch/option_words.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

std::vector<std::string> words_of(const OptionValue& value) {
  if (const auto* words = std::get_if<std::vector<std::string>>(&value)) return *words;
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    std::vector<std::string> words;
    for (const double number : *numbers) words.push_back(number_text(number));
    return words;
  }
  return {to_string(value)};
}

SweepTask task_of_line(const std::string& line, const TrainOptions& all) {
  SweepTask task{.words = words_of_line(line), .options = {}, .place = {}};
  const OptionTable table = option_table(task.options);
  for (const GivenOption& given : cut_command_line("train", table.options, task.words)) {
    for (const std::string name : {"run", "resume", "threads", "device", "help"}) {
      if (given.name == name)
        throw Error(ErrorKind::usage, "--" + name + " is the same for all tasks; leave it out here");
    }
  }
  std::vector<std::string> words = command_words(all);
  words.insert(words.end(), {"--run", all.run});
  words.insert(words.end(), task.words.begin(), task.words.end());
  fill_options(table, words);
  check(task.options);
  return task;
}

}  // namespace

std::vector<std::string> command_words(TrainOptions options) {
  TrainOptions defaults;
  const std::vector<Option> table = option_table(options).options;
  const std::vector<Option> unset = option_table(defaults).options;
  std::vector<std::string> words;
  for (size_t i = 0; i < table.size(); ++i) {
    const OptionValue value = table[i].value();
    if (table[i].name == "run" || value == unset[i].value()) continue;
    words.push_back("--" + table[i].name);
    if (table[i].is_flag) {  // a value would not be taken from the next word
      if (!std::holds_alternative<bool>(value)) words.back() += "=" + to_string(value);
      continue;
    }
    for (std::string& word : words_of(value)) words.push_back(std::move(word));
  }
  return words;
}

std::vector<SweepTask> read_sweep(const std::string& path, const TrainOptions& all) {
  if (!all.trace.empty()) {
    throw Error(ErrorKind::usage,
                "--trace: all tasks of --sweep would write " + all.trace + "; give each task its own in " + path);
  }
  std::ifstream file(path);
  if (!file) throw Error(ErrorKind::usage, "--sweep: cannot read " + path + ": " + runtime::system_message(errno));
  std::vector<SweepTask> tasks;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    if (line.back() == '\r') line.pop_back();
    const std::string place = path + ":" + std::to_string(number);
    try {
      tasks.push_back(task_of_line(line, all));
    } catch (const std::exception& error) {
      throw Error(ErrorKind::usage, place + ": " + error.what());
    }
    tasks.back().place = place;
  }
  if (tasks.empty()) throw Error(ErrorKind::usage, "--sweep: " + path + " has no line of options");
  return tasks;
}

}  // namespace trireme::launch
