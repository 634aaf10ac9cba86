#include "runtime/calibration.h"

#include <boost/json.hpp>
#include <cmath>

#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::runtime {
namespace {

namespace json = boost::json;

constexpr char kKind[] = "trireme-calibration";
constexpr int64_t kFormatVersion = 2;

// The `at` and `as_` of boost.json throw for what is missing or of another type; read_calibration catches.
int64_t integer(const json::object& object, const char* key) {
  return object.at(key).to_number<int64_t>();
}

std::string text(const json::object& object, const char* key) {
  return std::string(object.at(key).as_string());
}

/// Rates and times divide: zero, negative and infinite ones are no measurement.
double measured(const json::object& object, const char* key) {
  const auto value = object.at(key).to_number<double>();
  if (!(value > 0) || !std::isfinite(value)) throw std::runtime_error(std::string(key) + " is not above 0");
  return value;
}

double part(const json::object& object, const char* key) {
  const auto value = object.at(key).to_number<double>();
  if (!(value >= 0 && value <= 1)) throw std::runtime_error(std::string(key) + " is not from 0 to 1");
  return value;
}

int64_t count(const json::object& object, const char* key) {
  const int64_t value = integer(object, key);
  if (value < 0) throw std::runtime_error(std::string(key) + " is below 0");
  return value;
}

OpTime op_time(const json::object& row) {
  const std::optional<DType> storage = dtype_from_name(text(row, "storage"));
  if (!storage) throw std::runtime_error("storage " + text(row, "storage"));
  std::vector<int64_t> sizes;
  for (const json::value& size : row.at("sizes").as_array()) sizes.push_back(size.to_number<int64_t>());
  if (sizes.size() > static_cast<size_t>(Shape::kMaxRank)) throw std::runtime_error("too many sizes");
  return {.op = text(row, "op"),
          .storage = *storage,
          .sizes = Shape(sizes),
          .flops = count(row, "flops"),
          .bytes = count(row, "bytes"),
          .seconds = measured(row, "seconds")};
}

json::object to_json(const OpTime& time) {
  return {{"op", time.op},
          {"storage", name(time.storage)},
          {"sizes", json::array(time.sizes.sizes().begin(), time.sizes.sizes().end())},
          {"flops", time.flops},
          {"bytes", time.bytes},
          {"seconds", time.seconds}};
}

LinkRate link_rate(const json::object& object) {
  return {.latency_seconds = measured(object, "latency_seconds"),
          .bytes_per_second = measured(object, "bytes_per_second")};
}

json::object to_json(const LinkRate& rate) {
  return {{"latency_seconds", rate.latency_seconds}, {"bytes_per_second", rate.bytes_per_second}};
}

/// What only figures of other machines have.
void read_published(const json::object& object, Calibration& calibration) {
  calibration.source = text(object, "source");
  if (calibration.source.empty()) throw std::runtime_error("source is empty");
  calibration.ranks_per_node = integer(object, "ranks_per_node");
  if (calibration.ranks_per_node < 1) throw std::runtime_error("ranks_per_node is not above 0");
  calibration.within_node = link_rate(object.at("within_node").as_object());
  calibration.between_nodes = link_rate(object.at("between_nodes").as_object());
  calibration.bf16_flops_per_second = measured(object, "bf16_flops_per_second");
  calibration.device_memory_bytes = integer(object, "device_memory_bytes");
  if (calibration.device_memory_bytes < 1) throw std::runtime_error("device_memory_bytes is not above 0");
  calibration.reserve_bytes = count(object, "reserve_bytes");
  calibration.hidden_message_part = part(object, "hidden_message_part");
  calibration.unmeasured_part = part(object, "unmeasured_part");
  if (calibration.unmeasured_part == 0) throw std::runtime_error("unmeasured_part is not above 0");
}

json::object published_json(const Calibration& calibration) {
  return {{"source", calibration.source},
          {"ranks_per_node", calibration.ranks_per_node},
          {"within_node", to_json(calibration.within_node)},
          {"between_nodes", to_json(calibration.between_nodes)},
          {"bf16_flops_per_second", calibration.bf16_flops_per_second},
          {"device_memory_bytes", calibration.device_memory_bytes},
          {"reserve_bytes", calibration.reserve_bytes},
          {"hidden_message_part", calibration.hidden_message_part},
          {"unmeasured_part", calibration.unmeasured_part}};
}

Calibration from_json(const json::object& object) {
  const json::object& machine = object.at("machine").as_object();
  const json::object& peaks = object.at("peaks").as_object();
  const json::object& memory = object.at("memory").as_object();
  Calibration calibration{.processor = text(machine, "processor"),
                          .cores = integer(machine, "cores"),
                          .threads = integer(machine, "threads"),
                          .ranks = integer(machine, "ranks"),
                          .date = text(object, "date"),
                          .version = text(object, "version"),
                          .commit = text(object, "commit"),
                          .fma_flops_per_second = measured(peaks, "fma_flops_per_second"),
                          .memory = {.read = measured(memory, "read_bytes_per_second"),
                                     .copy = measured(memory, "copy_bytes_per_second"),
                                     .triad = measured(memory, "triad_bytes_per_second")},
                          .products = {},
                          .messages = {},
                          .ops = {},
                          .call_seconds = measured(object, "call_seconds")};
  for (const json::value& value : object.at("products").as_array()) {
    const json::object& row = value.as_object();
    calibration.products.push_back(
        {.op = text(row, "op"),
         .shape = {.N = integer(row, "N"), .C_in = integer(row, "C_in"), .C_out = integer(row, "C_out")},
         .flops_per_second = measured(row, "flops_per_second")});
  }
  for (const json::value& value : object.at("messages").as_array()) {
    const json::object& row = value.as_object();
    calibration.messages.push_back({.ranks = integer(row, "ranks"),
                                    .op = text(row, "op"),
                                    .bytes = integer(row, "bytes"),
                                    .seconds = measured(row, "seconds")});
  }
  for (const json::value& value : object.at("ops").as_array()) calibration.ops.push_back(op_time(value.as_object()));
  if (const json::value* published = object.if_contains("published")) {
    read_published(published->as_object(), calibration);
  }
  return calibration;
}

/// The object of a calibration of any version; nothing for any other content.
std::optional<json::object> calibration_object(const std::string& content) {
  try {
    json::value value = parse_json(content);
    if (!value.is_object()) return std::nullopt;
    const json::value* kind = value.as_object().if_contains("kind");
    if (kind == nullptr || !kind->is_string() || kind->as_string() != kKind) return std::nullopt;
    return std::move(value.as_object());
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// `named`: "--calibration FILE".
Error refusal(const std::string& named, const std::string& what) {
  return {ErrorKind::usage, named + " " + what + "; make one with trireme bench --calibrate --output FILE"};
}

/// "2 ranks x 1 thread"
std::string shape_text(int64_t ranks, int64_t threads) {
  const auto counted = [](int64_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  return counted(ranks, "rank") + " x " + counted(threads, "thread");
}

}  // namespace

json::object to_json(const Calibration& c) {
  json::array products;
  for (const ProductRate& rate : c.products) {
    products.push_back(json::object{{"op", rate.op},
                                    {"N", rate.shape.N},
                                    {"C_in", rate.shape.C_in},
                                    {"C_out", rate.shape.C_out},
                                    {"flops_per_second", rate.flops_per_second}});
  }
  json::array messages;
  for (const MessageTime& time : c.messages) {
    messages.push_back(
        json::object{{"ranks", time.ranks}, {"op", time.op}, {"bytes", time.bytes}, {"seconds", time.seconds}});
  }
  json::array ops;
  for (const OpTime& time : c.ops) ops.push_back(to_json(time));
  json::object object{
      {"kind", kKind},
      {"format_version", kFormatVersion},
      {"date", c.date},
      {"version", c.version},
      {"commit", c.commit},
      {"machine", {{"processor", c.processor}, {"cores", c.cores}, {"threads", c.threads}, {"ranks", c.ranks}}},
      {"peaks", {{"fma_flops_per_second", c.fma_flops_per_second}}},
      {"memory",
       {{"read_bytes_per_second", c.memory.read},
        {"copy_bytes_per_second", c.memory.copy},
        {"triad_bytes_per_second", c.memory.triad}}},
      {"products", std::move(products)},
      {"messages", std::move(messages)},
      {"call_seconds", c.call_seconds},
      {"ops", std::move(ops)}};
  if (!c.source.empty()) object["published"] = published_json(c);
  return object;
}

Calibration parse_calibration(const std::string& named, const std::string& content) {
  const auto refuse = [&](const std::string& what) { return refusal(named, what); };
  const std::optional<json::object> object = calibration_object(content);
  if (!object) throw refuse("is not a calibration");
  try {
    const int64_t version = integer(*object, "format_version");
    if (version != kFormatVersion) {
      throw refuse("is of format version " + std::to_string(version) + ", this program reads " +
                   std::to_string(kFormatVersion));
    }
    return from_json(*object);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // boost.json throws several types, for missing keys and kinds
    throw refuse(std::string("is damaged (") + error.what() + ")");
  }
}

Calibration read_calibration(Files& files, const std::string& option, const std::string& path) {
  const std::string named = "--" + option + " " + path;
  if (!files.exists(path)) throw refusal(named, "does not exist");
  if (files.is_directory(path)) throw refusal(named, "is a directory");
  return parse_calibration(named, read_text(files, path));
}

bool is_calibration(Files& files, const std::string& path) {
  return calibration_object(read_text(files, path)).has_value();
}

std::optional<std::string> difference_from(const Calibration& calibration, const std::string& processor,
                                           int64_t threads, int ranks) {
  if (!calibration.source.empty()) return "published of " + calibration.processor + ", this is " + processor;
  if (calibration.processor != processor) return "measured on " + calibration.processor + ", this is " + processor;
  if (calibration.threads == threads && calibration.ranks == ranks) return std::nullopt;
  return "measured by " + shape_text(calibration.ranks, calibration.threads) + " on a machine, this run has " +
         shape_text(ranks, threads);
}

}  // namespace trireme::runtime
