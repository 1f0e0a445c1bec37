/* SPDX-License-Identifier: MIT
 * A prefill and a decode of a GGUF model through llama.h, for measurements: tokens a second, and the logits of every
 * decoded token; it must not know which operators run.
 *
 *     decode <model.gguf> <threads> <prefill tokens> <decoded tokens> <f16|q8_0 cache> [file for the logits] */
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

double seconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/* A fixed sequence, whatever the model would say, so that two runs see the same tokens. */
struct Tokens {
    uint32_t state = 12345;
    int32_t vocabulary;

    llama_token next()
    {
        state = state * 1664525u + 1013904223u;
        return static_cast<llama_token>((state >> 8) % static_cast<uint32_t>(vocabulary));
    }
};

void run(llama_context *context, llama_token *tokens, int32_t count)
{
    if (llama_decode(context, llama_batch_get_one(tokens, count)) != 0) std::exit(1);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 6) return std::fprintf(stderr, "usage: decode model threads prefill decode cache [logits]\n"), 2;
    const int threads = std::atoi(argv[2]), prefill = std::atoi(argv[3]), decode = std::atoi(argv[4]);
    llama_log_set([](ggml_log_level level, const char *text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    llama_model *const model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model) return 1;
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = static_cast<uint32_t>(prefill + decode + 8);
    parameters.n_batch = parameters.n_ubatch = 512;
    parameters.n_threads = parameters.n_threads_batch = threads;
    parameters.type_k = parameters.type_v = std::strcmp(argv[5], "q8_0") == 0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
    parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    llama_context *const context = llama_init_from_model(model, parameters);
    if (!context) return 1;
    const int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    Tokens source{12345, vocabulary};
    std::vector<llama_token> prompt(static_cast<size_t>(prefill));
    for (llama_token &token : prompt) token = source.next();

    const double begin = seconds();
    for (int done = 0; done < prefill; done += 512) run(context, &prompt[done], std::min(512, prefill - done));
    llama_synchronize(context);
    const double middle = seconds();
    std::FILE *const file = argc > 6 ? std::fopen(argv[6], "wb") : nullptr;
    for (int i = 0; i < decode; i++) {
        llama_token token = source.next();
        run(context, &token, 1);
        const float *const logits = llama_get_logits_ith(context, -1);
        if (file) std::fwrite(logits, sizeof(float), static_cast<size_t>(vocabulary), file);
    }
    const double end = seconds();
    if (file) std::fclose(file);
    std::printf("%.3f %.3f\n", prefill / (middle - begin), decode / (end - middle));
    llama_free(context);
    llama_model_free(model);
    return 0;
}
