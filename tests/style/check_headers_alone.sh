#!/usr/bin/env bash
# check_headers_alone.sh COMPILER STAMPS [ROOT]: each header compiles alone, seeing only what its room may see. One that its
# own source includes first is compiled alone by every build, and left out. STAMPS is a folder for include roots and for one
# dependency file a header, so that a second run looks at changed headers only.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/rooms.sh"
compiler=$1
mkdir -p "$2"
stamps=$(cd "$2" && pwd)
root=$(cd "${3:-$here/../..}" && pwd)

for room in $rooms; do
  mkdir -p "$stamps/$room/empty"
  for seen in $(rooms_seen_by "$room"); do ln -sfn "$root/$seen" "$stamps/$room/$seen"; done
done

up_to_date() { # STAMP: nothing that the header included last time has changed since
  local included
  [ -f "$1" ] || return 1
  for included in $(sed 's/^alone://; s/\\$//' "$1"); do
    [ -e "$included" ] && [ ! "$included" -nt "$1" ] || return 1
  done
}

begins_its_source() { # FILE; sources of tests begin with a precompiled header
  local source=$root/${1%.h}.cpp
  [[ $1 != tests/* ]] && [ -f "$source" ] && [ "$(grep -m1 '^#include' "$source")" = "#include \"$1\"" ]
}

compile_alone() { # FILE
  local file=$1 part=${1#tests/} room include stamp=$stamps/${1//\//__}
  part=${part#bench/} room=${part%%/*}
  [ -n "$(rooms_seen_by "$room")" ] || room=launch # shared by tests of several rooms
  include=(-I "$stamps/$room")
  [[ $file != tests/* && $file != bench/* ]] || include+=(-I "$root")
  begins_its_source "$file" && return
  up_to_date "$stamp" && return
  # From inside $stamps: the compiler looks beside its standard input first, and must not find the rooms there.
  echo "#include \"$file\"" |
    (cd "$stamps/$room/empty" && "$compiler" -std=c++20 -Wall -Wextra -fsyntax-only "${include[@]}" \
      -MMD -MF "$stamp.new" -MT alone -x c++ -) || { echo "$file does not compile alone" && return 1; }
  mv "$stamp.new" "$stamp"
}
export compiler stamps root rooms
export -f begins_its_source compile_alone up_to_date rooms_seen_by
sources_below "$root" h | xargs -r -P "$(nproc)" -I{} bash -c 'compile_alone "$1"' _ {}
