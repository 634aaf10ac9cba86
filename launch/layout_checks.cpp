#include "launch/layout_checks.h"

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "launch/number_text.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

std::string number(int64_t value) {
  return std::to_string(value);
}

[[noreturn]] void usage(const std::string& message) {
  throw runtime::Error(runtime::ErrorKind::usage, message);
}

std::string tensor_text(int64_t tp) {
  return "--tensor-parallel " + number(tp);
}

std::string stages_text(int64_t pp) {
  return "--pipeline-parallel " + number(pp);
}

bool divides_model(int64_t tp, const model::ModelConfig& model, int64_t T) {
  return model.heads % tp == 0 && model.kv_heads % tp == 0 && model.feed_forward_width % tp == 0 && T % tp == 0;
}

/// Whether `factor` can be an axis beside one of `other`. One rank says nothing: whoever tries options alone has not
/// chosen the ranks yet; nor do ranks that `other` does not divide.
bool suits_ranks(int64_t factor, int64_t other, int64_t ranks) {
  return ranks == 1 || ranks % other != 0 || ranks % (factor * other) == 0;
}

bool has_layers(int64_t pp, const TrainOptions& options, const model::ModelConfig& model) {
  return pp * options.virtual_stages <= model.layers && (pp > 1 || options.virtual_stages == 1);
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

/// The nearest multiple of `factor`, the larger of two, `factor` at least.
int64_t nearest_multiple(int64_t value, int64_t factor) {
  return std::max(factor, (value + factor / 2) / factor * factor);
}

/// "3 ranks", or where other axes have ranks too "3 data-parallel ranks".
std::string data_ranks_text(const parallel::Mesh& mesh) {
  return mesh.tp * mesh.pp == 1 ? counted(mesh.dp, "rank") : counted(mesh.dp, "data-parallel rank");
}

}  // namespace

int64_t nearest_that(int64_t wanted, int64_t least, int64_t most, const std::function<bool(int64_t)>& fits) {
  const int64_t farthest = std::max(wanted - least, most - wanted);
  for (int64_t distance = 0; distance <= farthest; ++distance) {
    for (const int64_t candidate : {wanted - distance, wanted + distance}) {
      if (candidate >= least && candidate <= most && fits(candidate)) return candidate;
    }
  }
  return 0;
}

void check_tensor_parallel(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int64_t ranks) {
  const int64_t tp = options.tensor_parallel;
  if (divides_model(tp, model, T)) return;
  std::string what;
  if (model.heads % tp != 0 || model.kv_heads % tp != 0) {
    what = "the model's " + counted(model.heads, "head") + " and " + counted(model.kv_heads, "K/V head");
  } else if (model.feed_forward_width % tp != 0) {
    what = "the model's feed-forward width " + number(model.feed_forward_width);
  } else {
    what = "the sequence length " + number(T);
  }
  const int64_t nearest = nearest_that(tp, 1, model.heads, [&](int64_t candidate) {
    return divides_model(candidate, model, T) && suits_ranks(candidate, options.pipeline_parallel, ranks);
  });
  usage(tensor_text(tp) + " does not divide " + what + "; the nearest that fits is " + number(nearest));
}

void check_stages(const TrainOptions& options, const model::ModelConfig& model, int64_t ranks) {
  const int64_t pp = options.pipeline_parallel;
  const int64_t chunks = options.virtual_stages;
  const int64_t L = model.layers;
  if (pp * chunks <= L) return;
  const std::string asked =
      stages_text(pp) + (chunks > 1 ? " x --virtual-stages " + number(chunks) + " = " + number(pp * chunks) : "");
  const int64_t nearest_chunks = chunks > 1 ? L / pp : 0;
  const int64_t nearest_pp = nearest_that(pp, 1, L, [&](int64_t candidate) {
    return has_layers(candidate, options, model) && suits_ranks(candidate, options.tensor_parallel, ranks);
  });
  std::vector<std::string> mends;
  if (nearest_chunks > 0) mends.push_back("--virtual-stages " + number(nearest_chunks));
  if (nearest_pp > 0) mends.push_back(stages_text(nearest_pp));
  if (mends.empty()) mends.emplace_back("--virtual-stages 1 and " + stages_text(L));
  usage(asked + " is more than the model's " + counted(L, "layer") + "; the nearest that fits is " +
        joined(mends, " or "));
}

parallel::Mesh check_ranks(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int64_t ranks) {
  const int64_t tp = options.tensor_parallel;
  const int64_t pp = options.pipeline_parallel;
  const int64_t needed = tp * pp;
  if (ranks % needed == 0) {
    return {.tp = static_cast<int>(tp), .dp = static_cast<int>(ranks / needed), .pp = static_cast<int>(pp)};
  }
  std::vector<std::string> axes;
  if (tp > 1) axes.push_back(tensor_text(tp));
  if (pp > 1) axes.push_back(stages_text(pp));
  std::vector<std::string> starts;
  if (ranks > needed) starts.push_back(number(ranks / needed * needed));
  starts.push_back(number((ranks / needed + 1) * needed));
  std::vector<std::string> mends{"start " + joined(starts, " or ")};
  const int64_t nearest_tp = nearest_that(tp, 1, ranks, [&](int64_t candidate) {
    return divides_model(candidate, model, T) && ranks % (candidate * pp) == 0;
  });
  const int64_t nearest_pp = nearest_that(pp, 1, ranks, [&](int64_t candidate) {
    return has_layers(candidate, options, model) && ranks % (candidate * tp) == 0;
  });
  if (tp > 1 && nearest_tp > 0) mends.push_back("use " + tensor_text(nearest_tp));
  if (pp > 1 && nearest_pp > 0) mends.push_back("use " + stages_text(nearest_pp));
  usage(joined(axes, " x ") + " needs " + counted(needed, "rank") + " or a multiple of that, got " + number(ranks) +
        ": " + joined(mends, ", or "));
}

void check_batch(const TrainOptions& options, const parallel::Mesh& mesh) {
  const int64_t G = options.global_batch_size;
  if (G % mesh.dp != 0) {
    usage("--global-batch-size " + number(G) + " does not divide by " + data_ranks_text(mesh) +
          "; the nearest that does is " + number(nearest_multiple(G, mesh.dp)));
  }
  const int64_t share = G / mesh.dp;
  if (options.microbatch_size == 0 || share % options.microbatch_size == 0) return;
  const int64_t nearest =
      nearest_that(options.microbatch_size, 1, share, [&](int64_t candidate) { return share % candidate == 0; });
  usage("--microbatch-size " + number(options.microbatch_size) + " does not divide the " + number(share) +
        " sequences of a rank (--global-batch-size " + number(G) + ", " + data_ranks_text(mesh) +
        "); the nearest that does is " + number(nearest));
}

void check_lanes(const TrainOptions& options, const parallel::Mesh& mesh) {
  const int64_t lanes = options.reproducible;
  if (lanes == 0) return;
  const int64_t G = options.global_batch_size;
  const auto is_power = [](int64_t candidate) { return std::has_single_bit(static_cast<uint64_t>(candidate)); };
  const auto fits = [&](int64_t candidate) {
    return is_power(candidate) && candidate % mesh.dp == 0 && G % candidate == 0;
  };
  if (fits(lanes)) return;
  const std::string asked = "--reproducible=" + number(lanes);
  if (!is_power(mesh.dp)) {
    usage(asked + " adds " + number(lanes) + " lanes up as a tree, of which each of " + data_ranks_text(mesh) +
          " has a branch: the nearest number of ranks that does is " +
          number(nearest_that(mesh.dp, 1, 2 * mesh.dp, is_power)));
  }
  const std::string nearest = "--reproducible=" + number(nearest_that(lanes, 1, G, fits));
  if (!is_power(lanes)) usage(asked + " is no power of two; the nearest that fits is " + nearest);
  if (lanes % mesh.dp != 0) {
    usage(asked + " does not divide by " + data_ranks_text(mesh) + "; the nearest that fits is " + nearest);
  }
  usage(asked + " does not divide --global-batch-size " + number(G) + "; the nearest choices are " + nearest + " and " +
        "--global-batch-size " + number(nearest_multiple(G, lanes)));
}

void check_interleaving(const TrainOptions& options, const parallel::Mesh& mesh, int64_t microbatch_size) {
  const int64_t share = options.global_batch_size / mesh.dp;
  const int64_t microbatches = share / microbatch_size;
  if (options.virtual_stages == 1 || options.pipeline_schedule != "1f1b" || microbatches % mesh.pp == 0) return;
  const int64_t nearest_size = nearest_that(microbatch_size, 1, share, [&](int64_t candidate) {
    return share % candidate == 0 && share / candidate % mesh.pp == 0;
  });
  const int64_t nearest = nearest_multiple(microbatches, mesh.pp);
  const std::string mend = nearest_size > 0 ? "--microbatch-size " + number(nearest_size)
                                            : "--global-batch-size " + number(nearest * microbatch_size * mesh.dp) +
                                                  " with --microbatch-size " + number(microbatch_size);
  usage("--virtual-stages " + number(options.virtual_stages) + " takes microbatches in groups of " +
        stages_text(mesh.pp) + ", got " + number(microbatches) + " (--global-batch-size " +
        number(options.global_batch_size) + " / (" + data_ranks_text(mesh) + " x --microbatch-size " +
        number(microbatch_size) + ")); the nearest choice is " + mend);
}

}  // namespace trireme::launch
