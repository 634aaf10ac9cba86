#include "launch/option_parser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "launch/number_text.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using Words = std::vector<std::string>;

/// A command with one option of each kind.
struct Fixture {
  int64_t steps = 5;
  double rate = 0.5;
  std::string schedule = "cosine";
  std::string prompt;
  std::optional<std::string> separator;
  Words input{"default"};
  Words words;
  Resume resume;
  bool loud = false;
  OptionTable table{.command = "sail",
                    .summary = "Sails.",
                    .options = {whole_option("steps", steps, {.least = 1, .most = 100}, "Steps"),
                                real_option("rate", rate, {.least = 0, .most = 1, .most_excluded = true}, "Rate"),
                                choice_option("schedule", schedule, {"constant", "cosine"}, "Schedule"),
                                text_option("prompt", prompt, "TEXT", "Prompt"),
                                escaped_text_option("separator", separator, "Separator"),
                                list_option("input", input, "PATH", "Input"),
                                resume_option("resume", resume, "Where to begin"), flag_option("loud", loud, "Sing")},
                    .positionals = {}};

  bool fill(const Words& given) const { return fill_options(table, given); }

  /// The message of the usage error; empty when there is none.
  std::string error(const Words& given) const {
    try {
      fill(given);
    } catch (const runtime::Error& failure) {
      EXPECT_EQ(failure.kind(), runtime::ErrorKind::usage);
      return failure.what();
    }
    return "";
  }
};

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(testing::TempDir() + "sail_XXXXXX") {
    const int descriptor = mkstemp(path_.data());
    EXPECT_GE(descriptor, 0);
    close(descriptor);
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(OptionParser, FillsEveryKind) {
  Fixture sail;
  EXPECT_TRUE(sail.fill({"--steps", "7", "--rate=1e-3", "--schedule", "constant", "--prompt", "a b", "--separator",
                         "\\n--\\t\\\\", "--input", "x", "y", "--resume", "12"}));
  EXPECT_EQ(sail.steps, 7);
  EXPECT_EQ(sail.rate, 1e-3);
  EXPECT_EQ(sail.schedule, "constant");
  EXPECT_EQ(sail.prompt, "a b");
  EXPECT_EQ(sail.separator, "\n--\t\\");
  EXPECT_EQ(sail.input, (Words{"x", "y"}));
  EXPECT_EQ(sail.resume, (Resume{Resume::Mode::step, 12}));
}

TEST(OptionParser, FlagsNeedNoValueAndRefuseWordsThatAreNone) {
  Fixture sail;
  EXPECT_TRUE(sail.fill({"--loud", "--steps", "7"}));
  EXPECT_TRUE(sail.loud);
  EXPECT_EQ(sail.steps, 7);
  EXPECT_TRUE(sail.fill({"--loud", "--loud=false"}));
  EXPECT_FALSE(sail.loud);
  EXPECT_EQ(sail.error({"--loud=very"}), "--loud: 'very' is not one of true, false");
  EXPECT_EQ(sail.error({"--loud", "very"}), "--loud: 'very' is not one of true, false");
  EXPECT_EQ(to_string(sail.table.options.back().value()), "false");
}

TEST(OptionParser, DefaultsStayWhenNothingIsGiven) {
  Fixture sail;
  EXPECT_TRUE(sail.fill({}));
  EXPECT_EQ(sail.steps, 5);
  EXPECT_EQ(sail.separator, std::nullopt);
  EXPECT_EQ(sail.input, Words{"default"});
}

TEST(OptionParser, KeepsTheNamesOfWhatWasGiven) {
  Fixture sail;
  Words given{"old"};
  sail.table.given = &given;
  const ConfigFile file("rate = 0.5\n");
  sail.fill({"--schedule", "cosine", "--config", file.path(), "--steps", "7", "--steps", "5"});
  EXPECT_EQ(given, (Words{"steps", "rate", "schedule"})) << "in the table's order, values like the defaults too";
}

TEST(OptionParser, LastOneCountsAndListsAreReplaced) {
  Fixture sail;
  sail.fill({"--steps", "7", "--input", "a", "b", "--steps", "8", "--input", "c"});
  EXPECT_EQ(sail.steps, 8);
  EXPECT_EQ(sail.input, Words{"c"});
}

TEST(OptionParser, ValuesMayBeEmptyOrNegative) {
  Fixture sail;
  sail.prompt = "old";
  sail.fill({"--prompt", ""});
  EXPECT_EQ(sail.prompt, "");
  sail.fill({"--prompt", "-5"});
  EXPECT_EQ(sail.prompt, "-5");
  sail.fill({"--prompt=--x"});
  EXPECT_EQ(sail.prompt, "--x");
  EXPECT_EQ(sail.error({"--rate", "-1"}), "--rate: '-1' is out of range, at least 0 and below 1");
}

TEST(OptionParser, BadValuesSayWhy) {
  const Fixture sail;
  EXPECT_EQ(sail.error({"--steps", "ten"}), "--steps: 'ten' is not a whole number");
  EXPECT_EQ(sail.error({"--steps", "1.5"}), "--steps: '1.5' is not a whole number");
  EXPECT_EQ(sail.error({"--steps", "7 "}), "--steps: '7 ' is not a whole number");
  EXPECT_EQ(sail.error({"--steps", ""}), "--steps: '' is not a whole number");
  EXPECT_EQ(sail.error({"--steps", "101"}), "--steps: '101' is out of range, 1 to 100");
  EXPECT_EQ(sail.error({"--steps", "99999999999999999999"}),
            "--steps: '99999999999999999999' is out of range, 1 to 100");
  EXPECT_EQ(sail.error({"--rate", "fast"}), "--rate: 'fast' is not a number");
  EXPECT_EQ(sail.error({"--rate", "nan"}), "--rate: 'nan' is not a number");
  EXPECT_EQ(sail.error({"--rate", "inf"}), "--rate: 'inf' is not a number");
  EXPECT_EQ(sail.error({"--rate", "1"}), "--rate: '1' is out of range, at least 0 and below 1");
  EXPECT_EQ(sail.error({"--schedule", "cosin"}), "--schedule: 'cosin' is not one of constant, cosine");
  EXPECT_EQ(sail.error({"--resume", "soon"}), "--resume: 'soon' is not auto, never or a step");
  EXPECT_EQ(sail.error({"--resume", "-1"}), "--resume: '-1' is not auto, never or a step");
  EXPECT_EQ(sail.error({"--resume", ""}), "--resume: '' is not auto, never or a step");
  EXPECT_EQ(sail.error({"--separator", "\\q"}), "--separator: '\\q' has a backslash that is not \\n, \\t, \\r or \\\\");
}

TEST(OptionParser, MissingValuesNameTheOption) {
  const Fixture sail;
  EXPECT_EQ(sail.error({"--steps"}), "--steps needs a value");
  EXPECT_EQ(sail.error({"--steps="}), "--steps needs a value");
  EXPECT_EQ(sail.error({"--steps", "--rate", "0.5"}), "--steps needs a value");
  EXPECT_EQ(sail.error({"--input", "--rate", "0.5"}), "--input needs a value");
  EXPECT_EQ(sail.error({"--prompt", "--x"}),
            "--prompt needs a value; one that begins with -- is written --prompt=VALUE");
}

TEST(OptionParser, UnknownOptionsGetASuggestion) {
  const Fixture sail;
  EXPECT_EQ(sail.error({"--stesp", "7"}), "--stesp is not an option of sail; did you mean --steps?");
  EXPECT_EQ(sail.error({"--stesp=7"}), "--stesp is not an option of sail; did you mean --steps?");
  EXPECT_EQ(sail.error({"-steps", "7"}), "-steps is not an option of sail; did you mean --steps?");
  EXPECT_EQ(sail.error({"--step", "7"}), "--step is not an option of sail; did you mean --steps?");
  EXPECT_EQ(sail.error({"--zzz"}), "--zzz is not an option of sail; see trireme sail --help");
  EXPECT_EQ(sail.error({"--input", "a", "-b"}), "-b is not an option of sail; see trireme sail --help");
}

TEST(OptionParser, WordsOnlyWhereACommandTakesThem) {
  Fixture sail;
  EXPECT_EQ(sail.error({"--steps", "7", "away"}),
            "'away' is out of place: sail takes options only; see trireme sail --help");
  sail.table.positionals = {.usage = "WHERE", .field = &sail.words};
  EXPECT_TRUE(sail.fill({"home", "--steps", "7", "now"}));
  EXPECT_EQ(sail.words, (Words{"home", "now"}));
}

TEST(OptionParser, RequiredOptionsAreAskedFor) {
  Fixture sail;
  sail.table.options[0].required = true;
  EXPECT_EQ(sail.error({"--rate", "0.1"}), "sail needs --steps N; see trireme sail --help");
  EXPECT_EQ(sail.error({"--steps", "3"}), "");
}

TEST(OptionParser, HelpWinsOverOtherOptions) {
  Fixture sail;
  sail.table.options[0].required = true;
  EXPECT_FALSE(sail.fill({"--help"}));
  EXPECT_FALSE(sail.fill({"--rate", "0.1", "-h"}));
  EXPECT_EQ(sail.rate, 0.5);
  EXPECT_EQ(sail.error({"--help=3"}), "--help takes no value");
}

TEST(OptionParser, HelpShowsDefaults) {
  Fixture sail;
  sail.table.options[1] = with_default_note(sail.table.options[1], "half");
  const std::string help = help_text(sail.table);
  EXPECT_NE(help.find("--steps N                       Steps (default: 5)\n"), std::string::npos) << help;
  EXPECT_NE(help.find("Rate (default: half)\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--schedule constant|cosine      Schedule (default: cosine)\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--prompt TEXT                   Prompt\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--resume auto|never|STEP        Where to begin (default: auto)\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--loud                          Sing\n"), std::string::npos) << help;
}

TEST(ConfigFile, CommandLineWins) {
  const ConfigFile file(
      "# a comment\nsteps = 7\n\nrate=0.25   # to the end of the line\nprompt = two words\nloud = true\n");
  Fixture sail;
  sail.fill({"--steps", "9", "--config", file.path()});
  EXPECT_EQ(sail.steps, 9);
  EXPECT_EQ(sail.rate, 0.25);
  EXPECT_EQ(sail.prompt, "two words");
  EXPECT_TRUE(sail.loud);
}

TEST(ConfigFile, LastLineCountsAndLinesOfAListAreItsValues) {
  const ConfigFile file("steps = 7\ninput = a\nsteps = 8\ninput = b c\n");
  Fixture sail;
  sail.fill({"--config", file.path()});
  EXPECT_EQ(sail.steps, 8);
  EXPECT_EQ(sail.input, (Words{"a", "b c"}));
  sail.fill({"--config", file.path(), "--input", "z"});
  EXPECT_EQ(sail.input, Words{"z"});
}

TEST(ConfigFile, MeetsRequiredOptions) {
  const ConfigFile file("steps = 7\n");
  Fixture sail;
  sail.table.options[0].required = true;
  EXPECT_EQ(sail.error({"--config", file.path()}), "");
  EXPECT_EQ(sail.steps, 7);
}

TEST(ConfigFile, ErrorsNameFileAndLine) {
  const Fixture sail;
  const auto error = [&](const std::string& text) {
    const ConfigFile file(text);
    const std::string message = sail.error({"--config", file.path()});
    return message.rfind(file.path(), 0) == 0 ? message.substr(file.path().size()) : "without the file: " + message;
  };
  EXPECT_EQ(error("rate = 0.5\nsteps = ten\n"), ":2: steps: 'ten' is not a whole number");
  EXPECT_EQ(error("steps =\n"), ":1: steps: '' is not a whole number");
  EXPECT_EQ(error("\n\nstesp = 3\n"), ":3: stesp is not an option of sail; did you mean steps?");
  EXPECT_EQ(error("--steps = 3\n"), ":1: --steps is not an option of sail; did you mean steps?");
  EXPECT_EQ(error("loud =\n"), ":1: loud: '' is not one of true, false");
  EXPECT_EQ(error("steps\n"), ":1: 'steps' is not of the form NAME = VALUE");
  EXPECT_EQ(error("[sail]\nsteps = 3\n"), ":1: sections are not used here; write lines NAME = VALUE");
  EXPECT_EQ(error("config = other.ini\n"), ":1: config is not an option of sail; see trireme sail --help");
}

TEST(ConfigFile, UnreadableFileIsNamed) {
  const Fixture sail;
  EXPECT_EQ(sail.error({"--config", "/nowhere/run.ini"}),
            "--config: cannot read /nowhere/run.ini: No such file or directory");
  EXPECT_EQ(sail.error({"--config", "/"}), "--config: cannot read /: Is a directory");
}

}  // namespace
}  // namespace trireme::launch
