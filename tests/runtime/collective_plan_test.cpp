// Plans are executed here by a simulator of all ranks: no threads, no MPI, one array of doubles per rank.
#include "runtime/collective_plan.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

using Values = std::vector<double>;

struct SimulatedRank {
  Values input;
  Values output;
};

/// Runs the lanes of all ranks, the last lane first (they are independent), the steps of each lane in order.
class Simulator {
 public:
  Simulator(CollectiveSpec spec, std::vector<SimulatedRank> ranks) : ranks_(std::move(ranks)) {
    spec.size = static_cast<int>(ranks_.size());
    for (spec.rank = 0; spec.rank < spec.size; ++spec.rank) plans_.emplace_back(spec);
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      const LocalCopy copy = plans_[rank].local_copy();
      for (int64_t i = 0; i < copy.elements; ++i) {
        at(ranks_[rank].output, copy.output_begin + i) = at(ranks_[rank].input, copy.input_begin + i);
      }
      EXPECT_EQ(plans_[rank].lanes(), plans_[0].lanes());
    }
    for (int64_t lane = plans_[0].lanes() - 1; lane >= 0; --lane) run_lane(lane);
  }

  const std::vector<SimulatedRank>& ranks() const { return ranks_; }
  const CollectivePlan& plan(size_t rank) const { return plans_[rank]; }

 private:
  struct LaneState {
    int step = 0;
    bool sent = false;
    Values staging[2];
  };

  static double& at(Values& values, int64_t index) { return values.at(static_cast<size_t>(index)); }

  bool in_place(size_t rank) const { return plans_[rank].spec().op == CollectiveOp::all_reduce; }

  void run_lane(int64_t lane) {
    std::vector<LaneState> states(ranks_.size());
    std::map<std::pair<size_t, size_t>, std::deque<Values>> mail;
    bool moved = true;
    while (moved) {
      moved = false;
      for (size_t rank = 0; rank < ranks_.size(); ++rank) {
        LaneState& state = states[rank];
        if (state.step == plans_[rank].steps_per_lane()) continue;
        const Step step = plans_[rank].step(lane, state.step);
        if (!state.sent && step.send.exists()) {
          mail[{rank, static_cast<size_t>(step.send.peer)}].push_back(sent_values(rank, state, step.send));
          moved = true;
        }
        state.sent = true;
        if (step.recv.exists()) {
          auto& box = mail[{static_cast<size_t>(step.recv.peer), rank}];
          if (box.empty()) continue;
          receive(rank, state, step, box.front());
          box.pop_front();
        }
        ++state.step;
        state.sent = false;
        moved = true;
      }
    }
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      EXPECT_EQ(states[rank].step, plans_[rank].steps_per_lane()) << "rank " << rank << " waits for ever";
    }
    for (const auto& [route, box] : mail) EXPECT_TRUE(box.empty()) << "a message from " << route.first << " is lost";
  }

  Values sent_values(size_t rank, LaneState& state, const Message& send) {
    Values values;
    for (int64_t i = 0; i < send.elements; ++i) {
      if (send.place == Place::staging) {
        values.push_back(at(state.staging[1 - state.step % 2], i));
      } else {
        const bool output = send.place == Place::output || in_place(rank);
        values.push_back(at(output ? ranks_[rank].output : ranks_[rank].input, send.begin + i));
      }
    }
    return values;
  }

  void receive(size_t rank, LaneState& state, const Step& step, const Values& values) {
    ASSERT_EQ(step.recv.elements, static_cast<int64_t>(values.size()));
    Values& staging = state.staging[state.step % 2];
    staging = values;
    for (int64_t i = 0; i < step.recv.elements; ++i) {
      if (step.reduce) {
        at(staging, i) += at(in_place(rank) ? ranks_[rank].output : ranks_[rank].input, step.addend_begin + i);
      }
      if (step.recv.place != Place::staging) at(ranks_[rank].output, step.recv.begin + i) = at(staging, i);
    }
  }

  std::vector<SimulatedRank> ranks_;
  std::vector<CollectivePlan> plans_;
};

/// Fractions whose sum depends on its order.
double value(int rank, int64_t index) {
  return 1.0 / (3.0 + rank * 7 + static_cast<double>(index % 1009));
}

Values values_of(int rank, int64_t count) {
  Values values;
  for (int64_t i = 0; i < count; ++i) values.push_back(value(rank, i));
  return values;
}

/// The sum of element `index` in the order the header promises: from rank block + 1 round to rank `block`.
double ordered_sum(int size, int block, int64_t index) {
  double sum = value((block + 1) % size, index);
  for (int step = 2; step <= size; ++step) sum += value((block + step) % size, index);
  return sum;
}

/// The same in a tree, at rank `v` of the ranks [v, v + span): from below, the nearest first.
double tree_sum(int size, int v, int span, int64_t index) {
  double sum = value(v, index);
  for (int distance = 1; distance < span && v + distance < size; distance *= 2) {
    sum += tree_sum(size, v + distance, distance, index);
  }
  return sum;
}

int block_of(int64_t index, int64_t elements, int size) {
  int block = 0;
  while (elements * (block + 1) / size <= index) ++block;
  return block;
}

struct Case {
  int size;
  int64_t elements;
  int64_t chunk_bytes;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (int size = 1; size <= 9; ++size) {
    for (int64_t elements : {int64_t{0}, int64_t{1}, int64_t{5}, int64_t{3} * size + 1, int64_t{12} * size}) {
      for (int64_t chunk_bytes : {int64_t{8}, int64_t{24}, int64_t{1} << 20})
        all.push_back({size, elements, chunk_bytes});
    }
  }
  for (int size = 1; size <= 17; ++size) {  // about the longest that a tree takes
    for (int64_t elements : {int64_t{11}, kShortPart * size - size, kShortPart * size - size + 1, kShortPart * size}) {
      for (int64_t chunk_bytes : {int64_t{200}, int64_t{1} << 20}) all.push_back({size, elements, chunk_bytes});
    }
  }
  return all;
}

CollectiveSpec spec_of(CollectiveOp op, const Case& c, int peer = 0) {
  return {.op = op, .elements = c.elements, .dtype_bytes = 8, .chunk_bytes = c.chunk_bytes, .peer = peer};
}

std::vector<SimulatedRank> ranks_of(const Case& c, int64_t inputs, int64_t outputs) {
  std::vector<SimulatedRank> ranks;
  for (int rank = 0; rank < c.size; ++rank) {
    ranks.push_back({values_of(rank, inputs), Values(static_cast<size_t>(outputs), -1.0)});
  }
  return ranks;
}

TEST(CollectivePlan, AllReduceSumsInAnOrderOfSizeAndBlockOnly) {
  for (const Case& c : cases()) {
    std::vector<SimulatedRank> ranks = ranks_of(c, c.elements, c.elements);
    for (SimulatedRank& rank : ranks) rank.output = rank.input;
    const Simulator simulator(spec_of(CollectiveOp::all_reduce, c), std::move(ranks));
    const bool is_short = c.elements <= (kShortPart - 1) * c.size;
    EXPECT_EQ(simulator.plan(0).is_tree(), is_short);
    for (const SimulatedRank& rank : simulator.ranks()) {
      for (int64_t i = 0; i < c.elements; ++i) {
        // equal bits, whatever the chunks
        EXPECT_EQ(rank.output[static_cast<size_t>(i)],
                  is_short ? tree_sum(c.size, 0, c.size, i) : ordered_sum(c.size, block_of(i, c.elements, c.size), i));
      }
    }
  }
}

TEST(CollectivePlan, ReduceScatterGivesTheBitsOfAllReduce) {
  for (const Case& c : cases()) {
    const Simulator simulator(spec_of(CollectiveOp::reduce_scatter, c), ranks_of(c, c.size * c.elements, c.elements));
    for (int rank = 0; rank < c.size; ++rank) {
      for (int64_t i = 0; i < c.elements; ++i) {
        EXPECT_EQ(simulator.ranks()[static_cast<size_t>(rank)].output[static_cast<size_t>(i)],
                  ordered_sum(c.size, rank, rank * c.elements + i));
      }
    }
  }
}

TEST(CollectivePlan, AllGatherJoinsInRankOrder) {
  for (const Case& c : cases()) {
    const Simulator simulator(spec_of(CollectiveOp::all_gather, c), ranks_of(c, c.elements, c.size * c.elements));
    Values expected;
    for (int rank = 0; rank < c.size; ++rank) {
      const Values part = values_of(rank, c.elements);
      expected.insert(expected.end(), part.begin(), part.end());
    }
    for (const SimulatedRank& rank : simulator.ranks()) EXPECT_EQ(rank.output, expected);
  }
}

TEST(CollectivePlan, AllToAllTransposes) {
  for (const Case& c : cases()) {
    const int64_t all = c.size * c.elements;
    const Simulator simulator(spec_of(CollectiveOp::all_to_all, c), ranks_of(c, all, all));
    for (int rank = 0; rank < c.size; ++rank) {
      for (int64_t i = 0; i < all; ++i) {
        const int from = static_cast<int>(i / c.elements);
        EXPECT_EQ(simulator.ranks()[static_cast<size_t>(rank)].output[static_cast<size_t>(i)],
                  value(from, rank * c.elements + i % c.elements));
      }
    }
  }
}

TEST(CollectivePlan, BroadcastReachesAllAndSendsTheLeast) {
  for (const Case& c : cases()) {
    for (int root : {0, c.size / 2, c.size - 1}) {
      std::vector<SimulatedRank> ranks = ranks_of(c, 0, c.elements);
      ranks[static_cast<size_t>(root)].output = values_of(root, c.elements);
      const Simulator simulator(spec_of(CollectiveOp::broadcast, c, root), std::move(ranks));
      int64_t bytes = 0;
      for (size_t rank = 0; rank < simulator.ranks().size(); ++rank) {
        EXPECT_EQ(simulator.ranks()[rank].output, values_of(root, c.elements));
        bytes += sent_traffic(simulator.plan(rank)).bytes;
      }
      EXPECT_EQ(bytes, (c.size - 1) * c.elements * 8);
    }
  }
}

TEST(CollectivePlan, BarrierHearsOfEveryRank) {
  for (int size = 1; size <= 9; ++size) {
    std::vector<std::set<int>> heard_of(static_cast<size_t>(size));
    std::vector<CollectivePlan> plans;
    for (int rank = 0; rank < size; ++rank) {
      plans.emplace_back(CollectiveSpec{.op = CollectiveOp::barrier, .rank = rank, .size = size});
      heard_of[static_cast<size_t>(rank)] = {rank};
    }
    for (int step = 0; size > 1 && step < plans[0].steps_per_lane(); ++step) {
      const auto before = heard_of;
      for (int rank = 0; rank < size; ++rank) {
        const Step own = plans[static_cast<size_t>(rank)].step(0, step);
        const Step theirs = plans[static_cast<size_t>(own.recv.peer)].step(0, step);
        ASSERT_EQ(theirs.send.peer, rank);
        const auto& news = before[static_cast<size_t>(own.recv.peer)];
        heard_of[static_cast<size_t>(rank)].insert(news.begin(), news.end());
      }
    }
    for (const auto& ranks : heard_of) EXPECT_EQ(ranks.size(), static_cast<size_t>(size));
  }
}

TEST(CollectivePlan, SendsTheBytesThatTheInterfaceStates) {
  for (int P = 1; P <= 9; ++P) {
    const int64_t n = kShortPart;  // elements of a part
    const auto sent = [&](CollectiveOp op, int64_t elements) {
      const CollectivePlan plan(
          {.op = op, .rank = P / 2, .size = P, .elements = elements, .dtype_bytes = 4, .chunk_bytes = 64});
      return sent_traffic(plan).bytes;
    };
    EXPECT_EQ(sent(CollectiveOp::all_reduce, P * n), 2 * (P - 1) * n * 4);
    EXPECT_EQ(sent(CollectiveOp::reduce_scatter, n), (P - 1) * n * 4);
    EXPECT_EQ(sent(CollectiveOp::all_gather, n), (P - 1) * n * 4);
    EXPECT_EQ(sent(CollectiveOp::all_to_all, n), (P - 1) * n * 4);
  }
}

/// What sent_traffic() states in closed form, counted step by step.
Traffic walked_traffic(const CollectivePlan& plan) {
  Traffic traffic;
  for (int64_t lane = 0; lane < plan.lanes(); ++lane) {
    for (int index = 0; index < plan.steps_per_lane(); ++index) {
      const Message send = plan.step(lane, index).send;
      traffic.messages += send.exists() ? 1 : 0;
      traffic.bytes += send.elements * plan.spec().dtype_bytes;
    }
  }
  return traffic;
}

TEST(CollectivePlan, TrafficIsThatOfTheSteps) {
  for (const Case& c : cases()) {
    for (CollectiveOp op :
         {CollectiveOp::all_reduce, CollectiveOp::reduce_scatter, CollectiveOp::all_gather, CollectiveOp::all_to_all,
          CollectiveOp::broadcast, CollectiveOp::barrier, CollectiveOp::send, CollectiveOp::recv}) {
      for (int peer = 0; peer < c.size; ++peer) {
        CollectiveSpec spec = spec_of(op, c, peer);
        spec.size = c.size;
        for (spec.rank = 0; spec.rank < c.size; ++spec.rank) {
          const CollectivePlan plan(spec);
          const Traffic stated = sent_traffic(plan);
          const Traffic walked = walked_traffic(plan);
          EXPECT_TRUE(stated == walked) << name(op) << " of " << c.elements << " elements in chunks of "
                                        << c.chunk_bytes << " bytes, rank " << spec.rank << " of " << c.size
                                        << ", peer " << peer << ": " << stated.messages << " messages, " << stated.bytes
                                        << " bytes; steps " << walked.messages << ", " << walked.bytes;
        }
      }
    }
  }
}

TEST(CollectivePlan, AShortAllReduceWaitsForFewMessages) {
  for (int P = 2; P <= 17; ++P) {
    const int levels = std::bit_width(static_cast<unsigned>(P - 1));
    int most = 0;
    for (int rank = 0; rank < P; ++rank) {
      const CollectivePlan plan(
          {.op = CollectiveOp::all_reduce, .rank = rank, .size = P, .elements = 3, .dtype_bytes = 8});
      ASSERT_EQ(plan.lanes(), 1);
      int messages = 0;
      for (int index = 0; index < plan.steps_per_lane(); ++index) {
        const Step step = plan.step(0, index);
        EXPECT_FALSE(step.send.exists() && step.recv.exists());
        messages += step.send.exists() || step.recv.exists() ? 1 : 0;
      }
      most = std::max(most, messages);
    }
    EXPECT_EQ(most, 2 * levels) << P;
  }
}

TEST(CollectivePlan, NoMessageExceedsTheChunk) {
  for (CollectiveOp op : {CollectiveOp::all_reduce, CollectiveOp::reduce_scatter, CollectiveOp::all_gather,
                          CollectiveOp::all_to_all, CollectiveOp::broadcast, CollectiveOp::send, CollectiveOp::recv}) {
    for (const int64_t elements : {100, 1000}) {
      const CollectivePlan plan(
          {.op = op, .rank = 1, .size = 4, .elements = elements, .dtype_bytes = 8, .chunk_bytes = 100, .peer = 2});
      ASSERT_GT(plan.lanes(), 1);
      for (int64_t lane = 0; lane < plan.lanes(); ++lane) {
        for (int index = 0; index < plan.steps_per_lane(); ++index) {
          EXPECT_LE(plan.step(lane, index).send.elements, 12);
          EXPECT_LE(plan.step(lane, index).recv.elements, 12);
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::runtime
