// How long calls of ops and messages take on a machine that was measured (calibration.h), or whose figures were
// published. It knows no layouts: what is called how often comes from a dry run.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

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
  /// `storage`: precision of activations. Of a rank among as many, with as many threads, as were measured.
  TimeModel(const Calibration& calibration, DType storage);

  /// Seconds of all calls of a row of a dry profile: those of the measured call of that op which is nearest (by the
  /// logarithms of its sizes, where the op states them, else of flops and bytes), by the ratio of their rooflines
  /// max(flops / peak, bytes / memory), but for the fixed part of a call. A call whose roofline is within that part
  /// says nothing of a rate: what is beyond it takes its roofline / unmeasured_part, as does an op that was not
  /// measured. Roofline: Williams, Waterman and Patterson 2009.
  double op_seconds(const OpProfile::Row& row) const;
  double ops_seconds(const OpProfile& ops) const;

  /// Seconds from the first of these messages to the last, when a rank waits for each: `sent` is what one rank of the
  /// group sends, as dry communicators count it. By the measured times of a group of that size on one machine; else
  /// steps x latency + bytes / rate, the model of NCCL's own choice between algorithms (its src/graph/tuning.cc), in
  /// which steps over the network take its latency, and a group with several ranks on each machine has the networks of
  /// all of them. Machines of which nothing is known between them count as one. A recv takes no time beside its send.
  double message_seconds(std::string_view op, const CommTotal& sent, const GroupSpan& span) const;

  /// The part of messages begun ahead (reductions inside backward, gathers inside forward) that computing hides: 0
  /// where ranks copy and add with the threads that compute, as on a CPU.
  double hidden_part() const { return calibration_.hidden_message_part; }

 private:
  /// A measured call, with what it is compared by.
  struct KnownCall {
    std::vector<double> log_sizes;
    std::vector<double> log_costs;
    double seconds = 0;
    double roofline_seconds = 0;
  };
  /// Seconds of a message by the bytes that a rank sends for it, rising.
  struct MessagePoint {
    double bytes = 0;
    double seconds = 0;
  };

  double roofline_seconds(double flops, double bytes, DType storage) const;
  const std::vector<MessagePoint>* measured_messages(std::string_view op, int ranks) const;
  LinkRate link_within_node() const;

  Calibration calibration_;
  DType storage_;
  std::map<std::string, std::vector<KnownCall>, std::less<>> known_;
  std::map<std::string, std::map<int, std::vector<MessagePoint>>, std::less<>> messages_;
};

}  // namespace trireme::runtime
