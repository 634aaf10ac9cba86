# The rooms and what each may use: STYLE's diagram, said again here on purpose, so that a wrong DEPENDS in CMakeLists.txt
# is found by a test. Sourced by the other scripts of this folder.
rooms="runtime parallel model data checkpoint launch"

rooms_seen_by() { # ROOM
  case $1 in
    runtime) echo "runtime" ;;
    parallel) echo "parallel runtime" ;;
    model) echo "model parallel runtime" ;;
    data) echo "data runtime" ;;
    checkpoint) echo "checkpoint parallel runtime" ;;
    launch) echo "$rooms" ;;
  esac
}

# The sources below ROOT, one path a line, relative to it: every file of the given endings in rooms, tests and bench.
sources_below() { # ROOT ENDING...
  local root=$1 folders=() folder match=(-false) ending
  shift
  for folder in $rooms tests bench; do
    [ -d "$root/$folder" ] && folders+=("$folder")
  done
  for ending in "$@"; do match+=(-o -name "*.$ending"); done
  [ ${#folders[@]} -eq 0 ] || (cd "$root" && find "${folders[@]}" -type f \( "${match[@]}" \) | sort)
}
