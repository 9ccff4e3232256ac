// What the host's touch of protected device memory says before the program ends.
#pragma once

namespace sluice::emu {

// From now on a touch prints "host read of device memory at 0x..., file:line" and aborts.
void explain_host_access();

}  // namespace sluice::emu
