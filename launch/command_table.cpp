#include "launch/command_table.h"

#include <memory>

#include "launch/commands.h"
#include "launch/option_tables.h"
#include "launch/rank_agreement.h"
#include "launch/suggestion.h"
#include "launch/version.h"
#include "runtime/cuda_device.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Communicator;
using runtime::Error;
using runtime::ErrorKind;

/// Which ranks a command is made for.
enum class Ranks { one, any, all_of_the_job };

struct Command {
  std::string name;
  std::string summary;
  Ranks ranks;
  std::function<Invocation(const std::vector<std::string>&)> parse;
};

template <typename Options>
Command command(Ranks ranks, int (*run)(const Options&, Communicator&)) {
  Options defaults;
  const OptionTable table = option_table(defaults);
  const auto parse = [run](const std::vector<std::string>& words) -> Invocation {
    const auto options = std::make_shared<Options>();  // shared by copies of the std::function below
    const OptionTable filled = option_table(*options);
    std::string help = help_text(filled);
    if (!fill_options(filled, words)) return {.text = std::move(help), .run = {}, .command = {}};
    check(*options);
    return {.text = {},
            .run = [run, options](Communicator& world) { return run(*options, world); },
            .command = {},
            .shared = shared_options(filled)};
  };
  return {.name = table.command, .summary = table.summary, .ranks = ranks, .parse = parse};
}

/// For a command of one rank, which needs no world.
template <typename Options, int (*run)(const Options&)>
int without_world(const Options& options, Communicator&) {
  return run(options);
}

std::vector<Command> commands() {
  return {command<PrepareOptions>(Ranks::one, without_world<PrepareOptions, run_prepare>),
          command<TrainOptions>(Ranks::all_of_the_job, run_train),
          command<PlanOptions>(Ranks::one, without_world<PlanOptions, run_plan>),
          command<SubmitOptions>(Ranks::one, without_world<SubmitOptions, run_submit>),
          command<VerifyOptions>(Ranks::all_of_the_job, run_verify),
          command<EvaluateOptions>(Ranks::any, run_evaluate),
          command<GenerateOptions>(Ranks::one, without_world<GenerateOptions, run_generate>),
          command<BenchOptions>(Ranks::any, run_bench),
          command<CheckpointOptions>(Ranks::one, without_world<CheckpointOptions, run_checkpoint>),
          command<DataOptions>(Ranks::one, without_world<DataOptions, run_data>)};
}

std::string program_help(const std::vector<Command>& all) {
  std::string text =
      "trireme COMMAND [OPTIONS]\nTrains transformer models: text to tokens to a model that writes text.\n\n";
  for (const Command& one : all) text += "  " + one.name + std::string(14 - one.name.size(), ' ') + one.summary + "\n";
  text += "\n  trireme COMMAND --help    the options of a command\n  trireme --version\n";
  text +=
      "\nExit codes: 0 done, 1 failed (or: damaged, different), 2 wrong usage, 75 train was asked to stop, 76 a "
      "rank hung: start it again.\n";
  return text;
}

[[noreturn]] void refuse(const std::string& word, const std::vector<Command>& all) {
  std::vector<std::string> names{"--help", "--version"};
  for (const Command& one : all) names.push_back(one.name);
  const auto nearest = nearest_name(word, names);
  throw Error(ErrorKind::usage, "'" + word + "' is not a command; " +
                                    (nearest ? "did you mean " + *nearest + "?" : "see trireme --help"));
}

}  // namespace

Invocation parse_invocation(const std::vector<std::string>& words) {
  if (words.empty()) throw Error(ErrorKind::usage, "no command given; see trireme --help");
  const std::vector<Command> all = commands();
  const std::string& word = words[0];
  if (word == "--version") {
    const std::string text = "trireme " + version() + " (" + commit() + ")\n" + runtime::cuda_description() + "\n";
    return {.text = text, .run = {}, .command = {}, .shared = shared_command(word)};
  }
  if (word == "--help" || word == "-h") {
    return {.text = program_help(all), .run = {}, .command = {}, .shared = shared_command("--help")};
  }
  for (const Command& one : all) {
    if (one.name != word) continue;
    Invocation invocation = one.parse({words.begin() + 1, words.end()});
    invocation.command = one.name;
    if (!invocation.text.empty()) invocation.shared = shared_command(word + " --help");
    invocation.alone = one.ranks == Ranks::one;
    invocation.writes_run = invocation.text.empty() && one.ranks == Ranks::all_of_the_job;
    return invocation;
  }
  refuse(word, all);
}

}  // namespace trireme::launch
