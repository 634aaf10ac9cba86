#include "launch/run_probe.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "checkpoint/agreement.h"
#include "launch/run_directory.h"
#include "runtime/error.h"
#include "runtime/file_lock.h"

namespace trireme::launch {
namespace {

void write_page(runtime::Files& files, const std::string& path) {
  const std::array<std::byte, 4096> page{};
  const std::unique_ptr<runtime::File> file = files.create(path);
  file->append(page);
  file->sync();
}

/// Of two starts that see one directory each has its own, so that neither takes the other's away.
std::string probe_name(int rank) {
  std::string name = "trash-probe-of-rank-" + std::to_string(rank) + "-" + runtime::FileLock::this_process();
  std::ranges::replace(name, ' ', '-');
  return name;
}

}  // namespace

void probe_run(runtime::Files& files, runtime::Communicator& world, const std::string& run) {
  const std::string path = RunDirectory(files, run).checkpoints_path() + "/" + probe_name(world.rank());
  const std::optional<checkpoint::Failure> failure = checkpoint::try_together(world, [&] {
    files.remove_all(path);  // of a probe that died
    try {
      write_page(files, path);
    } catch (const runtime::Error&) {
      try {
        files.remove_all(path);
      } catch (const runtime::Error&) {  // why it cannot be written is what is told
      }
      throw;
    }
    files.remove_all(path);
  });
  if (failure) checkpoint::rethrow(*failure, world, "--run " + run + " cannot be written: ");
}

}  // namespace trireme::launch
