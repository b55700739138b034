// Stands in for Apple's header of this name.
#pragma once
#include <TargetConditionals.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef double CFTimeInterval;
