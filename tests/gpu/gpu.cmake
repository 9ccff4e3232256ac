# What scripts/gpu_check.sh runs: with the emulated engine, and with that for GPUs where it is built.
#
# gpu_check, the rows that a shell cannot do: one set of objects, linked to either engine.
file(GLOB rows CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/gpu/*_rows.cpp)
add_executable(gpu_check_emulated gpu/main.cpp ${rows})
target_include_directories(gpu_check_emulated PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(gpu_check_emulated PRIVATE sluice_emulated_engine sluice_cpu_engine GTest::gtest)
target_compile_options(gpu_check_emulated PRIVATE $<$<NOT:$<CONFIG:Debug>>:-Og> $<$<CONFIG:RelWithDebInfo>:-g0>
  $<$<BOOL:${SLUICE_SANITIZE}>:-fno-sanitize=undefined>)
set_target_properties(gpu_check_emulated PROPERTIES LINKER_LANGUAGE CXX)
add_executable(gpu_check_faulty gpu/faults.cpp $<TARGET_OBJECTS:gpu_check_emulated>)   # for scripts/check/gpu_check_test
target_link_libraries(gpu_check_faulty PRIVATE sluice_emulated_engine sluice_cpu_engine GTest::gtest)
if(SLUICE_BUILDS_CUDA)
  add_executable(gpu_check $<TARGET_OBJECTS:gpu_check_emulated>)
  target_link_libraries(gpu_check PRIVATE sluice_cuda sluice_cpu_engine GTest::gtest)
  set_target_properties(gpu_check PROPERTIES LINKER_LANGUAGE CXX)
endif()

# test_gpu, test_gpu_emulated: the suite of tests/cuda without the files that name the emulator, in the same objects.
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
set(suite "$<FILTER:$<TARGET_OBJECTS:test_cuda>,EXCLUDE,(${of_emulator})\\.cpp>")
add_executable(test_gpu_emulated cuda/emulated_orders.cpp ${suite})
target_include_directories(test_gpu_emulated PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(test_gpu_emulated PRIVATE sluice_emulated_engine sluice_cpu_engine GTest::gtest_main)
if(SLUICE_BUILDS_CUDA)
  add_executable(test_gpu gpu/orders.cpp ${suite})
  target_include_directories(test_gpu PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(test_gpu PRIVATE sluice_cuda sluice_cpu_engine GTest::gtest_main)
endif()
