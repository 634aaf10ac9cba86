// Pipeline schedules as pure functions: what each stage does in which order. A pipeline has `stages` ranks; each holds
// `chunks` chunks of layers, of which number c * stages + s is chunk c of stage s: a microbatch passes all stages,
// then all once more. Knows neither layers nor messages.
#pragma once

#include <string_view>
#include <vector>

namespace trireme::parallel {

// With tf, tb, tw the times of a chunk's forward, backward_input and backward_weight, p stages, v chunks, m
// microbatches, the time beyond the m v (tf + tb + tw) of work, and what stage s holds at most (see peak_in_flight()):
//   gpipe        (p - 1)(tf + tb + tw), and (v - 1)(p - r) times as much again where r = m mod p is not 0;
//                m of each chunk
//   1f1b         (p - 1)(tf + tb + tw); min(m, p - s)
//   interleaved  (p - 1)(tf + tb + tw); min(m v, 2(p - s - 1) + (v - 1)p + 1) over all its chunks
//   zb_h1        (p - 1) max(tf + tb - tw, tf, tb), for p <= m; min(m, p) on every stage
enum class ScheduleKind {
  gpipe,        ///< all forwards, then all backwards (Huang et al. 2019, arXiv:1811.06965): the oracle
  one_f_one_b,  ///< 1F1B (Narayanan et al. 2019, PipeDream); with chunks > 1 interleaved (arXiv:2104.04473)
  /// Zero bubble with the memory of 1F1B's first stage (Qi et al. 2024, arXiv:2401.10241): stage s does the
  /// backward_weight of a microbatch after the backward_input of the s-th one behind it, so that backward_input goes
  /// up the pipeline without waiting, and what is left fills the time in which the last ones come back.
  zb_h1,
};

/// "gpipe", "1f1b", "zb-h1"
std::string_view name(ScheduleKind kind);

struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::one_f_one_b;
  int stages = 1;
  int chunks = 1;  ///< of a stage
  int microbatches = 1;
};

enum class ActionKind {
  forward,
  backward,         ///< both parts in one
  backward_input,   ///< the gradient of the input
  backward_weight,  ///< the gradients of the weights, after backward_input of the same microbatch
};

struct Action {
  ActionKind kind = ActionKind::forward;
  int chunk = 0;
  int microbatch = 0;
  bool operator==(const Action&) const = default;
};

/// The actions of `stage` in order: one forward and either one backward or, in zb_h1, one backward_input and one
/// backward_weight of each (chunk, microbatch). Within a chunk, forwards, backwards and backward_weights each follow
/// the order of the microbatches' numbers. Several chunks are passed in groups of `stages` microbatches, in gpipe too:
/// a whole batch of gradients on its way to the next chunk would need as many buffers. Throws Error(usage) with both
/// numbers when interleaving is asked for and stages do not divide microbatches, or zb_h1 for several chunks.
std::vector<Action> make_schedule(const ScheduleSpec& spec, int stage);

/// The most microbatches of `chunk` between the start of their forward and the end of their last backward part.
int peak_in_flight(const std::vector<Action>& actions, int chunk);

}  // namespace trireme::parallel
