// The bodies of the commands. Each returns the program's exit code (0 done, 1 failed or different, 75 stopped and to be
// started again) and throws Error for what went wrong; options have been checked as far as no file is needed.
#pragma once

#include "launch/options.h"
#include "runtime/communicator.h"

namespace trireme::launch {

int run_train(const TrainOptions& options, runtime::Communicator& world);
int run_plan(const PlanOptions& options);
int run_submit(const SubmitOptions& options);
int run_verify(const VerifyOptions& options, runtime::Communicator& world);
int run_evaluate(const EvaluateOptions& options, runtime::Communicator& world);
int run_generate(const GenerateOptions& options);
int run_prepare(const PrepareOptions& options);
int run_bench(const BenchOptions& options, runtime::Communicator& world);
int run_checkpoint(const CheckpointOptions& options);
int run_data(const DataOptions& options);

}  // namespace trireme::launch
