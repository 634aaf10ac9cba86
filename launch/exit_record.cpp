#include "launch/exit_record.h"

#include <boost/json.hpp>
#include <cstdlib>

#include "launch/fenced_file.h"
#include "launch/json_text.h"
#include "launch/run_claim.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

constexpr const char* kFile = "/exit.json";

json::value environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? json::value(nullptr) : json::value(text);
}

}  // namespace

void write_exit_record(runtime::Files& files, const std::string& run, int64_t attempt, const ExitRecord& record) {
  json::object object{
      {"code", record.code}, {"reason", record.reason},         {"ranks", json::value_from(record.ranks)},
      {"step", record.step}, {"written_by", record.written_by}, {"attempt", attempt},
      {"owner", run_owner()}};
  const json::value job = environment("SLURM_JOB_ID");
  if (!job.is_null()) {
    const json::value restarts = environment("SLURM_RESTART_COUNT");
    object["slurm_job_id"] = job;
    object["slurm_restart_count"] = restarts.is_null() ? json::value("0") : restarts;  // not set in a first start
  }
  try {
    replace_file(files, run + kFile, json_text(object), attempt, "rank-" + std::to_string(record.written_by));
  } catch (const runtime::Error& error) {
    if (error.kind() != runtime::ErrorKind::peer) throw;
  }
}

void remove_exit_record(runtime::Files& files, const std::string& run) {
  files.remove_all(run + kFile);
}

bool has_exit_record(runtime::Files& files, const std::string& run, int64_t attempt) {
  if (!files.exists(run + kFile)) return false;
  const json::value record = runtime::parse_json(runtime::read_text(files, run + kFile));
  const json::value* of = record.is_object() ? record.get_object().if_contains("attempt") : nullptr;
  return of != nullptr && *of == attempt;
}

}  // namespace trireme::launch
