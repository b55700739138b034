// For thread_local variables that are read in signal handlers or at every access of a checked run:
// found at a fixed place of the thread, without a call that may allocate.
#pragma once

#ifdef __linux__
#define PYMETAL_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#else
#define PYMETAL_INITIAL_EXEC
#endif
