// <stdint.h>: precompiled, in pymetal_language.h.
