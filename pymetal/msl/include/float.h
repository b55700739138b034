// <float.h>: precompiled, in pymetal_limits.h.
