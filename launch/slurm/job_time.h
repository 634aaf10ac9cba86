// Time limits as Slurm reads them, for its warning before the end.
#pragma once

#include <optional>
#include <string_view>

namespace trireme::launch {

/// Seconds of sbatch's "M", "M:S", "H:M:S", "D-H", "D-H:M" and "D-H:M:S"; infinite for "0", "INFINITE" and "UNLIMITED".
/// Nothing for other text.
std::optional<double> slurm_seconds(std::string_view text);

/// How long before the end Slurm is to warn: two minutes, and a sixth of a limit below twelve; whole seconds. Slurm may
/// do it up to a minute earlier.
int warning_seconds(double limit_seconds);

}  // namespace trireme::launch
