#include "runtime/dry_communicator.h"

#include <algorithm>
#include <numeric>

#include "runtime/call_ledger.h"
#include "runtime/collective_call.h"
#include "runtime/error.h"

namespace trireme::runtime {
namespace {

class DryCommunicator : public Communicator {
 public:
  DryCommunicator(std::vector<int> world_ranks, const DryGroup& group, SplitRule rule, const MessageOptions& options)
      : world_ranks_(std::move(world_ranks)),
        place_{.rank = group.rank, .size = group.size, .use = group.use},
        rule_(std::move(rule)),
        options_(options),
        ledger_(group.name) {}

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name, GroupUse use) override;

  void progress() override {}
  std::vector<CommCall> recent_calls() const override { return ledger_.recent_calls(); }
  const std::map<std::string, CommTotal, std::less<>>& totals() const override { return ledger_.totals(); }
  int64_t staging_bytes() const override { return runtime::staging_bytes(options_, place_.size, place_.use); }

 private:
  Pending start(const CollectiveCall& call) override { return record(call, name(call.op)); }
  Pending record(const CollectiveCall& call, std::string_view op) {
    const CollectivePlan plan = checked_plan(call, place_, options_.chunk_bytes);
    const CommCall entered{.op = op, .elements = plan.spec().elements, .dtype = dtype_of_call(call)};
    ledger_.leave(ledger_.enter(entered, sent_traffic(plan)));
    return {};
  }

  std::vector<int> world_ranks_;
  GroupPlace place_;
  SplitRule rule_;
  MessageOptions options_;
  CallLedger ledger_;
};

std::unique_ptr<Communicator> DryCommunicator::split(int color, int key, const std::string& name, GroupUse use) {
  if (!rule_) {
    throw Error(ErrorKind::internal, "split " + name + ": this dry communicator was made without a split rule");
  }
  std::vector<SplitChoice> choices;
  for (int world_rank : world_ranks_) choices.push_back(rule_(world_rank, name));
  const SplitChoice& own = choices[static_cast<size_t>(place_.rank)];
  if (own.color != color || own.key != key) {
    throw Error(ErrorKind::internal, "split " + name + ": colour " + std::to_string(color) + ", key " +
                                         std::to_string(key) + ", but the rule says " + std::to_string(own.color) +
                                         ", " + std::to_string(own.key));
  }
  // What the ranks of a real group tell each other: colour, key and a free group number.
  const View sent{{nullptr, DType::i64, Shape{3}}};
  const View received{{nullptr, DType::i64, Shape{3 * place_.size}}};
  record({.op = CollectiveOp::all_gather, .input = sent, .output = received}, "split");

  const std::vector<int> members = split_members(choices, place_.rank);
  std::vector<int> world_ranks;
  for (int member : members) world_ranks.push_back(world_ranks_[static_cast<size_t>(member)]);
  const DryGroup group{.rank = static_cast<int>(std::ranges::find(members, place_.rank) - members.begin()),
                       .size = static_cast<int>(members.size()),
                       .name = name,
                       .use = use};
  return std::make_unique<DryCommunicator>(std::move(world_ranks), group, rule_, options_);
}

}  // namespace

std::unique_ptr<Communicator> dry_communicator(const DryGroup& world, SplitRule rule, const MessageOptions& options) {
  if (world.size < 1 || world.rank < 0 || world.rank >= world.size) {
    throw Error(ErrorKind::internal,
                "rank " + std::to_string(world.rank) + " of a dry world of " + std::to_string(world.size));
  }
  std::vector<int> world_ranks(static_cast<size_t>(world.size));
  std::iota(world_ranks.begin(), world_ranks.end(), 0);
  return std::make_unique<DryCommunicator>(std::move(world_ranks), world, std::move(rule), options);
}

}  // namespace trireme::runtime
