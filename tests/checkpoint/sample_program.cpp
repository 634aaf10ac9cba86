// sample_program DIR: what tests/parity/read_checkpoints.py reads. DIR/step-000000001 (two shards), merged.h5 and
// merged.safetensors, both with the optimizer, and the bytes of each tensor as they were saved: elements/KIND/NAME.
#include <cstdio>

#include "checkpoint/merge.h"
#include "runtime/error.h"
#include "tests/checkpoint/mixed_sample.h"

int main(int argc, char** argv) {
  using namespace trireme;
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  try {
    const tests::MixedSample sample(directory);
    runtime::Files& files = runtime::real_files();
    for (const char* name : {"merged.h5", "merged.safetensors"}) {
      checkpoint::merge(
          files, {.step_directory = sample.step_directory, .output = directory + "/" + name, .with_optimizer = true});
    }
    for (const auto& [path, bytes] : sample.elements) {
      files.make_directory(directory + "/elements/" + path.substr(0, path.find('/')));
      runtime::write_text_atomically(files, directory + "/elements/" + path, bytes);
    }
  } catch (const runtime::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
