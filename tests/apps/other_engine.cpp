// A library that is no engine, or with SLUICE_OTHER_VERSION an engine of another version.
#ifdef SLUICE_OTHER_VERSION
extern "C" const char* sluice_engine_version() { return "0.0.0 (commit none)"; }
extern "C" const void* sluice_engine() { return nullptr; }
#endif
