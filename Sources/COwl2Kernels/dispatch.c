#include "owl2_kernels.h"
