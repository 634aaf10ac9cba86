#!/bin/sh
# run.sh PROGRAM [ARGUMENT...]: a program of bin/ as this folder has it: its own Open MPI wherever the folder lies, and CUDA's
# libraries where this machine keeps them; one line where this machine lacks what the folder cannot hold. It asks for no program
# but python3, and for that only to find CUDA.
# TRIREME_RUN_UNDER="compute-sanitizer --tool memcheck" runs it under that.
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(cd "$here" && pwd) || exit 1
[ $# -gt 0 ] || { echo "run.sh: which program of $here/bin?" >&2; exit 2; }
program=$1
shift

# CUDA: what the user says, then the wheels of a Python installation, then the toolkit.
cuda=${TRIREME_CUDA_LIBRARIES:-}
if [ -z "$cuda" ] && command -v python3 >/dev/null 2>&1; then
  cuda=$(python3 -c 'import glob, nvidia
print(":".join(sorted(set(d.rsplit("/", 1)[0] for p in nvidia.__path__ for d in glob.glob(p + "/**/lib/*.so*", recursive=True)))))' 2>/dev/null)
fi
for folder in /usr/local/cuda/lib64 /usr/local/cuda/lib; do
  [ ! -e "$folder/libcudart.so.13" ] || cuda=${cuda:+$cuda:}$folder
done
export LD_LIBRARY_PATH="$here/lib${cuda:+:$cuda}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# Open MPI, on this machine alone: no ssh, no resource manager, messages through shared memory.
export OPAL_PREFIX="$here" OMPI_MCA_mca_base_component_path="$here/lib/openmpi3" OMPI_MCA_plm_rsh_agent= OMPI_MCA_plm=isolated
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none
export HOME="${HOME:-/tmp}" # Open MPI ends in a fault where there is neither HOME nor an entry of this user
export PMIX_MCA_mca_base_component_path="$here/lib/pmix" PATH="$here/bin${PATH:+:$PATH}" # mpirun finds orted by PATH
if [ "$program" != mpirun ] && [ -z "${OMPI_COMM_WORLD_SIZE:-}" ]; then
  export OMPI_MCA_ess_singleton_isolated=1
fi
if [ ! -x "$here/bin/$program" ]; then
  echo "run.sh: there is no program $program in $here/bin" >&2
  exit 2
fi

# The loader says what it does not find, in a line a library; one line of ours tells what to do about it.
loader=/lib64/ld-linux-x86-64.so.2
[ -x "$loader" ] || { echo "run.sh: this machine has no glibc ($loader); glibc 2.36 or newer is needed" >&2; exit 1; }
found=$(LD_TRACE_LOADED_OBJECTS=1 "$here/bin/$program" 2>&1) # as ldd does, which not every machine has
case $found in
  *"version \`GLIBC_"*)
    echo "run.sh: this machine's glibc is too old for $program: 2.36 or newer is needed (ldd --version)" >&2
    exit 1
    ;;
  *lib*"=> not found"*)
    missing=$(echo "$found" | while read -r name arrow rest; do [ "$arrow $rest" != "=> not found" ] || printf ' %s' "$name"; done)
    case $missing in
      *libcu*) mend="CUDA 13's libraries are needed: TRIREME_CUDA_LIBRARIES=DIR:DIR says where; a machine without them takes the cpu-release bundle" ;;
      *) mend="they belong into $here/lib" ;;
    esac
    echo "run.sh: $program does not find$missing; $mend" >&2
    exit 1
    ;;
esac
exec ${TRIREME_RUN_UNDER:-} "$here/bin/$program" "$@"
