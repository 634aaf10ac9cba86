// A communicator that sends nothing: it checks every call, plans it, adds up calls, messages and bytes, and is done at
// once. It stands for one rank of a group of any size. Headers that real communicators exchange are not counted by
// either.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/communicator.h"
#include "runtime/host_communicator.h"
#include "runtime/message_engine.h"

namespace trireme::runtime {

/// What every other rank of the world would say in split(.., name): colour and key of a world rank. In a mesh both are
/// arithmetic on the rank, so a dry group comes out as the real one does, and may be split again.
using SplitRule = std::function<SplitChoice(int world_rank, const std::string& name)>;

struct DryGroup {
  int rank = 0;
  int size = 1;
  std::string name = "world";
  GroupUse use = GroupUse::sums;
};

/// Rank `world.rank` of a world. split() throws Error(internal) without a rule, or when the caller's own colour and key
/// are not the rule's. With the rule absent, a group whose place is known can be made directly, as a world of its own.
std::unique_ptr<Communicator> dry_communicator(const DryGroup& world, SplitRule rule = nullptr,
                                               const MessageOptions& options = {});

}  // namespace trireme::runtime
