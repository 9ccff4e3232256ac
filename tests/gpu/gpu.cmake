# What scripts/gpu_check.sh runs, for the engine of GPUs where it is built.
#
# test_gpu: the suite of tests/cuda without the files that name the emulator, in the same objects.
file(GLOB suite CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*_test.cpp)
set(of_emulator /emulated_orders)
foreach(file IN LISTS suite)
  file(STRINGS ${file} lines REGEX "emu::|\"(kernels/(emu|cuda)/|cuda/(tensors|memory_bound)\\.h)" LIMIT_COUNT 1)
  if(lines)
    cmake_path(GET file STEM name)
    list(APPEND of_emulator /${name})
  endif()
endforeach()
list(JOIN of_emulator "|" of_emulator)
if(SLUICE_BUILDS_CUDA)
  add_executable(test_gpu gpu/orders.cpp "$<FILTER:$<TARGET_OBJECTS:test_cuda>,EXCLUDE,(${of_emulator})\\.cpp>")
  target_include_directories(test_gpu PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(test_gpu PRIVATE sluice_cuda sluice_cpu_engine GTest::gtest_main)
endif()
