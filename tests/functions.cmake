# How a program of tests is declared: its sources, the room it looks from, its labels. Reads TRIREME_TEST_TIMEOUT and both
# environments of CMakeLists.txt.

# Behind trireme_flags: what is tested is compiled as users get it, the tests themselves in two thirds of the time.
add_library(trireme_test_flags INTERFACE)
target_compile_options(trireme_test_flags INTERFACE $<$<CONFIG:RelWithDebInfo>:-O1>)

# What every test parses before its own lines.
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/generated/test_headers.cpp" CONTENT "")
add_library(trireme_test_headers OBJECT EXCLUDE_FROM_ALL "${PROJECT_BINARY_DIR}/generated/test_headers.cpp")
target_link_libraries(trireme_test_headers PRIVATE trireme_flags trireme_test_flags GTest::gtest)
target_precompile_headers(trireme_test_headers PRIVATE ${trireme_std_headers} <filesystem> <gtest/gtest.h>)

# trireme_tests(NAME ROOM room [PREFIX word] [RANKS n...] [LABELS label...] [TIMEOUT seconds] [PROCESSORS n] [COST seconds]
# [NOT_SANITIZED filter] SOURCES file...): one executable that sees what its room sees, in which each TEST is a ctest test of its
# own, PREFIX.SUITE.NAME (PREFIX: the room, unless given); with RANKS the whole executable runs once under mpirun for each
# count. Labels: cpu, mpi, cuda, asan, tsan, slow, style, parity; see tests/README.md. A sanitizer build makes and runs only the
# executables with its label, less the tests of NOT_SANITIZED, and so does a build with CUDA: cuda, whose executables run
# whole, without mpirun, and skip where there is no GPU. Tests of the highest COST start first: long ones, which would
# otherwise end alone on one core.
function(trireme_tests name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ROOM;PREFIX;TIMEOUT;PROCESSORS;COST;NOT_SANITIZED" "RANKS;LABELS;SOURCES")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES OR NOT arg_ROOM)
    message(FATAL_ERROR "trireme_tests(${name}): no ROOM or SOURCES, or unknown words: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(timeout ${TRIREME_TEST_TIMEOUT})
  if("slow" IN_LIST arg_LABELS)
    set(timeout 3600)
  endif()
  if(arg_TIMEOUT)
    set(timeout ${arg_TIMEOUT})
  endif()
  set(prefix ${arg_ROOM})
  if(arg_PREFIX)
    set(prefix ${arg_PREFIX})
  endif()
  set(processors 1)
  if(arg_PROCESSORS)
    set(processors ${arg_PROCESSORS})
  endif()
  set(cost 0)
  if(arg_COST)
    set(cost ${arg_COST})
  endif()
  add_executable(${name} ${arg_SOURCES})
  trireme_look_from(${name} ${arg_ROOM})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")  # "tests/..." only; rooms come first
  target_link_libraries(${name} PRIVATE trireme_${arg_ROOM} trireme_flags trireme_test_flags GTest::gtest)
  target_precompile_headers(${name} REUSE_FROM trireme_test_headers)
  if(arg_RANKS)
    target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/mpi_main.cpp")
    target_link_libraries(${name} PRIVATE MPI::MPI_CXX)
  elseif("cuda" IN_LIST arg_LABELS)
    target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/cuda_main.cpp")
  else()
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
  endif()
  if((TRIREME_SANITIZE STREQUAL "address" AND NOT "asan" IN_LIST arg_LABELS)
     OR (TRIREME_SANITIZE STREQUAL "thread" AND NOT "tsan" IN_LIST arg_LABELS)
     OR (trireme_with_cuda AND NOT "cuda" IN_LIST arg_LABELS))
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  add_dependencies(trireme_test_programs ${name})
  if("cuda" IN_LIST arg_LABELS)  # whole: each start of CUDA takes a second
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${timeout} SKIP_RETURN_CODE 77 RUN_SERIAL ON
                         ENVIRONMENT "${TRIREME_TEST_ENVIRONMENT}")
    return()
  endif()
  if(arg_RANKS)
    foreach(ranks IN LISTS arg_RANKS)
      add_test(NAME ${name}.${ranks}_ranks
               COMMAND ${MPIEXEC_EXECUTABLE} --timeout ${timeout} --oversubscribe --bind-to none -n ${ranks} $<TARGET_FILE:${name}>
               WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
      math(EXPR after_mpirun "${timeout} + 20")  # mpirun ends its ranks itself, and says so
      set_tests_properties(${name}.${ranks}_ranks PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${after_mpirun} PROCESSORS 2
                           ENVIRONMENT "${TRIREME_MPI_TEST_ENVIRONMENT}")
    endforeach()
  else()
    set(filter)
    if(TRIREME_SANITIZE AND arg_NOT_SANITIZED)
      set(filter TEST_FILTER "-${arg_NOT_SANITIZED}")
    endif()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${prefix}." WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" ${filter})
    # gtest_discover_tests(PROPERTIES) cannot carry a list: lists go in through a script that ctest reads after the discovery.
    set(script "${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake")
    file(CONFIGURE OUTPUT "${script}" @ONLY CONTENT [[
foreach(test IN LISTS @name@_TESTS)
  set_tests_properties("${test}" PROPERTIES LABELS "@arg_LABELS@" TIMEOUT @timeout@ PROCESSORS @processors@ COST @cost@
                       ENVIRONMENT "@TRIREME_TEST_ENVIRONMENT@")
endforeach()
]])
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${script}")
  endif()
endfunction()

# Compiles `target` against the emulation's <cuda_runtime.h>, <cublasLt.h> and intrinsics.cuh, ahead of the real ones.
function(trireme_look_at_emulation target)
  target_include_directories(${target} BEFORE PRIVATE "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/emulation/include")
  trireme_look_from(${target} runtime)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")  # "tests/..." only; rooms come first
endfunction()

# trireme_emulated_objects(NAME SOURCES file.cu...): an OBJECT library of CUDA sources, and of C++ sources that call the CUDA
# runtime, compiled as C++ for the emulation, with the view of room runtime; .cu files that lie in a room by their path
# from the source root. An access that is misaligned or beyond the bounds of its array ends the program (SIGILL).
function(trireme_emulated_objects name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "trireme_emulated_objects(${name}): no SOURCES, or unknown words: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(sources "")
  foreach(source IN LISTS arg_SOURCES)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
      list(APPEND sources "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
    else()
      list(APPEND sources "${PROJECT_SOURCE_DIR}/${source}")
    endif()
  endforeach()
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CXX)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${sources})
  trireme_look_at_emulation(${name})
  target_link_libraries(${name} PRIVATE trireme_flags)
  # Kernels look at the same bytes as different types, which nvcc allows.
  target_compile_options(${name} PRIVATE -Wno-unknown-pragmas -fno-strict-aliasing -fsanitize=alignment,bounds
                                         -fsanitize-undefined-trap-on-error)
endfunction()

# A program of tests that runs emulated objects and sees the emulation.
function(trireme_use_emulation name)
  target_include_directories(${name} BEFORE PRIVATE "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/emulation/include")
  target_compile_options(${name} PRIVATE -Wno-unknown-pragmas)
  target_link_libraries(${name} PRIVATE ${ARGN} trireme_emulation)
endfunction()

# trireme_test_objects(NAME ROOM room SOURCES file...): tests that are linked into several programs, compiled once.
function(trireme_test_objects name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ROOM" "SOURCES")
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
  trireme_look_from(${name} ${arg_ROOM})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE trireme_${arg_ROOM} trireme_flags trireme_test_flags GTest::gtest Boost::json)
  target_precompile_headers(${name} REUSE_FROM trireme_test_headers)
endfunction()
