// The messages of ZeRO over units (unit_memory.h has the stages and the memory): when parameters are gathered and
// gradients reduced. Knows ranges and messages, no layers.
//   stage 0  gradients are summed once a step (all_reduce), while earlier layers still compute
//   stage 1  reduce_scatter of gradients once a step, all_gather of parameters after the update, for each unit waited
//            for before it is read again
//   stage 2  gradients of a rotating unit are reduced into the owned range after every microbatch
//   stage 3  and its parameters are gathered around each forward and backward
// With lanes (lane_sums.h) ranks exchange gradients once a step at every stage, by all_to_all, and add them themselves.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/unit_memory.h"
#include "runtime/communicator.h"
#include "runtime/stream.h"

namespace trireme::parallel {

/// The messages about units of one step. All ranks of dp (and of tp) call the same functions in the same order. In a
/// group of one nothing is sent.
class UnitShards {
 public:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  /// The memories' views (of place_units with these options), the groups and the stream must outlive this.
  UnitShards(const std::vector<UnitSpec>& specs, const std::vector<UnitMemory>& units, const UnitMemoryOptions& options,
             runtime::Stream& stream, MeshGroups& groups);

  /// With lanes: a step of so many sequences of this rank begins, each of them a microbatch. Throws Error(usage) with
  /// both numbers where they are no multiple of its lanes.
  void begin_step(int64_t sequences);

  /// From here on parameters of `unit` may be read; at stage 3 those of a rotating unit until the next read(). `next`:
  /// the unit that will be read after it, whose parameters may start to arrive; kNone: not known. Each gather at stage
  /// 3 sends (dp-1)/dp * |parameters| bytes per rank, unless the buffer still holds the unit.
  void read(size_t unit, size_t next = kNone);

  /// From here on gradients of `unit` may be added to; between begin and end those of no other rotating unit. May be
  /// called several times a microbatch, each time with an end_gradients(); with lanes once.
  void begin_gradients(size_t unit);
  /// What was added since begin_gradients() is complete; with `last` that of the whole step, which is then on its way.
  /// Sends per rank, with `last` alone except for rotating units at stages 2 and 3: 2(dp-1)/dp * |gradients| bytes at
  /// stage 0 (with lanes half of them in finish_gradients()), else half of that; and 2(tp-1)/tp * |partial_over_tp|.
  void end_gradients(size_t unit, bool last);
  /// Waits for all messages that are in flight: gradient parts are complete, and all parts may be written. Foreign
  /// parts of gradients are zero again.
  void finish_gradients();

  /// Owned parts have been written (initialised, loaded, updated): the others' are asked for again, and read() waits
  /// for them. Sends (dp-1)/dp * |parameters| bytes per rank for each unit whose parameters stay whole.
  void parameters_changed();

  /// The buffers that units pass through at stage 3 hold none any more, as when layers that are not here had passed
  /// through them: for plans of a part of a rank.
  void forget_passing();

 private:
  struct Unit {
    UnitMemory memory;
    int64_t partial_over_tp = 0;
    int stage = 0;           ///< of its parameters
    int gradient_stage = 0;  ///< of its gradients
    size_t buffer = 0;
    int64_t sequences = 0;       ///< of this step, with lanes: whose gradients are complete
    runtime::Pending gather;     ///< of parameters that stay whole
    runtime::Pending reduction;  ///< of gradients that stay whole
  };
  /// A buffer that rotating units pass through: the one whose parameters it holds or awaits, or whose gradients are on
  /// their way.
  struct Passing {
    size_t unit = kNone;
    runtime::Pending pending;
  };

  void gather_into_buffer(size_t unit);
  void start_reduction(size_t unit);
  void reduce_what_waits();
  void empty_gradient_buffer(size_t buffer);
  void end_sequence(Unit& unit);
  void add_lanes();

  std::vector<Unit> units_;
  int lanes_ = 0;  ///< of this rank; 0: none
  int64_t sequences_of_lane_ = 0;
  std::array<Passing, 2> parameter_buffers_;
  std::array<Passing, 2> gradient_buffers_;
  /// The sum over tp of one unit's leading gradients runs while the next unit computes; its reduction over dp follows.
  Passing partial_sum_;
  runtime::Stream& stream_;
  MeshGroups& groups_;
};

}  // namespace trireme::parallel
