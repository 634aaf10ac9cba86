#include "parallel/pipeline.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

using runtime::Communicator;
using runtime::Error;
using runtime::ErrorKind;
using runtime::Pending;
using runtime::View;

constexpr size_t kNone = static_cast<size_t>(-1);

/// A stage of a pipeline: which of its chunks have a neighbour.
struct StagePlace {
  int stage = 0;
  int stages = 1;
  int chunks = 1;

  bool has_chunk_before(int chunk) const { return stage > 0 || chunk > 0; }
  bool has_chunk_behind(int chunk) const { return stage < stages - 1 || chunk < chunks - 1; }
  /// The first stage follows the last one, with the next chunk.
  int stage_before() const { return (stage + stages - 1) % stages; }
  int stage_behind() const { return (stage + 1) % stages; }
};

bool is_backward(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_input;
}

bool ends_passage(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight;
}

void check(const StagePlace& at) {
  if (at.stages > 1 || at.chunks == 1) return;
  throw Error(ErrorKind::usage, "--virtual-stages " + std::to_string(at.chunks) +
                                    " takes --pipeline-parallel 2 or more, not 1: nothing would be cut");
}

/// Messages that a stage receives.
struct MessageCounts {
  int inputs = 0;
  int gradients = 0;
};

MessageCounts received_messages(const StagePlace& at, std::span<const Action> actions) {
  MessageCounts counts;
  for (const Action& action : actions) {
    if (action.kind == ActionKind::forward && at.has_chunk_before(action.chunk)) ++counts.inputs;
    if (is_backward(action) && at.has_chunk_behind(action.chunk)) ++counts.gradients;
  }
  return counts;
}

/// The buffers of one direction and what arrives in them: one receive is in flight while there are any left. Messages
/// come in the order of the actions that need them, so that any free buffer will do.
class Inbox {
 public:
  Inbox(Communicator& group, int peer, std::span<View> buffers, int messages)
      : group_(group), peer_(peer), buffers_(buffers), messages_left_(messages) {
    for (size_t buffer = buffers.size(); buffer-- > 0;) free_.push_back(buffer);
    post_ahead();
  }

  /// Waits for the next message and asks for the one behind it; the buffer is the caller's until give_back().
  size_t take() {
    pending_.wait();
    const size_t arrived = arriving_;
    post_ahead();
    return arrived;
  }
  /// A buffer without a message.
  size_t take_empty() {
    if (free_.empty()) throw Error(ErrorKind::internal, "a pipeline has fewer buffers than buffer_counts() said");
    const size_t buffer = free_.back();
    free_.pop_back();
    return buffer;
  }
  void give_back(size_t buffer) { free_.push_back(buffer); }

  const View& operator[](size_t buffer) const { return buffers_[buffer]; }

 private:
  void post_ahead() {
    if (messages_left_ == 0) return;
    --messages_left_;
    arriving_ = take_empty();
    pending_ = group_.recv(buffers_[arriving_], peer_);
  }

  Communicator& group_;
  int peer_;
  std::span<View> buffers_;
  std::vector<size_t> free_;
  int messages_left_;
  size_t arriving_ = kNone;
  Pending pending_;
};

/// The messages around the actions of one stage.
class StageRun {
 public:
  /// `microbatches` in flight at most.
  StageRun(const StagePlace& at, int microbatches, const MessageCounts& messages, PipelineStage& stage,
           MeshGroups& groups, PipelineBuffers& buffers)
      : at_(at),
        microbatches_(microbatches),
        stage_(stage),
        groups_(groups),
        passages_(static_cast<size_t>(at.chunks) * static_cast<size_t>(microbatches)),
        inputs_(*groups.pp_forward, at.stage_before(), buffers.inputs, messages.inputs),
        gradients_(*groups.pp_backward, at.stage_behind(), buffers.gradients, messages.gradients) {}

  void run(const Action& action) {
    if (action.kind == ActionKind::forward) forward(action);
    if (is_backward(action)) backward(action);
    if (action.kind == ActionKind::backward_weight) stage_.backward_weight(action.chunk, action.microbatch);
    if (ends_passage(action)) release(action);
  }

  void forward(const Action& action) {
    Passage& passage = passage_of(action);
    View input;
    if (at_.has_chunk_before(action.chunk)) {
      passage.input = inputs_.take();
      input = inputs_[passage.input];
    }
    const View output = stage_.forward(action.chunk, action.microbatch, input);
    if (at_.has_chunk_behind(action.chunk)) passage.sent = groups_.pp_forward->send(output, at_.stage_behind());
  }

  void release(const Action& action) {
    Passage& passage = passage_of(action);
    passage.sent.wait();  // the output lies in what is released
    stage_.release(action.chunk, action.microbatch);
    if (passage.input != kNone) inputs_.give_back(std::exchange(passage.input, kNone));
  }

  void finish() { finish_gradient(); }

 private:
  /// One microbatch in one chunk.
  struct Passage {
    Pending sent;
    size_t input = kNone;
  };

  Passage& passage_of(const Action& action) {
    const int index = action.chunk * microbatches_ + action.microbatch % microbatches_;
    return passages_[static_cast<size_t>(index)];
  }

  void backward(const Action& action) {
    const size_t d = at_.has_chunk_behind(action.chunk) ? gradients_.take() : gradients_.take_empty();
    if (action.kind == ActionKind::backward) {
      stage_.backward(action.chunk, action.microbatch, gradients_[d]);
    } else {
      stage_.backward_input(action.chunk, action.microbatch, gradients_[d]);
    }
    if (!at_.has_chunk_before(action.chunk)) {
      gradients_.give_back(d);
      return;
    }
    finish_gradient();
    gradient_on_its_way_ = d;
    gradient_sent_ = groups_.pp_backward->send(gradients_[d], at_.stage_before());
  }

  void finish_gradient() {
    gradient_sent_.wait();
    if (gradient_on_its_way_ != kNone) gradients_.give_back(std::exchange(gradient_on_its_way_, kNone));
  }

  StagePlace at_;
  int microbatches_;
  PipelineStage& stage_;
  MeshGroups& groups_;
  std::vector<Passage> passages_;
  Inbox inputs_;
  Inbox gradients_;
  size_t gradient_on_its_way_ = kNone;
  Pending gradient_sent_;
};

}  // namespace

BufferCounts buffer_counts(const ScheduleSpec& spec, int stage, const std::vector<Action>& actions) {
  const StagePlace at{.stage = stage, .stages = spec.stages, .chunks = spec.chunks};
  check(at);
  int receiving_chunks = 0;
  for (int chunk = 0; chunk < at.chunks; ++chunk) receiving_chunks += at.has_chunk_before(chunk) ? 1 : 0;
  BufferCounts counts{.inputs = std::min(receiving_chunks, 2), .gradients = 0};  // of run_pipeline_forward()

  int inputs_left = received_messages(at, actions).inputs;
  int inputs_in_use = 0;
  int backwards = 0;
  bool sends_gradients = false;
  bool receives_gradients = false;
  for (const Action& action : actions) {
    const bool has_input = at.has_chunk_before(action.chunk);
    if (action.kind == ActionKind::forward && has_input) {
      ++inputs_in_use;
      --inputs_left;
      counts.inputs = std::max(counts.inputs, inputs_in_use + std::min(inputs_left, 1));
    }
    if (ends_passage(action) && has_input) --inputs_in_use;
    if (!is_backward(action)) continue;
    ++backwards;
    sends_gradients = sends_gradients || has_input;
    receives_gradients = receives_gradients || at.has_chunk_behind(action.chunk);
  }
  counts.gradients = std::min(backwards, 1 + (sends_gradients ? 1 : 0) + (receives_gradients ? 1 : 0));
  return counts;
}

void run_pipeline(const ScheduleSpec& spec, std::span<const Action> actions, PipelineStage& stage, MeshGroups& groups,
                  PipelineBuffers& buffers) {
  const StagePlace at{.stage = groups.at.pp, .stages = groups.mesh.pp, .chunks = spec.chunks};
  check(at);
  if (spec.stages != at.stages) {
    throw Error(ErrorKind::internal, "a schedule of " + std::to_string(spec.stages) + " stages, but the mesh has " +
                                         std::to_string(at.stages));
  }
  StageRun run(at, spec.microbatches, received_messages(at, actions), stage, groups, buffers);
  for (const Action& action : actions) run.run(action);
  run.finish();
}

void run_pipeline_forward(int chunks, int microbatch, PipelineStage& stage, MeshGroups& groups,
                          PipelineBuffers& buffers) {
  const StagePlace at{.stage = groups.at.pp, .stages = groups.mesh.pp, .chunks = chunks};
  check(at);
  MessageCounts messages;
  for (int chunk = 0; chunk < chunks; ++chunk) messages.inputs += at.has_chunk_before(chunk) ? 1 : 0;
  StageRun run(at, 1, messages, stage, groups, buffers);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const Action action{.kind = ActionKind::forward, .chunk = chunk, .microbatch = microbatch};
    run.forward(action);
    run.release(action);
  }
}

}  // namespace trireme::parallel
