// <assert.h>: precompiled, in pymetal_stdlib.h.
