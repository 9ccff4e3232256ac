// Read once for all floors without arithmetic (CMakeLists.txt): what takes long to parse. Not CLI11, whose objects
// every file would make. Files include what they need all the same: with SLUICE_UNITY=OFF they are compiled without
// this.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>
