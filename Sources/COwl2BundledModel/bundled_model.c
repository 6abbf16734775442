// To ship another model, replace the files in the folder `model`.
#include "owl2_bundled_model.h"

#pragma clang diagnostic ignored "-Wc23-extensions"  // #embed

#define EMBEDDED static const unsigned char __attribute__((aligned(64)))

EMBEDDED config[] = {
#embed "model/config.json"
};
EMBEDDED generation_config[] = {
#embed "model/generation_config.json"
};
EMBEDDED preprocessor_config[] = {
#embed "model/preprocessor_config.json"
};
EMBEDDED weights[] = {
#embed "model/pytorch_model.bin"
};
EMBEDDED tokenizer[] = {
#embed "model/tokenizer.model"
};
EMBEDDED tokenizer_config[] = {
#embed "model/tokenizer_config.json"
};

#define FILE_ENTRY(name, content) {name, content, sizeof content}

static const owl2_bundled_file files[] = {
    FILE_ENTRY("config.json", config),
    FILE_ENTRY("generation_config.json", generation_config),
    FILE_ENTRY("preprocessor_config.json", preprocessor_config),
    FILE_ENTRY("pytorch_model.bin", weights),
    FILE_ENTRY("tokenizer.model", tokenizer),
    FILE_ENTRY("tokenizer_config.json", tokenizer_config),
};

size_t owl2_bundled_file_count(void) { return sizeof files / sizeof *files; }

owl2_bundled_file owl2_bundled_file_at(size_t index) { return files[index]; }
