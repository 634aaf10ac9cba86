#include "parallel/action_record.h"

namespace trireme::parallel {

void add(ActionRecord& to, const ActionRecord& from, int64_t times) {
  if (times == 0) return;
  to.count += times * from.count;
  to.ops.add(from.ops, times);
  for (const auto& [axis, ops] : from.sent) {
    for (const auto& [op, total] : ops) {
      runtime::CommTotal& sum = to.sent[axis][op];
      sum.calls += times * total.calls;
      sum.messages += times * total.messages;
      sum.bytes += times * total.bytes;
    }
  }
}

}  // namespace trireme::parallel
