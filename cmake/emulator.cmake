# CUDA's kernels, compiled for the host: kernels/emu runs them. They keep line numbers, which errors name.
find_package(boost_context 1.74 REQUIRED CONFIG)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libbacktrace.a
                OUTPUT_VARIABLE SLUICE_BACKTRACE OUTPUT_STRIP_TRAILING_WHITESPACE)
file(GLOB emulator CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/emu/*.cpp)
file(GLOB_RECURSE cuda_host CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
file(GLOB_RECURSE cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
if(SLUICE_TSAN)   # not those that take longest to compile: their threads meet in column_sums.cuh alone, as do others'
  list(FILTER cuda_kernels EXCLUDE REGEX "/gate\\.cu$")
endif()
add_library(sluice_emulator STATIC ${emulator} ${cuda_host})
target_link_libraries(sluice_emulator PUBLIC sluice_core Boost::context)
target_compile_definitions(sluice_emulator PUBLIC SLUICE_EMULATED)
sluice_as_one(sluice_emulator)
set_source_files_properties(${cuda_host} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
if(SLUICE_TSAN)   # the emulator tells the sanitizer which thread of a kernel runs, and is not seen itself
  target_compile_definitions(sluice_emulator PRIVATE SLUICE_TSAN)
endif()
if(IS_ABSOLUTE "${SLUICE_BACKTRACE}")   # else errors of a kernel's accesses name no line
  target_compile_definitions(sluice_emulator PRIVATE SLUICE_BACKTRACE)
  target_link_libraries(sluice_emulator PRIVATE ${SLUICE_BACKTRACE})
endif()
add_library(sluice_cuda_emulated STATIC ${cuda_kernels})
set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX)
target_link_libraries(sluice_cuda_emulated PUBLIC sluice_emulator)
target_link_libraries(sluice_emulator INTERFACE sluice_cuda_emulated)   # host_mark.cu, of the host's side
target_compile_options(sluice_cuda_emulated PRIVATE -g1 $<$<CONFIG:Release>:-O2> $<$<BOOL:${SLUICE_TSAN}>:-fsanitize=thread>
  -Wno-maybe-uninitialized)   # arrays of which a kernel fills and reads the part that its row has
set_target_properties(sluice_emulator sluice_cuda_emulated PROPERTIES POSITION_INDEPENDENT_CODE ON)
