// <stddef.h>: precompiled, in pymetal_language.h.
