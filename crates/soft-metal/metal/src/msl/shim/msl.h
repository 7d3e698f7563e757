// The part of metal_stdlib that kernels use, as C++17. One fiber per GPU thread; threadgroups run one after another.
#pragma once
#include "types.h"
#include "launch.h"
#include "check.h"
#include "stdlib.h"
#include "simdgroup.h"
using namespace metal;
