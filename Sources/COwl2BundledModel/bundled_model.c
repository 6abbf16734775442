#include "owl2_bundled_model.h"
