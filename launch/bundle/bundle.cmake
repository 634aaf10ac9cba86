# cmake --build --preset PRESET --target bundle: build/PRESET/bundle/ and one .tgz of it, a folder that runs on a machine without
# Open MPI, HDF5 or Boost (README.md beside this). To be included after every program is known.
set(bundle_programs trireme)
foreach(program IN ITEMS ops_bench step_bench cuda_op_tests cuda_model_tests)
  if(TARGET ${program})
    list(APPEND bundle_programs ${program})
  endif()
endforeach()

set_target_properties(${bundle_programs} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
install(TARGETS ${bundle_programs} RUNTIME DESTINATION bin COMPONENT bundle EXCLUDE_FROM_ALL)

set(bundle_name "trireme-${PROJECT_VERSION}-linux-x86_64")
if(trireme_with_cuda)
  string(APPEND bundle_name "-cuda${CUDAToolkit_VERSION_MAJOR}")
endif()
add_custom_target(bundle
  COMMAND "${CMAKE_COMMAND}" -E rm -rf "${PROJECT_BINARY_DIR}/bundle"
  COMMAND "${CMAKE_COMMAND}" --install "${PROJECT_BINARY_DIR}" --component bundle --strip --prefix "${PROJECT_BINARY_DIR}/bundle"
  COMMAND "${PROJECT_SOURCE_DIR}/launch/bundle/fill.sh" "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/bundle"
          "${PROJECT_BINARY_DIR}/${bundle_name}.tgz"
  DEPENDS ${bundle_programs}
  USES_TERMINAL
  VERBATIM)
