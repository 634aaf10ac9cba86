#include "runtime/collective_plan.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace trireme::runtime {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int ceil_log2(int size) {
  return std::bit_width(static_cast<unsigned>(size - 1));
}

Message message(int peer, Place place, int64_t begin, int64_t elements) {
  if (elements == 0) return {};  // both sides know the size, so an empty message is none
  return {peer, place, place == Place::staging ? 0 : begin, elements};
}

}  // namespace

std::string_view name(CollectiveOp op) {
  switch (op) {
    case CollectiveOp::all_reduce:
      return "all_reduce";
    case CollectiveOp::reduce_scatter:
      return "reduce_scatter";
    case CollectiveOp::all_gather:
      return "all_gather";
    case CollectiveOp::all_to_all:
      return "all_to_all";
    case CollectiveOp::broadcast:
      return "broadcast";
    case CollectiveOp::barrier:
      return "barrier";
    case CollectiveOp::send:
      return "send";
    case CollectiveOp::recv:
      return "recv";
  }
  return "";
}

CollectivePlan::CollectivePlan(const CollectiveSpec& spec) : spec_(spec) {
  assert(spec.size > 0 && spec.rank >= 0 && spec.rank < spec.size && spec.elements >= 0);
  const int P = spec.size;
  is_tree_ = spec.op == CollectiveOp::all_reduce && divide_up(spec.elements, P) < kShortPart;
  if (is_tree_) spec_.peer = 0;  // the root on the way down
  const bool in_blocks = spec.op == CollectiveOp::all_reduce && !is_tree_;
  const int64_t longest = in_blocks ? divide_up(spec.elements, P) : spec.elements;
  chunk_elements_ = std::clamp<int64_t>(spec.chunk_bytes / spec.dtype_bytes, 1, std::max<int64_t>(longest, 1));
  chunks_ = divide_up(longest, chunk_elements_);
  lanes_ = chunks_;
  switch (spec.op) {
    case CollectiveOp::all_reduce:
      steps_per_lane_ = is_tree_ ? 1 + 2 * ceil_log2(P) : 2 * (P - 1);
      break;
    case CollectiveOp::reduce_scatter:
    case CollectiveOp::all_gather:
      steps_per_lane_ = P - 1;
      break;
    case CollectiveOp::all_to_all:
      lanes_ = chunks_ * (P - 1);
      steps_per_lane_ = 1;
      break;
    case CollectiveOp::broadcast:
      steps_per_lane_ = chunks_ > 1 ? 2 : 1 + ceil_log2(P);
      break;
    case CollectiveOp::barrier:
      lanes_ = 1;
      steps_per_lane_ = ceil_log2(P);
      break;
    case CollectiveOp::send:
    case CollectiveOp::recv:
      steps_per_lane_ = 1;
      return;
  }
  if (P == 1) lanes_ = 0;
}

Step CollectivePlan::step(int64_t lane, int index) const {
  assert(lane >= 0 && lane < lanes_ && index >= 0 && index < steps_per_lane_);
  switch (spec_.op) {
    case CollectiveOp::all_reduce:
      if (is_tree_) {
        const int up = ceil_log2(spec_.size);
        return index < up ? tree_reduce(lane, index) : tree_broadcast(lane, index - up);
      }
      return index < spec_.size - 1 ? ring_reduce_scatter(lane, index)
                                    : ring_all_gather(lane, index - (spec_.size - 1));
    case CollectiveOp::reduce_scatter:
      return ring_reduce_scatter(lane, index);
    case CollectiveOp::all_gather:
      return ring_all_gather(lane, index);
    case CollectiveOp::all_to_all:
      return exchange(lane);
    case CollectiveOp::broadcast:
      return chunks_ > 1 ? chain_broadcast(lane, index) : tree_broadcast(lane, index);
    case CollectiveOp::barrier:
      return dissemination(index);
    case CollectiveOp::send:
    case CollectiveOp::recv:
      return one_way(lane);
  }
  return {};
}

LocalCopy CollectivePlan::local_copy() const {
  const int64_t own = spec_.rank * spec_.elements;
  switch (spec_.op) {
    case CollectiveOp::all_gather:
      return {.input_begin = 0, .output_begin = own, .elements = spec_.elements};
    case CollectiveOp::all_to_all:
      return {.input_begin = own, .output_begin = own, .elements = spec_.elements};
    case CollectiveOp::reduce_scatter:
      return {.input_begin = 0, .output_begin = 0, .elements = spec_.size == 1 ? spec_.elements : 0};
    default:
      return {};
  }
}

/// The rank `offset` places after this one.
int CollectivePlan::ring(int offset) const {
  const int P = spec_.size;
  return ((spec_.rank + offset) % P + P) % P;
}

/// The elements that rank `index` owns. In an all_reduce of P * n elements in rings these are the parts of a
/// reduce_scatter, so that both give the same bits.
CollectivePlan::Range CollectivePlan::block(int index) const {
  if (spec_.op != CollectiveOp::all_reduce) return {index * spec_.elements, spec_.elements};
  const int64_t begin = spec_.elements * index / spec_.size;
  return {begin, spec_.elements * (index + 1) / spec_.size - begin};
}

CollectivePlan::Range CollectivePlan::chunk_of(const Range& range, int64_t lane) const {
  const int64_t begin = std::min(lane * chunk_elements_, range.elements);
  return {range.begin + begin, std::min(chunk_elements_, range.elements - begin)};
}

/// Block b starts at rank b + 1 and is added to on its way round to rank b: the order of the sum depends on (P, b)
/// only.
Step CollectivePlan::ring_reduce_scatter(int64_t lane, int index) const {
  const bool in_place = spec_.op == CollectiveOp::all_reduce;
  const bool last = index == spec_.size - 2;
  const Range sent = chunk_of(block(ring(-1 - index)), lane);
  const Range received = chunk_of(block(ring(-2 - index)), lane);
  Step step;
  const Place from = in_place ? Place::output : (index == 0 ? Place::input : Place::staging);
  step.send = message(ring(1), from, sent.begin, sent.elements);
  if (in_place) {
    step.recv = message(ring(-1), Place::output, received.begin, received.elements);
  } else {
    const int64_t output_begin = received.begin - block(spec_.rank).begin;
    step.recv = message(ring(-1), last ? Place::output : Place::staging, output_begin, received.elements);
  }
  step.reduce = step.recv.exists();
  step.addend_begin = received.begin;
  return step;
}

Step CollectivePlan::ring_all_gather(int64_t lane, int index) const {
  const Range sent = chunk_of(block(ring(-index)), lane);
  const Range received = chunk_of(block(ring(-1 - index)), lane);
  Step step;
  step.send = message(ring(1), Place::output, sent.begin, sent.elements);
  step.recv = message(ring(-1), Place::output, received.begin, received.elements);
  return step;
}

/// all_to_all: in the lanes of distance d, rank r sends to r + d and receives from r - d.
Step CollectivePlan::exchange(int64_t lane) const {
  const int distance = 1 + static_cast<int>(lane / chunks_);
  const int to = ring(distance);
  const int from = ring(-distance);
  const Range sent = chunk_of(block(to), lane % chunks_);
  const Range received = chunk_of(block(from), lane % chunks_);
  Step step;
  step.send = message(to, Place::input, sent.begin, sent.elements);
  step.recv = message(from, Place::output, received.begin, received.elements);
  return step;
}

/// Long messages: from rank to rank, chunk by chunk; every rank but the last sends the buffer once.
Step CollectivePlan::chain_broadcast(int64_t lane, int index) const {
  const int P = spec_.size;
  const int place_in_chain = (spec_.rank - spec_.peer + P) % P;
  const Range chunk = chunk_of({0, spec_.elements}, lane);
  Step step;
  if (index == 0 && place_in_chain > 0) step.recv = message(ring(-1), Place::output, chunk.begin, chunk.elements);
  if (index == 1 && place_in_chain < P - 1) step.send = message(ring(1), Place::output, chunk.begin, chunk.elements);
  return step;
}

/// Rank v adds what v + 2^k sends for each 2^k below its lowest set bit, the lowest first, then sends its sum to v
/// without that bit: the order of the sum at rank 0 depends on P only.
Step CollectivePlan::tree_reduce(int64_t lane, int index) const {
  const int v = spec_.rank;
  const int distance = 1 << index;
  const Range chunk = chunk_of({0, spec_.elements}, lane);
  Step step;
  if (v % distance != 0) return step;
  if (v / distance % 2 == 1) {
    step.send = message(ring(-distance), Place::output, chunk.begin, chunk.elements);
  } else if (v + distance < spec_.size) {
    step.recv = message(ring(distance), Place::output, chunk.begin, chunk.elements);
    step.reduce = step.recv.exists();
    step.addend_begin = chunk.begin;
  }
  return step;
}

/// Short messages: a binomial tree. Rank v (counted from the root) receives from v without its lowest set bit and then
/// sends to v + 2^k for each 2^k below that bit, the highest first.
Step CollectivePlan::tree_broadcast(int64_t lane, int index) const {
  const int P = spec_.size;
  const Range chunk = chunk_of({0, spec_.elements}, lane);
  const int v = (spec_.rank - spec_.peer + P) % P;
  const int lowest_bit = v == 0 ? 1 << ceil_log2(P) : v & -v;
  Step step;
  if (index == 0) {
    if (v > 0) step.recv = message(ring(-lowest_bit), Place::output, chunk.begin, chunk.elements);
    return step;
  }
  const int distance = 1 << (ceil_log2(P) - index);
  if (distance < lowest_bit && v + distance < P) {
    step.send = message(ring(distance), Place::output, chunk.begin, chunk.elements);
  }
  return step;
}

/// In step k each rank tells the one 2^k after it that it, and all it has heard of, have arrived.
Step CollectivePlan::dissemination(int index) const {
  Step step;
  step.send.peer = ring(1 << index);
  step.recv.peer = ring(-(1 << index));
  return step;
}

Step CollectivePlan::one_way(int64_t lane) const {
  const Range chunk = chunk_of({0, spec_.elements}, lane);
  Step step;
  if (spec_.op == CollectiveOp::send) {
    step.send = message(spec_.peer, Place::input, chunk.begin, chunk.elements);
  } else {
    step.recv = message(spec_.peer, Place::output, chunk.begin, chunk.elements);
  }
  return step;
}

namespace {

/// Messages that carry a block of so many elements.
int64_t messages_of(const CollectivePlan& plan, int64_t elements) {
  return divide_up(elements, plan.chunk_elements());
}

/// The elements of block `index` of an all_reduce.
int64_t block_elements(const CollectiveSpec& spec, int index) {
  return spec.elements * (index + 1) / spec.size - spec.elements * index / spec.size;
}

/// Each of the two rings sends every block but one: the own one, then the next rank's. elements % P blocks are longer
/// by one than the rest.
Traffic ring_all_reduce_traffic(const CollectivePlan& plan) {
  const CollectiveSpec& spec = plan.spec();
  const int64_t P = spec.size;
  const int64_t shorter = spec.elements / P;
  const int64_t all_blocks =
      spec.elements % P * messages_of(plan, shorter + 1) + (P - spec.elements % P) * messages_of(plan, shorter);
  const int64_t own = block_elements(spec, spec.rank);
  const int64_t next = block_elements(spec, (spec.rank + 1) % spec.size);
  return {.messages = 2 * all_blocks - messages_of(plan, own) - messages_of(plan, next),
          .bytes = (2 * spec.elements - own - next) * spec.dtype_bytes};
}

/// Below rank v of the tree: each v + 2^k < P with 2^k below the lowest bit of v.
int tree_receivers(int v, int P) {
  const int below = v == 0 ? ceil_log2(P) : std::countr_zero(static_cast<unsigned>(v));
  return std::min<int>(below, std::bit_width(static_cast<unsigned>(P - 1 - v)));
}

Traffic broadcast_traffic(const CollectivePlan& plan) {
  const CollectiveSpec& spec = plan.spec();
  const int P = spec.size;
  const int v = (spec.rank - spec.peer + P) % P;  // counted from the root
  const int64_t of_chain = v < P - 1 ? 1 : 0;
  const int64_t receivers = messages_of(plan, spec.elements) <= 1 ? tree_receivers(v, P) : of_chain;
  return {.messages = receivers * messages_of(plan, spec.elements),
          .bytes = receivers * spec.elements * spec.dtype_bytes};
}

/// All ranks but 0 send up once.
Traffic tree_all_reduce_traffic(const CollectivePlan& plan) {
  const CollectiveSpec& spec = plan.spec();
  const int64_t sends = tree_receivers(spec.rank, spec.size) + (spec.rank > 0 ? 1 : 0);
  return {.messages = sends * messages_of(plan, spec.elements), .bytes = sends * spec.elements * spec.dtype_bytes};
}

}  // namespace

Traffic sent_traffic(const CollectivePlan& plan) {
  const CollectiveSpec& spec = plan.spec();
  const int64_t others = spec.size - 1;
  const int64_t messages = messages_of(plan, spec.elements);
  const int64_t bytes = spec.elements * spec.dtype_bytes;
  switch (spec.op) {
    case CollectiveOp::all_reduce:
      return plan.is_tree() ? tree_all_reduce_traffic(plan) : ring_all_reduce_traffic(plan);
    case CollectiveOp::reduce_scatter:
    case CollectiveOp::all_gather:
    case CollectiveOp::all_to_all:
      return {.messages = others * messages, .bytes = others * bytes};
    case CollectiveOp::broadcast:
      return broadcast_traffic(plan);
    case CollectiveOp::barrier:
      return {.messages = ceil_log2(spec.size), .bytes = 0};
    case CollectiveOp::send:
      return {.messages = messages, .bytes = bytes};
    case CollectiveOp::recv:
      return {};
  }
  return {};
}

}  // namespace trireme::runtime
