# Writes OUT.cpp and OUT.h, which tell the VERSION and which commit of SOURCE is built, when that has changed. Where there is
# no git, or none of this tree (a tarball, also one unpacked within another repository), the commit is unknown.
cmake_minimum_required(VERSION 3.25)
set(commit "")
find_program(GIT git)
if(GIT AND EXISTS "${SOURCE}/.git")
  execute_process(COMMAND "${GIT}" -C "${SOURCE}" -c safe.directory=* describe --always --dirty --exclude=* --abbrev=12
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
  set(commit "unknown")
endif()
set(build "${VERSION} (commit ${commit})")
file(CONFIGURE OUTPUT "${OUT}.h" @ONLY CONTENT "#define SLUICE_BUILD \"@build@\"
")
file(CONFIGURE OUTPUT "${OUT}.cpp" @ONLY CONTENT "namespace sluice {
extern const char *const kVersion, *const kCommit, *const kBuild;
const char *const kVersion = \"@VERSION@\", *const kCommit = \"@commit@\", *const kBuild = \"@build@\";
}  // namespace sluice
")
