// Places in kernels as "kernels/cuda/norm.cu:31", for errors.
#pragma once
#include <string>

#include "kernels/emu/running.h"

namespace sluice::emu {

std::string where(const Site&);
// Of the instruction to which a call returns: of the functions inlined there, the innermost that is no word of prim or
// of the emulator. Empty where the program knows no lines.
std::string where(const void* returns_to);
// Called from a signal's handler: of the instruction that was interrupted, or, where that is in a library, of the
// nearest caller that is of this program. Where its file keeps no lines, "in " and the function's name.
std::string where_the_host_is(const void* interrupted);

}  // namespace sluice::emu
