// What --trace writes, of real training steps on ranks that are threads: against the schedule, the ledgers of messages
// and the costs of ops, which know nothing of it.
#include "launch/step_trace.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "launch/trace_file.h"
#include "parallel/schedule.h"
#include "runtime/error.h"
#include "runtime/flight_words.h"
#include "runtime/local_ranks.h"
#include "tests/failing_files.h"
#include "tests/launch/parsed_trace.h"
#include "tests/memory_files.h"
#include "tests/model/layout_cases.h"

namespace trireme::launch {
namespace {

using namespace trireme::tests;
using runtime::Communicator;

constexpr int64_t kSteps = 3;

/// Bytes and calls by group and op.
using Sent = std::map<std::pair<std::string, std::string>, std::pair<int64_t, int64_t>>;

Sent sent_of(const parallel::MeshGroups& groups) {
  Sent sent;
  const std::vector<std::pair<std::string, Communicator*>> all{
      {"tp", groups.tp.get()},     {"dp", groups.dp.get()},
      {"pp", groups.pp.get()},     {"pp_forward", groups.pp_forward.get()},
      {"tied", groups.tied.get()}, {"pp_backward", groups.pp_backward.get()}};
  for (const auto& [name, group] : all) {
    if (group->size() == 1) continue;
    for (const auto& [op, total] : group->totals()) sent[{name, op}] = {total.calls, total.bytes};
  }
  return sent;
}

/// What the books of a rank say of the recorded steps.
struct RankBooks {
  Sent sent;
  runtime::CostRecord::Total ops;
  std::vector<parallel::Action> actions;
  int64_t steps = 0;  ///< that it made, of the whole run
};

struct TracedRun {
  std::vector<std::string> files;  ///< that are there at the end
  std::string text;                ///< of the trace, if there is one
  ParsedTrace trace;
  std::vector<RankBooks> ranks;
};

struct TracedRunOptions {
  StepTraceOptions trace{.file = "trace.json", .steps = kSteps};
  int64_t steps = 5;  ///< one before, and one behind those recorded
  std::function<void(int rank, int64_t step)> in_step = [](int, int64_t) {};  ///< at its beginning
};

RankBooks train_rank(Communicator& world, const LayoutTraining& training, const TracedRunOptions& options,
                     runtime::Files& files) {
  LayoutRank rank(world, training);
  model::Trainer& trainer = *rank.small().trainer;
  StepTrace trace(options.trace, files, world, trainer);
  RankBooks books;
  Sent before;
  runtime::CostRecord costs_before;
  for (int64_t step = 1; step <= options.steps; ++step) {
    trace.begin_step(step);
    if (step == options.trace.skip + 1) {
      before = sent_of(trainer.groups);
      costs_before = trainer.stream.costs();
    }
    options.in_step(world.rank(), step);
    rank.step(step - 1);
    trace.end_step();
    books.steps += 1;
    if (step != options.trace.skip + options.trace.steps) continue;
    books.ops = trainer.stream.costs().since(costs_before).sum();
    for (const auto& [key, total] : sent_of(trainer.groups)) {
      const std::pair<int64_t, int64_t> change{total.first - before[key].first, total.second - before[key].second};
      if (change.first > 0) books.sent[key] = change;
    }
  }
  trace.finish();
  books.actions = trainer.pipeline.actions;
  return books;
}

TracedRun traced_run(const LayoutCase& layout, const TracedRunOptions& options = {}, const FaultPlan& fault = {}) {
  const LayoutTraining training{.config = layout_gpt2(), .layout = layout};
  MemoryFiles disk;
  FailingFiles files(fault, disk);
  TracedRun run;
  run.ranks.resize(static_cast<size_t>(layout.mesh.world_size()));
  runtime::run_local_ranks(layout.mesh.world_size(), [&](Communicator& world) {
    run.ranks[static_cast<size_t>(world.rank())] = train_rank(world, training, options, files);
  });
  run.files = disk.list(".");
  if (!disk.exists(options.trace.file)) return run;
  run.text = runtime::read_text(disk, options.trace.file);
  run.trace = parse_trace(run.text);
  return run;
}

std::string text_of(const boost::json::object& args, const char* name) {
  return std::string(args.at(name).as_string());
}

void expect_steps(const TracedRun& run) {
  for (size_t rank = 0; rank < run.ranks.size(); ++rank) {
    std::vector<std::string> names;
    for (const TraceSlice& slice : run.trace.of(static_cast<int64_t>(rank), "phase")) {
      if (slice.name.starts_with("step ")) names.push_back(slice.name);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"step 2", "step 3", "step 4"})) << "rank " << rank;
  }
}

/// The actions of each step are those of the schedule, in its order.
void expect_actions(const TracedRun& run, const LayoutCase& layout) {
  const parallel::ScheduleSpec spec{.kind = layout.schedule,
                                    .stages = layout.mesh.pp,
                                    .chunks = layout.virtual_stages,
                                    .microbatches = static_cast<int>(layout.microbatches)};
  for (int rank = 0; rank < layout.mesh.world_size(); ++rank) {
    const int stage = parallel::coordinates(layout.mesh, rank, layout.mesh.world_size()).pp;
    std::vector<std::string> expected;
    for (int64_t step = 0; step < kSteps; ++step) {
      for (const parallel::Action& action : parallel::make_schedule(spec, stage)) {
        constexpr std::array kNames{"forward", "backward", "backward_input", "backward_weight"};
        expected.push_back(std::string(kNames[static_cast<size_t>(action.kind)]) + " " +
                           std::to_string(action.microbatch) + " of " + std::to_string(action.chunk));
      }
    }
    std::vector<std::string> found;
    const std::vector<TraceSlice> steps = run.trace.of(rank, "phase");
    for (const TraceSlice& slice : run.trace.of(rank, "action")) {
      found.push_back(slice.name + " of " + std::to_string(slice.args.at("chunk").as_int64()));
      EXPECT_TRUE(std::ranges::any_of(steps, [&](const TraceSlice& step) { return step.holds(slice); })) << slice.name;
    }
    EXPECT_EQ(found, expected) << "rank " << rank;
  }
}

/// Every op that a stream counted, every call and every byte that a ledger did.
void expect_books(const TracedRun& run) {
  for (size_t rank = 0; rank < run.ranks.size(); ++rank) {
    runtime::CostRecord::Total ops;
    for (const TraceSlice& slice : run.trace.of(static_cast<int64_t>(rank), "op")) {
      ops.calls += 1;
      ops.flops += slice.args.at("flops").as_int64();
      ops.bytes += slice.args.at("bytes").as_int64();
      const boost::json::value* recomputed = slice.args.if_contains("recomputed_flops");
      if (recomputed != nullptr) ops.recomputed_flops += recomputed->as_int64();
    }
    EXPECT_EQ(ops, run.ranks[rank].ops) << "rank " << rank;
    Sent sent;
    for (const TraceSlice& slice : run.trace.of(static_cast<int64_t>(rank), "call")) {
      auto& [calls, bytes] = sent[{text_of(slice.args, "group"), slice.name}];
      calls += 1;
      bytes += slice.args.at("sent_bytes").as_int64();
    }
    EXPECT_EQ(sent, run.ranks[rank].sent) << "rank " << rank;
    EXPECT_EQ(run.trace.labels.at(static_cast<int64_t>(rank)).at("events_left_out"), 0);
  }
}

/// Each collective is there once on every rank of its group, and they agree who was last.
void expect_collectives(const TracedRun& run) {
  struct Seen {
    std::set<int64_t> ranks;
    std::set<int64_t> last;
  };
  std::map<std::tuple<std::string, std::string, int64_t>, Seen> seen;  // group, its ranks, position
  for (const TraceSlice& slice : run.trace.slices) {
    if (slice.category != "call" || slice.args.contains("peer")) continue;
    Seen& call = seen[{text_of(slice.args, "group"), text_of(slice.args, "of"), slice.args.at("position").as_int64()}];
    EXPECT_TRUE(call.ranks.insert(slice.rank).second);
    call.last.insert(slice.args.at("last_rank").as_int64());
    EXPECT_GE(slice.args.at("last_by_us").to_number<double>(), 0);
  }
  EXPECT_FALSE(seen.empty());
  for (const auto& [key, call] : seen) {
    EXPECT_EQ(std::get<1>(key), runtime::rank_words({call.ranks.begin(), call.ranks.end()}));
    EXPECT_EQ(call.last.size(), 1u);
    EXPECT_TRUE(call.ranks.contains(*call.last.begin()));
  }
}

void expect_good_trace(const LayoutCase& layout) {
  SCOPED_TRACE(layout.name());
  const TracedRun run = traced_run(layout);
  EXPECT_EQ(run.trace.head.at("kind"), "trireme-trace");
  EXPECT_EQ(run.trace.head.at("ranks"), layout.mesh.world_size());
  EXPECT_EQ(run.trace.head.at("first_step"), 2);
  EXPECT_EQ(run.trace.head.at("steps"), kSteps);
  expect_rows_nest(run.trace);
  expect_steps(run);
  expect_actions(run, layout);
  expect_books(run);
  expect_collectives(run);
}

TEST(StepTrace, PipelineIsTheScheduleAndTheBooks) {
  expect_good_trace({.mesh = {.pp = 4}, .microbatches = 8});
}

TEST(StepTrace, DataParallelIsTheBooks) {
  expect_good_trace({.mesh = {.dp = 2}, .zero_stage = 1, .microbatches = 2});
  expect_good_trace({.mesh = {.dp = 2}, .zero_stage = 3, .microbatches = 2});
}

TEST(StepTrace, TensorParallelIsTheBooks) {
  expect_good_trace({.mesh = {.tp = 2}, .microbatches = 2});
}

TEST(StepTrace, GroupsOfOneNameAreKeptApart) {
  expect_good_trace({.mesh = {.tp = 2, .dp = 2}, .zero_stage = 1, .microbatches = 2});
}

TEST(StepTrace, SplitBackwardAndChunksAreToldApart) {
  expect_good_trace({.mesh = {.pp = 2}, .schedule = parallel::ScheduleKind::zb_h1, .microbatches = 4});
  expect_good_trace({.mesh = {.pp = 2}, .virtual_stages = 2, .microbatches = 4});
}

TEST(StepTrace, ARankAloneHasOpsAndActions) {
  const LayoutCase layout{.microbatches = 2};
  const TracedRun run = traced_run(layout);
  expect_rows_nest(run.trace);
  expect_steps(run);
  expect_actions(run, layout);
  expect_books(run);
}

TEST(StepTrace, ADelayedRankIsTheOneThatIsWaitedFor) {
  constexpr double kDelaySeconds = 0.2;  // beside which a busy machine takes little from a thread
  TracedRunOptions options;
  options.in_step = [&](int rank, int64_t step) {
    if (rank == 1 && step > 1) std::this_thread::sleep_for(std::chrono::duration<double>(kDelaySeconds));
  };
  const TracedRun run = traced_run({.mesh = {.tp = 2}, .microbatches = 1}, options);
  double waited_seconds = 0;
  for (const TraceSlice& wait : run.trace.of(0, "wait")) {
    const boost::json::value* whom = wait.args.if_contains("for_rank");
    if (whom != nullptr && *whom == 1) waited_seconds += 1e-9 * static_cast<double>(wait.end - wait.begin);
  }
  EXPECT_GT(waited_seconds, 0.5 * kDelaySeconds * kSteps);
  // The first call of each step.
  for (const TraceSlice& step : run.trace.of(0, "phase")) {
    if (!step.name.starts_with("step ")) continue;
    const std::vector<TraceSlice> calls = run.trace.of(0, "call");
    const auto first = std::ranges::find_if(calls, [&](const TraceSlice& call) { return step.holds(call); });
    ASSERT_NE(first, calls.end());
    EXPECT_EQ(first->args.at("last_rank"), 1) << step.name;
    EXPECT_GT(first->args.at("last_by_us").to_number<double>(), 0.5e6 * kDelaySeconds) << step.name;
    // The rate is of the time after rank 1 came, not of all that rank 0 spent in the call.
    const double sent_bytes = first->args.at("sent_bytes").to_number<double>();
    EXPECT_GT(sent_bytes, 0);
    EXPECT_GT(first->args.at("bytes_per_second").to_number<double>(), sent_bytes / (0.5 * kDelaySeconds)) << step.name;
  }
}

TEST(StepTrace, ClocksOfOneMachineAreOffByNoMoreThanHalfARoundTrip) {
  const TracedRun run = traced_run({.mesh = {.dp = 4}, .microbatches = 1});
  for (const auto& [rank, labels] : run.trace.labels) {
    const double round_trip = labels.at("round_trip_seconds").to_number<double>();
    EXPECT_LE(std::abs(labels.at("offset_seconds").to_number<double>()), round_trip / 2 + 1e-9) << "rank " << rank;
    EXPECT_EQ(round_trip > 0, rank > 0);
  }
}

TEST(StepTrace, StepsThatDoNotFitAreLeftOut) {
  TracedRunOptions options;
  options.trace.most_bytes = 60000;  // a step of this model has more than 200 ops of 96 bytes
  const TracedRun two = traced_run({.mesh = {.dp = 2}, .microbatches = 1}, options);
  const int64_t steps = two.trace.head.at("steps").as_int64();
  EXPECT_GE(steps, 1);
  EXPECT_LT(steps, kSteps);
  options.trace.most_bytes = 20000;  // not even one
  const TracedRun part = traced_run({.mesh = {.dp = 2}, .microbatches = 1}, options);
  EXPECT_EQ(part.trace.head.at("steps"), 1);
  EXPECT_GT(part.trace.labels.at(0).at("events_left_out").as_int64(), 0);
  EXPECT_FALSE(part.trace.of(0, "op").empty());
  EXPECT_FALSE(part.trace.of(0, "call").empty());
  expect_rows_nest(part.trace);
}

TEST(StepTrace, WhatDoesNotFitIsSaid) {
  const auto log_of = [](int64_t steps, int64_t most_bytes) {
    TracedRunOptions options;
    options.trace.steps = steps;
    options.trace.most_bytes = most_bytes;
    testing::internal::CaptureStderr();
    traced_run({.mesh = {.dp = 2}, .microbatches = 1}, options);
    return testing::internal::GetCapturedStderr();
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  const std::string all = log_of(2, int64_t{64} << 20);
  EXPECT_FALSE(has(all, "warning")) << all;
  const std::string some = log_of(1000000, 60000);
  EXPECT_TRUE(has(some, "--trace-steps 1000000: events of ")) << some;
  EXPECT_FALSE(has(some, "found no room")) << some;
  for (const int64_t steps : {1, 3}) {
    const std::string part = log_of(steps, 20000);
    EXPECT_TRUE(has(part, "a part of one step fits into the ")) << part;
    EXPECT_TRUE(has(part, " of a rank found no room and are left out")) << part;
  }
}

TEST(StepTrace, ARunThatEndsEarlyLeavesWhatThereIs) {
  TracedRunOptions options;
  options.steps = 2;
  EXPECT_EQ(traced_run({.mesh = {.dp = 2}}, options).trace.head.at("steps"), 1);
  options.steps = 1;
  const TracedRun nothing = traced_run({.mesh = {.dp = 2}}, options);
  EXPECT_TRUE(nothing.files.empty());
  for (const RankBooks& rank : nothing.ranks) EXPECT_EQ(rank.steps, 1);
}

TEST(StepTrace, ADiskThatFailsDoesNotEndTheTraining) {
  const auto expect_all_but_a_trace = [](const TracedRun& run) {
    ASSERT_EQ(run.ranks.size(), 2u);
    for (const RankBooks& rank : run.ranks) EXPECT_EQ(rank.steps, 5);
    EXPECT_TRUE(run.files.empty()) << run.files.front();
  };
  TracedRunOptions options;
  options.trace.file = "nowhere/trace.json";
  expect_all_but_a_trace(traced_run({.mesh = {.dp = 2}}, options));
  // Of the calls of rank 0, the only one that writes: remove, create, head, first events; half of these are written.
  expect_all_but_a_trace(traced_run({.mesh = {.dp = 2}}, {}, {.call = 3, .fault = Fault::short_write}));
}

TEST(TraceFile, OnlyTracesAreReplaced) {
  MemoryFiles files;
  check_trace_file(files, "new.json");
  EXPECT_FALSE(files.exists("new.json"));
  EXPECT_TRUE(files.list(".").empty());
  const TracedRun run = traced_run({.mesh = {.dp = 2}});
  runtime::write_text_atomically(files, "old.json", run.text);
  check_trace_file(files, "old.json");
  EXPECT_EQ(runtime::read_text(files, "old.json"), run.text);
  runtime::write_text_atomically(files, "thesis.json", R"({"traceEvents": []})");
  const auto refused = [&](const std::string& path, const std::string& why, const FaultPlan& fault = {}) {
    FailingFiles disk(fault, files);
    try {
      check_trace_file(disk, path);
      ADD_FAILURE() << path;
    } catch (const runtime::Error& error) {
      EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find("--trace " + path + " " + why), std::string::npos) << error.what();
    }
  };
  refused("thesis.json", "exists and is not a trace; choose another file");
  refused("nowhere/trace.json", "cannot be written: nowhere is not a directory; choose another file");
  // Calls: is the folder there, is the file, is it regular, open.
  refused("old.json", "cannot be read: cannot open old.json", {.call = 3, .fault = Fault::io_error});
  EXPECT_EQ(runtime::read_text(files, "thesis.json"), R"({"traceEvents": []})");
}

}  // namespace
}  // namespace trireme::launch
