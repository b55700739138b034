// Stands in for Apple's header of this name.
#pragma once
typedef struct __IOSurface* IOSurfaceRef;
