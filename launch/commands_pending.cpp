// Keeps the program linking until the rooms that hold these are merged; goes away then.
#include "launch/commands.h"
#include "runtime/error.h"

namespace trireme {
namespace {

[[noreturn]] void pending() {
  throw runtime::Error(runtime::ErrorKind::internal, "this command is not merged yet");
}

}  // namespace

int launch::run_train(const TrainOptions&, runtime::Communicator&) {
  pending();
}
int launch::run_evaluate(const EvaluateOptions&, runtime::Communicator&) {
  pending();
}
int launch::run_generate(const GenerateOptions&) {
  pending();
}
int launch::run_prepare(const PrepareOptions&) {
  pending();
}
int launch::run_checkpoint(const CheckpointOptions&) {
  pending();
}

}  // namespace trireme
