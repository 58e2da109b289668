# Transformer from scratch in C. `make help` lists the targets.

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

# ---- configuration: BUILD names a variant and its folder, build/$(BUILD) ----

CC    ?= cc
BUILD ?= release
K     ?=
PREFIX ?= /usr/local

VARIANT := build/$(BUILD)
ifeq ($(BUILD),release)
OUT := build
else
OUT := $(VARIANT)
endif

PKGS := jansson libutf8proc
CPPFLAGS_ALL := -Ics336_basics $(CPPFLAGS) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS_ALL := $(LDLIBS) $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm
CHECK_CFLAGS = $(shell pkg-config --cflags check 2>/dev/null)
CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
OPTIMIZE := -O3
CFLAGS ?= -g
# Never -ffast-math: it folds isnan, isinf and the -inf of masks away.
CFLAGS_ALL = -std=c11 $(OPTIMIZE) -ffp-contract=fast -fPIC $(WARNINGS) $(OPENMP_FLAGS) $(SANITIZE) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS) $(SANITIZE) $(OPENMP_LINK)

# OpenMP when the compiler has it; OPENMP=0 does without.
try_openmp = $(shell printf 'int main(void){return 0;}' | $(CC) $(1) -x c - -o /dev/null 2>/dev/null && echo yes)
ifneq ($(OPENMP),0)
ifeq ($(call try_openmp,-fopenmp),yes)
OPENMP_FLAGS := -fopenmp
OPENMP_LINK := -fopenmp
else ifeq ($(call try_openmp,-Xpreprocessor -fopenmp -lomp),yes)
OPENMP_FLAGS := -Xpreprocessor -fopenmp
OPENMP_LINK := -lomp
endif
endif
ifeq ($(OPENMP_FLAGS),)
OPENMP_FLAGS := -fopenmp-simd -Wno-unknown-pragmas
endif
ifneq (,$(findstring clang,$(shell $(CC) --version 2>/dev/null)))
WARNINGS += -Wno-pass-failed
endif

# ---- files ----

SOURCES := $(wildcard cs336_basics/*/*.c)
HEADERS := $(wildcard cs336_basics/*/*.h)
CLI_SOURCES := $(wildcard cs336_basics/cli/*.c)
LIB_SOURCES := $(filter-out $(CLI_SOURCES),$(SOURCES))
TEST_SOURCES := $(wildcard tests/*.c tests/support/*.c)

object = $(patsubst %.c,$(VARIANT)/obj/%.o,$(1))
LIB_OBJECTS := $(call object,$(LIB_SOURCES))
CLI_OBJECTS := $(call object,$(CLI_SOURCES))
TEST_OBJECTS := $(call object,$(TEST_SOURCES))

LIB := $(OUT)/libcs336.a
SHARED := $(OUT)/libcs336.so
PROGRAM := $(OUT)/cs336
TESTS := $(VARIANT)/run_tests

.PHONY: all test
all: $(LIB) $(SHARED) $(PROGRAM) ## the library and the program: build/libcs336.{a,so}, build/cs336

$(VARIANT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(TEST_OBJECTS): CPPFLAGS_ALL += -I. $(CHECK_CFLAGS)

$(LIB): $(LIB_OBJECTS)
	$(AR) rcs $@ $^
$(SHARED): $(LIB_OBJECTS)
	$(CC) -shared $(LDFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL)
$(PROGRAM): $(CLI_OBJECTS) $(LIB)
	$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL)
$(TESTS): $(TEST_OBJECTS) $(LIB)
	$(CC) $(LDFLAGS_ALL) $^ -o $@ $(CHECK_LIBS) $(LDLIBS_ALL)

test: $(TESTS) $(PROGRAM) ## the tests; K=attention selects by part of a test's name or problem
	K="$(K)" $(TESTS)

-include $(LIB_OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d)
