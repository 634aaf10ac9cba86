#include "checkpoint/agreement.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "runtime/local_ranks.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

std::optional<Failure> of_one(const std::function<void()>& part) {
  return try_together(*runtime::solo_communicator(), part);
}

TEST(Agreement, EveryKindComesThroughAndIsThrownAgain) {
  EXPECT_FALSE(of_one([] {}));
  EXPECT_FALSE(of_one({}));
  for (ErrorKind kind : {ErrorKind::usage, ErrorKind::data, ErrorKind::version, ErrorKind::io, ErrorKind::peer,
                         ErrorKind::mismatch, ErrorKind::device, ErrorKind::internal}) {
    const std::optional<Failure> failure = of_one([&] { throw Error(kind, "the reason"); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, kind);
    EXPECT_EQ(failure->reason, "the reason");
    try {
      rethrow(*failure, *runtime::solo_communicator(), "not done: ");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      EXPECT_STREQ(error.what(), "not done: the reason");
    }
  }
}

TEST(Agreement, OtherExceptionsHaveKindsToo) {
  EXPECT_EQ(of_one([] { throw std::bad_alloc(); })->kind, ErrorKind::device);
  EXPECT_EQ(of_one([] { throw std::logic_error(""); })->kind, ErrorKind::internal);
}

// Damage on one rank must not hide that another could not tell.
TEST(Agreement, DamageCountsLeastAndAllRanksHearTheSame) {
  runtime::run_local_ranks(4, [](runtime::Communicator& communicator) {
    const auto with = [&](ErrorKind of_rank_1, ErrorKind of_rank_3) {
      return *try_together(communicator, [&] {
        if (communicator.rank() == 1) throw Error(of_rank_1, "one");
        if (communicator.rank() == 3) throw Error(of_rank_3, "three");
      });
    };
    EXPECT_EQ(describe(with(ErrorKind::data, ErrorKind::data), communicator), "rank 1: one");
    EXPECT_EQ(describe(with(ErrorKind::data, ErrorKind::io), communicator), "rank 3: three");
    EXPECT_EQ(describe(with(ErrorKind::version, ErrorKind::io), communicator), "rank 1: one");
    EXPECT_EQ(with(ErrorKind::data, ErrorKind::version).kind, ErrorKind::version);
  });
}

}  // namespace
}  // namespace trireme::checkpoint
