// How long calls of ops and messages take on a machine that was measured (calibration.h), or whose figures were
// published. It knows no layouts: what is called how often comes from a dry run.
#pragma once

#include <string_view>

#include "runtime/calibration.h"
#include "runtime/communicator.h"
#include "runtime/dtype.h"
#include "runtime/op_profile.h"

namespace trireme::runtime {

/// How the ranks of a group lie on machines: evenly.
struct GroupSpan {
  int ranks = 1;
  int nodes = 1;  ///< machines that the group has ranks on
};

class TimeModel {
 public:
  /// `storage`: precision of activations. Of a rank of `ranks` on its machine with so many threads as were measured.
  TimeModel(const Calibration& calibration, DType storage);

  /// Seconds of all calls of a row of a dry profile.
  double op_seconds(const OpProfile::Row& row) const;
  double ops_seconds(const OpProfile& ops) const;

  /// Seconds from the first of these messages to the last, when a rank waits for each: `sent` is what one rank of the
  /// group sends, as dry communicators count it.
  double message_seconds(std::string_view op, const CommTotal& sent, const GroupSpan& span) const;

  /// The part of messages begun ahead (reductions inside backward, gathers inside forward) that computing hides: 0
  /// where ranks copy and add with the threads that compute, as on a CPU.
  double hidden_part() const { return calibration_.hidden_message_part; }

 private:
  Calibration calibration_;
  DType storage_;
};

}  // namespace trireme::runtime
