// What a machine can do, measured once by `trireme bench --calibrate` and kept in a small JSON file; mfu, profiles and
// plans are held against it. Plain data and its JSON form; it does not measure (machine_peaks.h, message_times.h).
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/dtype.h"
#include "runtime/files.h"
#include "runtime/machine_peaks.h"
#include "runtime/message_times.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// A call of an op as it was timed inside of training steps, with the cost that the op states (op_cost.h). What differs
/// in cost alone is one kind of call to a profile, and here its mean.
struct OpTime {
  std::string op;
  DType storage = DType::fp32;  ///< precision of the activations of those steps
  Shape sizes;
  int64_t flops = 0;  ///< of a call, as bytes and seconds are
  int64_t bytes = 0;
  double seconds = 0;
};

/// Messages of one rank to another, while all ranks send.
struct LinkRate {
  double latency_seconds = 0;
  double bytes_per_second = 0;  ///< 0: not known
};

struct Calibration {
  std::string processor;
  int64_t cores = 0;    ///< of the machine
  int64_t threads = 0;  ///< of each rank that measured
  int64_t ranks = 1;    ///< that measured at the same time
  std::string date;     ///< ISO 8601, UTC
  std::string version;  ///< of the program that measured
  std::string commit;
  double fma_flops_per_second = 0;  ///< of one rank, as are memory and products
  MemoryRates memory;
  std::vector<ProductRate> products;
  std::vector<MessageTime> messages;  ///< empty when one rank measured alone
  std::vector<OpTime> ops;
  double call_seconds = 0;  ///< of `ops` that compute next to nothing: what each call takes at least
  // What is not measured here, but published of machines that are not (launch/profiles).
  std::string source;                ///< of published figures; empty: measured
  int64_t ranks_per_node = 0;        ///< of such machines; 0: the ranks that measured are those of one
  LinkRate within_node;              ///< where there are no `messages`
  LinkRate between_nodes;            ///< of each rank
  double bf16_flops_per_second = 0;  ///< peak of bf16 products; 0: that of fp32
  int64_t device_memory_bytes = 0;   ///< of each rank
  int64_t reserve_bytes = 0;         ///< of that, taken by libraries for themselves
  double hidden_message_part = 0;    ///< of messages begun ahead: what computing hides (0 to 1)
  double unmeasured_part = 0.5;      ///< of its roofline that an op reaches which is not among `ops`; a guess
};

/// With "kind" and "format_version".
boost::json::object to_json(const Calibration& calibration);

/// Throws Error(usage) that begins with `named` ("--calibration FILE") and names the mend when the content is no
/// calibration, is of another version or is damaged.
Calibration parse_calibration(const std::string& named, const std::string& content);

/// Of a file; a file that is missing is refused alike.
Calibration read_calibration(Files& files, const std::string& option, const std::string& path);

/// Whether a file of any content is a calibration, of this version or another: it may be overwritten by one.
bool is_calibration(Files& files, const std::string& path);

/// A line with both when the figures were published of others, were taken on another processor, with another number of
/// threads in each rank or by another number of ranks at once (which share memory and clock speed); else nothing.
std::optional<std::string> difference_from(const Calibration& calibration, const std::string& processor,
                                           int64_t threads, int ranks);

}  // namespace trireme::runtime
