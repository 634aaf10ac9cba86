#!/usr/bin/env bash
# check_format.sh CLANG_FORMAT [ROOT]: every source is as clang-format leaves it.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/rooms.sh"
cd "${2:-$here/../..}"
sources_below . h cpp cu cuh | xargs -r -n 8 -P "$(nproc)" "$1" --dry-run -Werror --style=file
