// What one rank sends and receives in a collective, as pure functions: no threads, no MPI, no memory. A plan is a
// number of lanes (one per chunk of the message), each a short sequence of steps; lanes are independent of each other,
// the steps of a lane follow each other. Every rank of a group numbers the lanes alike. Steps are computed on demand,
// so that a plan of any size costs no memory. Rings: Patarasuk and Yuan, "Bandwidth optimal all-reduce", 2009; barrier:
// Hensgen, Finkel and Manber, dissemination, 1988. A short all_reduce is a binomial tree up to rank 0 and down again.
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme::runtime {

/// An all_reduce that would give a rank fewer elements than this is a short one: latency is all it costs. From here on
/// its parts have the bits of a reduce_scatter; parameters are padded so that parts of them are at least so long.
inline constexpr int64_t kShortPart = 64;

enum class CollectiveOp { all_reduce, reduce_scatter, all_gather, all_to_all, broadcast, barrier, send, recv };
std::string_view name(CollectiveOp op);

struct CollectiveSpec {
  CollectiveOp op = CollectiveOp::barrier;
  int rank = 0;
  int size = 1;
  int64_t elements = 0;  ///< of the buffer; of one rank's part n in reduce_scatter, all_gather and all_to_all
  int64_t dtype_bytes = 1;
  int64_t chunk_bytes = 1 << 20;
  int peer = 0;  ///< the root of a broadcast, the other side of a send or recv
};

/// Where the elements of a message lie. Staging belongs to the lane: what step s received there is what step s + 1
/// sends.
enum class Place { input, output, staging };

struct Message {
  int peer = -1;  ///< -1: no message
  Place place = Place::output;
  int64_t begin = 0;  ///< element of the place (0 in staging)
  int64_t elements = 0;

  bool exists() const { return peer >= 0; }
  bool operator==(const Message&) const = default;
};

/// Both messages of a step are in flight together; the next step starts when both are done.
struct Step {
  Message send;
  Message recv;
  bool reduce = false;       ///< what lands in recv's place is (received) op input[addend_begin, ...)
  int64_t addend_begin = 0;  ///< element of the input
};

/// Elements that move inside this rank before the first message.
struct LocalCopy {
  int64_t input_begin = 0;
  int64_t output_begin = 0;
  int64_t elements = 0;
};

class CollectivePlan {
 public:
  CollectivePlan() = default;
  explicit CollectivePlan(const CollectiveSpec& spec);

  const CollectiveSpec& spec() const { return spec_; }
  /// Equal on all ranks of the group. In a group of one only send and recv have any.
  int64_t lanes() const { return lanes_; }
  int steps_per_lane() const { return steps_per_lane_; }
  Step step(int64_t lane, int index) const;
  LocalCopy local_copy() const;
  /// The most that one message carries, hence the size of staging.
  int64_t chunk_elements() const { return chunk_elements_; }
  /// True for a short all_reduce in a tree, false for one in rings.
  bool is_tree() const { return is_tree_; }
  bool reduces() const { return spec_.op == CollectiveOp::all_reduce || spec_.op == CollectiveOp::reduce_scatter; }

 private:
  struct Range {
    int64_t begin = 0;
    int64_t elements = 0;
  };
  int ring(int offset) const;
  Range block(int index) const;
  Range chunk_of(const Range& range, int64_t lane) const;
  Step ring_reduce_scatter(int64_t lane, int index) const;
  Step ring_all_gather(int64_t lane, int index) const;
  Step exchange(int64_t lane) const;
  Step chain_broadcast(int64_t lane, int index) const;
  Step tree_reduce(int64_t lane, int index) const;
  Step tree_broadcast(int64_t lane, int index) const;
  Step dissemination(int index) const;
  Step one_way(int64_t lane) const;

  CollectiveSpec spec_;
  int64_t chunk_elements_ = 1;
  bool is_tree_ = false;  ///< of an all_reduce
  int64_t chunks_ = 0;    ///< of the longest block
  int64_t lanes_ = 0;
  int steps_per_lane_ = 0;
};

/// What the rank of a plan sends, in closed form: the cost does not grow with the plan.
struct Traffic {
  int64_t messages = 0;
  int64_t bytes = 0;
  bool operator==(const Traffic&) const = default;
};
Traffic sent_traffic(const CollectivePlan& plan);

}  // namespace trireme::runtime
