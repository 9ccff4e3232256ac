// What a file would otherwise compile again wherever it uses a Json.
#include "base/json.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;
