// Stands in for Apple's header of this name.
#pragma once
#include <TargetConditionals.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef double CFTimeInterval;
