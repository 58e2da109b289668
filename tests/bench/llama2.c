#define _XOPEN_SOURCE 700
#include "tests/bench/llama2.h"

#include "core/file.h"
#include "interchange/llama2c.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* llama2.c ends a text at token 1. A row of zeros in the tied embeddings keeps that token from being chosen. */
enum { END_OF_TEXT = 1 };

static Status write_model(const char *path, const TransformerLMConfig *config)
{
    TransformerLM *lm;
    TransformerLMConfig tied = *config;
    tied.tie_embeddings = true;
    Status s = transformer_lm_create(&lm, &tied, 1);
    if (s)
        return s;
    memset(lm->token_embeddings.weight.data + END_OF_TEXT * tied.d_model, 0, tied.d_model * sizeof(float));
    s = llama2c_write(path, lm);
    transformer_lm_destroy(lm);
    return s;
}

/* Writes the length of the longest token, then score, length and text of each token. */
static Status write_vocabulary(const char *path, size_t count)
{
    const float score = 0;
    const int32_t length = 1;
    FileWriter writer;
    Status s = file_create(&writer, path);
    if (!s)
        s = file_write(&writer, &length, sizeof length);
    for (size_t i = 0; !s && i < count; i++) {
        s = file_write(&writer, &score, sizeof score);
        if (!s)
            s = file_write(&writer, &length, sizeof length);
        if (!s)
            s = file_write(&writer, "\x01", 1);
    }
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

void llama2_init(Llama2 *llama2, const TransformerLMConfig *config)
{
    const char *wanted = getenv("CS336_LLAMA2");
    *llama2 = (Llama2){.config = *config, .program = wanted && *wanted ? realpath(wanted, NULL) : NULL};
    if (!llama2->program || access(llama2->program, X_OK) != 0) {
        free(llama2->program);
        llama2->program = NULL;
        return;
    }
    char path[300];
    llama2->directory = bench_make_directory();
    snprintf(path, sizeof path, "%s/model.bin", llama2->directory.path);
    bench_require(write_model(path, config));
    snprintf(path, sizeof path, "%s/tokenizer.bin", llama2->directory.path);
    bench_require(write_vocabulary(path, config->vocab_size));
}

void llama2_deinit(Llama2 *llama2)
{
    if (llama2->program)
        bench_remove_directory(&llama2->directory);
    free(llama2->program);
}

double llama2_generate(void *context)
{
    const Llama2 *llama2 = context;
    if (!llama2->program)
        return bench_failed(BENCH_NOT_INSTALLED);
    char line[1000];
    double rate;
    snprintf(line, sizeof line, "exec '%s' model.bin -t 0 -n %zu", llama2->program, llama2->config.context_length);
    if (bench_command(&rate, 1, "achieved tok/s:", llama2->directory.path, line) != 1)
        return bench_failed("%s does not print its speed", llama2->program);
    return (double)(llama2->config.context_length - 1) / rate;
}
