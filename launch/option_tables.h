// Which options each command has, and what must hold between them. A table refers to the struct that it was made for;
// check() throws Error(usage) for contradictions that are visible without opening a file, and fills in the values that
// depend on others.
#pragma once

#include "launch/option_parser.h"
#include "launch/options.h"

namespace trireme::launch {

OptionTable option_table(PrepareOptions& options);
OptionTable option_table(TrainOptions& options);
OptionTable option_table(PlanOptions& options);    ///< with all those of train
OptionTable option_table(SubmitOptions& options);  ///< with all those of train
OptionTable option_table(VerifyOptions& options);  ///< with all those of train
OptionTable option_table(EvaluateOptions& options);
OptionTable option_table(GenerateOptions& options);
OptionTable option_table(BenchOptions& options);
OptionTable option_table(CheckpointOptions& options);
OptionTable option_table(DataOptions& options);

void check(PrepareOptions& options);
void check(TrainOptions& options);
void check(PlanOptions& options);
void check(SubmitOptions& options);
void check(VerifyOptions& options);
void check(EvaluateOptions& options);
void check(GenerateOptions& options);
void check(BenchOptions& options);
void check(CheckpointOptions& options);
void check(DataOptions& options);

}  // namespace trireme::launch
