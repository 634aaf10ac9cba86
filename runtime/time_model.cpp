#include "runtime/time_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <span>

namespace trireme::runtime {
namespace {

std::vector<double> logarithms(std::span<const int64_t> values) {
  std::vector<double> logs;
  for (const int64_t value : values) logs.push_back(std::log(static_cast<double>(value) + 1));  // a cost may be 0
  return logs;
}

double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum;
}

/// Bytes that a rank sends in a call with so large a buffer (communicator.h).
double sent_bytes(std::string_view op, int64_t ranks, int64_t buffer_bytes) {
  if (op == "send_recv") return static_cast<double>(buffer_bytes);
  const double once = static_cast<double>(buffer_bytes) * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  return op == "all_reduce" ? 2 * once : once;
}

/// Messages that wait for each other, of all and of those to another machine: rings of P - 1 steps, of which as many go
/// over the network as there are borders between machines; a short all_reduce is a tree, up and down.
struct Steps {
  double all = 1;
  double between_nodes = 0;
};

Steps steps_of(std::string_view op, double messages_a_call, const GroupSpan& span) {
  const auto ring = [&](double rounds) {
    return Steps{.all = rounds * (span.ranks - 1), .between_nodes = rounds * (span.nodes - 1)};
  };
  const auto levels = [](int count) { return static_cast<double>(std::bit_width(static_cast<unsigned>(count - 1))); };
  if (op == "all_reduce") {
    const bool is_ring = messages_a_call >= 2 * (span.ranks - 1);
    return is_ring ? ring(2) : Steps{.all = 2 * levels(span.ranks), .between_nodes = 2 * levels(span.nodes)};
  }
  if (op == "reduce_scatter" || op == "all_gather" || op == "all_to_all") return ring(1);
  if (op == "send") return {.all = 1, .between_nodes = span.nodes > 1 ? 1.0 : 0.0};
  return {.all = levels(span.ranks), .between_nodes = levels(span.nodes)};  // broadcast, barrier
}

}  // namespace

TimeModel::TimeModel(const Calibration& calibration, DType storage) : calibration_(calibration), storage_(storage) {
  std::set<std::string_view> in_storage;
  for (const OpTime& time : calibration.ops) {
    if (time.storage == storage) in_storage.insert(time.op);
  }
  for (const OpTime& time : calibration.ops) {
    if (time.storage != storage && in_storage.contains(time.op)) continue;
    const int64_t costs[] = {time.flops, time.bytes};
    known_[time.op].push_back({.log_sizes = logarithms(time.sizes.sizes()),
                               .log_costs = logarithms(costs),
                               .seconds = time.seconds,
                               .roofline_seconds = roofline_seconds(static_cast<double>(time.flops),
                                                                    static_cast<double>(time.bytes), time.storage)});
  }
  for (const MessageTime& time : calibration.messages) {
    messages_[time.op][static_cast<int>(time.ranks)].push_back(
        {.bytes = sent_bytes(time.op, time.ranks, time.bytes), .seconds = time.seconds});
  }
  for (auto& [op, groups] : messages_) {
    for (auto& [ranks, points] : groups) std::ranges::sort(points, {}, &MessagePoint::bytes);
  }
}

double TimeModel::roofline_seconds(double flops, double bytes, DType storage) const {
  const bool in_bf16 = storage == DType::bf16 && calibration_.bf16_flops_per_second > 0;
  const double peak = in_bf16 ? calibration_.bf16_flops_per_second : calibration_.fma_flops_per_second;
  return std::max(flops / peak, bytes / calibration_.memory.best());
}

double TimeModel::op_seconds(const OpProfile::Row& row) const {
  if (row.calls == 0) return 0;
  const auto calls = static_cast<double>(row.calls);
  const double roofline =
      roofline_seconds(static_cast<double>(row.flops) / calls, static_cast<double>(row.bytes) / calls, storage_);
  const auto known = known_.find(row.op);
  if (known == known_.end()) return calls * (calibration_.call_seconds + roofline / calibration_.unmeasured_part);

  const std::vector<double> log_sizes = logarithms(row.sizes.sizes());
  const int64_t costs[] = {row.flops / row.calls, row.bytes / row.calls};
  const std::vector<double> log_costs = logarithms(costs);
  const KnownCall& call = *std::ranges::min_element(known->second, {}, [&](const KnownCall& one) {
    const bool by_sizes = !log_sizes.empty() && one.log_sizes.size() == log_sizes.size();
    return by_sizes ? distance(one.log_sizes, log_sizes) : distance(one.log_costs, log_costs);
  });
  const double fixed = calibration_.call_seconds;
  if (call.roofline_seconds <= fixed) {
    const double more = std::max(roofline - call.roofline_seconds, 0.0);
    return calls * (call.seconds + more / calibration_.unmeasured_part);
  }
  return calls * (fixed + std::max(call.seconds - fixed, 0.0) * roofline / call.roofline_seconds);
}

double TimeModel::ops_seconds(const OpProfile& ops) const {
  double sum = 0;
  for (const OpProfile::Row& row : ops.rows()) sum += op_seconds(row);
  return sum;
}

/// Of a call that sends as this one does, where such a group was measured: an op of its own, else an all_reduce, whose
/// two halves are a reduce_scatter and an all_gather.
const std::vector<TimeModel::MessagePoint>* TimeModel::measured_messages(std::string_view op, int ranks) const {
  const auto points_of = [this](std::string_view name, int of_ranks) -> const std::vector<MessagePoint>* {
    const auto groups = messages_.find(name);
    if (groups == messages_.end()) return nullptr;
    const auto points = groups->second.find(of_ranks);
    return points == groups->second.end() ? nullptr : &points->second;
  };
  if (op == "send") return points_of("send_recv", 2);
  const auto* points = points_of(op, ranks);
  return points != nullptr ? points : points_of("all_reduce", ranks);
}

LinkRate TimeModel::link_within_node() const {
  if (calibration_.within_node.bytes_per_second > 0) return calibration_.within_node;
  if (const auto* points = measured_messages("send", 2)) {
    return {.latency_seconds = points->front().seconds,
            .bytes_per_second = points->back().bytes / points->back().seconds};
  }
  // Through memory that both ranks see: each byte is read and written twice, and copy counts both.
  return {.latency_seconds = 0, .bytes_per_second = calibration_.memory.copy / 4};
}

double TimeModel::message_seconds(std::string_view op, const CommTotal& sent, const GroupSpan& span) const {
  if (span.ranks < 2 || sent.calls == 0 || op == "recv") return 0;
  const auto calls = static_cast<double>(sent.calls);
  const double bytes = static_cast<double>(sent.bytes) / calls;
  const bool knows_network = calibration_.between_nodes.bytes_per_second > 0;
  const bool on_one_node = span.nodes == 1 || !knows_network;
  if (const auto* points = on_one_node ? measured_messages(op, span.ranks) : nullptr) {
    // By straight lines between logarithms; the shortest message takes as long as any shorter one.
    const auto above = std::ranges::find_if(*points, [&](const MessagePoint& point) { return point.bytes >= bytes; });
    if (above == points->begin()) return calls * above->seconds;
    const MessagePoint& below = *(above - 1);
    if (above == points->end()) return calls * below.seconds * bytes / below.bytes;
    const double place = std::log(bytes / below.bytes) / std::log(above->bytes / below.bytes);
    return calls * below.seconds * std::pow(above->seconds / below.seconds, place);
  }
  const LinkRate within = link_within_node();
  const LinkRate& between = calibration_.between_nodes;
  GroupSpan known_span = span;
  if (on_one_node) known_span.nodes = 1;
  const Steps steps = steps_of(op, static_cast<double>(sent.messages) / calls, known_span);
  double rate = within.bytes_per_second;
  if (!on_one_node) {
    const double ranks_per_node = op == "send" ? 1.0 : static_cast<double>(span.ranks) / span.nodes;
    rate = std::min(rate, between.bytes_per_second * ranks_per_node);
  }
  const double latency =
      (steps.all - steps.between_nodes) * within.latency_seconds + steps.between_nodes * between.latency_seconds;
  return calls * (latency + bytes / rate);
}

}  // namespace trireme::runtime
