# The figures of the book that run (docs/live/live.h). With emcc, `make docs` compiles the library and the figures' C files
# to WebAssembly. It is one JavaScript file, because a page from the disk may not load others.

EMCC       ?= emcc
LIVE_C     := $(wildcard docs/live/*.c)
# Without what reads and writes files with jansson, and without the commands.
LIVE_LIB   := $(filter-out %_avx2.c %_avx512.c %_avx512_bf16.c %_amx.c cs336_basics/core/json.c cs336_basics/core/json_lines.c \
              cs336_basics/core/safetensors.c cs336_basics/interchange/%.c \
              cs336_basics/train/checkpoint.c cs336_basics/train/model_checkpoint.c cs336_basics/train/run_%.c \
              cs336_basics/train/trainer_checkpoint.c cs336_basics/train/training_run.c \
              cs336_basics/data/token_file_open.c cs336_basics/data/token_sidecar.c \
              cs336_basics/data/token_writer.c cs336_basics/tokenizer/files/bpe_files.c \
              cs336_basics/tokenizer/files/tokenizer_%.c cs336_basics/tokenizer/files/rank_%.c \
              cs336_basics/tokenizer/files/vocabulary_read.c cs336_basics/tokenizer/files/merge_read.c \
              cs336_basics/tokenizer/encode/tokenizer_load.c \
              cs336_basics/tokenizer/encode/encode_file.c cs336_basics/tokenizer/input_texts.c \
              cs336_basics/tokenizer/encode/encode_input.c cs336_basics/tokenizer/learn/bpe_train_inputs.c cs336_basics/inspect/html_page.c \
              cs336_basics/tokenizer/encode/encode_ranks.c cs336_basics/tokenizer/encode/encode_team.c \
              cs336_basics/tokenizer/input_ranks.c cs336_basics/tokenizer/learn/bpe_train_ranks.c \
              cs336_basics/inspect/attention_page.c cs336_basics/inspect/report_%.c cs336_basics/inspect/run_%.c,$(LIB_SOURCES))
LIVE_OBJECTS := $(patsubst %.c,build/live/obj/%.o,$(LIVE_LIB) $(LIVE_C))
# Debian's emscripten finds node's acorn only so.
LIVE_EMCC    = NODE_PATH=$${NODE_PATH:-/usr/share/nodejs} $(EMCC)
LIVE_CFLAGS := -std=c11 -O3 -msimd128 -ffp-contract=fast -fno-math-errno -fvisibility=hidden -fopenmp-simd -Wall -Wextra -Werror \
               -Wno-unknown-pragmas -Wno-pass-failed -Ics336_basics -DCS336_VERSION='"$(VERSION)"'

build/live/obj/%.o: %.c docs/live/live.mk
	@mkdir -p $(@D)
	@echo '  EMCC  $<'
	$(Q)$(LIVE_EMCC) $(LIVE_CFLAGS) -MMD -MP -c $< -o $@
build/live/cs336.js: $(LIVE_OBJECTS)
	@echo '  EMCC  $@'
	$(Q)$(LIVE_EMCC) -O3 $^ -o $@ -sMODULARIZE=1 -sEXPORT_NAME=createCS336 -sSINGLE_FILE=1 -sFILESYSTEM=0 -sENVIRONMENT=web,worker \
	    -sALLOW_MEMORY_GROWTH=1 -sEXPORTED_FUNCTIONS=_malloc,_free,_live_message -sEXPORTED_RUNTIME_METHODS=UTF8ToString
-include $(LIVE_OBJECTS:.o=.d)

# The same functions for this computer, with which docs-check compares the numbers of the pages.
LIVE_NATIVE := build/live/liblive.so
$(LIVE_NATIVE): $(LIVE_C) $(wildcard docs/live/*.h) $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CC) $(C336_CPPFLAGS) $(C336_CFLAGS) -Wno-missing-prototypes -shared $(LIVE_C) $(LIBRARY) $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)

LIVE_SCRIPT := $(if $(call program_path,$(EMCC)),build/live/cs336.js)

.PHONY: live-pictures
live-pictures: ## takes the pictures of the book's running figures, docs/figures/live/; K=softmax selects by name
	@python3 docs/tools/live_pictures.py --new
	@$(MAKE) docs
	@python3 docs/tools/live_pictures.py build/docs/html $(K)
