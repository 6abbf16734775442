#include "owl2_png.h"
