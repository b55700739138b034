// Stands in for Apple's header of this name: enough to compile metal-cpp on Linux.
#pragma once
#define TARGET_OS_OSX 1
#define __MAC_OS_X_VERSION_MIN_REQUIRED 140000
// metal-cpp then takes the weak-symbol branch of an Xcode 26 SDK. ELF calls weak_import "weak".
#define __MAC_26_0 260000
#define weak_import weak
