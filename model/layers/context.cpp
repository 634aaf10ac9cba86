#include "model/layers/context.h"

#include "runtime/ops/dropout.h"

namespace trireme::model {

void apply_dropout(Context& context, int64_t layer, DropoutPlace place, const TokenViews& tokens, runtime::ConstView x,
                   runtime::View y) {
  if (context.dropout == 0) return;
  const runtime::DropoutSite site{.seed = context.seed,
                                  .site = static_cast<uint16_t>(layer * 8 + static_cast<int64_t>(place)),
                                  .probability = context.dropout};
  const int64_t first_row = context.tp.rank() * x.shape[0];
  runtime::dropout(context.stream, site, {.samples = tokens.samples, .T = tokens.T, .first_row = first_row}, x, y);
}

}  // namespace trireme::model
