# Transformer from scratch in C. `make help` lists the targets, `make doctor` says what is installed.

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

# ---- configuration -------------------------------------------------------------------------------------------------

CC     ?= cc
BUILD  ?= release
PREFIX ?= /usr/local
CFLAGS ?= -g
# make runs as many jobs as there are processors, unless -j says otherwise.
MAKEFLAGS += --no-print-directory
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
endif
# Where a program is, or nothing. The make of macOS, 3.81, starts a command line without a shell unless it has a character
# such as > in it, and `command` is a word of the shell.
program_path = $(shell command -v $(1) 2>/dev/null)
# V=1 prints every command.
Q := $(if $(V),,@)

# Each variant of the build (release, asan, ...) has its own folder. Only the release's products are in build/ itself.
VARIANT := build/$(BUILD)
OUT     := $(if $(filter release,$(BUILD)),build,$(VARIANT))

PACKAGES     := jansson
PKG_CONFIG   ?= pkg-config
pkg           = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)
# zlib and libzstd read compressed text, where they are installed. ZLIB=0 and ZSTD=0 build without them.
OPTIONAL     := $(if $(filter 0,$(ZLIB)),,$(if $(call pkg,--modversion zlib),zlib)) \
                $(if $(filter 0,$(ZSTD)),,$(if $(call pkg,--modversion libzstd),libzstd))
# MPI joins the processes that mpirun starts, on one machine or several: MPI=1 builds with it.
MPI_PACKAGE  := $(if $(filter 1,$(MPI)),$(firstword $(foreach package,ompi-c mpich,$(if $(call pkg,--modversion $(package)),$(package)))))
USED         := $(strip $(PACKAGES) $(OPTIONAL) $(MPI_PACKAGE))
HAVE         := $(if $(filter zlib,$(OPTIONAL)),-DCS336_HAVE_ZLIB) $(if $(filter libzstd,$(OPTIONAL)),-DCS336_HAVE_ZSTD)
HAVE_MPI     := $(if $(MPI_PACKAGE),-DCS336_HAVE_MPI)
ABSENT        = $(strip $(if $(OPENMP_LDFLAGS),,OpenMP) $(foreach package,zlib libzstd,$(if $(filter $(package),$(OPTIONAL)),,$(package))) \
                $(if $(MPI_PACKAGE),,MPI (make MPI=1)))
PKG_CFLAGS   := $(call pkg,--cflags $(PACKAGES) $(OPTIONAL))
PKG_LIBS     := $(call pkg,--libs $(USED))
CHECK_CFLAGS := $(call pkg,--cflags check)
CHECK_LIBS   := $(call pkg,--libs check)
WARNINGS     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
# -ffast-math is never used: it would remove isnan, isinf and the -inf of masks. -fno-math-errno lets the compiler
# vectorise square roots.
OPTIMIZE     ?= -O3
C336_CPPFLAGS = -Ics336_basics -DCS336_VERSION='"$(VERSION)"' $(CPPFLAGS) $(PKG_CFLAGS)
C336_CFLAGS   = -std=c11 $(OPTIMIZE) -ffp-contract=fast -fno-math-errno -fPIC -pthread -fvisibility=hidden $(WARNINGS) $(OPENMP_CFLAGS) $(SANITIZE) $(CFLAGS)
C336_LDFLAGS  = -pthread $(SANITIZE) $(OPENMP_LDFLAGS) $(LDFLAGS)
C336_LDLIBS   = $(PKG_LIBS) -lm $(LDLIBS)

# The build uses OpenMP if the compiler has it. OPENMP=0 builds without it. Apple's clang knows the pragmas and has no library
# for them. Homebrew installs that, libomp, where a compiler does not look (on Apple's and on Intel's CPUs).
LIBOMP         := $(firstword $(wildcard /opt/homebrew/opt/libomp /usr/local/opt/libomp))
LIBOMP_CFLAGS  := $(LIBOMP:%=-I%/include)
LIBOMP_LDFLAGS := $(LIBOMP:%=-L%/lib) -lomp
compiles = $(shell printf 'int main(void){return 0;}' | $(CC) $(1) -x c - -o /dev/null 2>/dev/null && echo yes)
ifeq ($(OPENMP),0)
else ifeq ($(call compiles,-fopenmp),yes)
OPENMP_CFLAGS  := -fopenmp
OPENMP_LDFLAGS := -fopenmp
else ifeq ($(call compiles,-Xpreprocessor -fopenmp $(LIBOMP_CFLAGS) $(LIBOMP_LDFLAGS)),yes)
OPENMP_CFLAGS  := -Xpreprocessor -fopenmp $(LIBOMP_CFLAGS)
OPENMP_LDFLAGS := $(LIBOMP_LDFLAGS)
endif
ifeq ($(OPENMP_CFLAGS),)
OPENMP_CFLAGS  := -fopenmp-simd -Wno-unknown-pragmas
endif
ifneq (,$(findstring clang,$(shell $(CC) --version 2>/dev/null)))
WARNINGS += -Wno-pass-failed
endif

# A missing package stops make at once. Otherwise the compiler would complain about a header.
GOALS   := $(or $(MAKECMDGOALS),all)
NEEDED  := $(if $(filter-out help doctor deps clean docs format format-check arrows arm bench-arm,$(GOALS)),$(PACKAGES) $(if $(filter 1,$(MPI)),$(or $(MPI_PACKAGE),ompi-c))) \
           $(if $(filter test asan ubsan tsan valgrind mutants fuzz,$(GOALS)),check)
MISSING := $(strip $(foreach package,$(NEEDED),$(if $(call pkg,--modversion $(package)),,$(package))))
ifneq ($(MISSING),)
$(error not installed: $(MISSING). `make deps` installs what is needed, `make doctor` says what each package is for)
endif

# ---- the library and the program -----------------------------------------------------------------------------------

HEADERS      := $(wildcard cs336_basics/*/*.h cs336_basics/*/*/*.h)
CLI_SOURCES  := $(wildcard cs336_basics/cli/*.c)
LIB_SOURCES  := $(filter-out $(CLI_SOURCES),$(wildcard cs336_basics/*/*.c cs336_basics/*/*/*.c))
TEST_SOURCES := $(filter-out tests/bench/% tests/hosts/% tests/torture/% tests/fuzz/libfuzzer.c,$(wildcard tests/*.c tests/*/*.c))

object       = $(patsubst %.c,$(VARIANT)/obj/%.o,$(1))
EMBEDDED     := attention_viewer.js attention_viewer.css attention_page.js html_page.css report_page.js report_page.css
LIB_OBJECTS  := $(call object,$(LIB_SOURCES)) $(EMBEDDED:%=$(VARIANT)/obj/cs336_basics/embedded/%.o)
CLI_OBJECTS  := $(call object,$(CLI_SOURCES))
TEST_OBJECTS := $(call object,$(TEST_SOURCES))
# The tests also call these parts of the program, which are not in the library: the parser of command lines, and the curve.
TESTED_CLI   := $(call object,$(addprefix cs336_basics/cli/,options.c options_config.c options_ranks.c ranks_command.c shell_line.c loss_curve.c))

VERSION := 0.1.0
MAJOR   := $(firstword $(subst ., ,$(VERSION)))

# The name of the shared library ends with the major version (SONAME). Linkers look for a link of the name without it.
ifeq ($(shell uname -s),Darwin)
SHARED_NAME   := libcs336.$(MAJOR).dylib
SHARED_LINK   := libcs336.dylib
SONAME_FLAGS   = -Wl,-install_name,@rpath/$(SHARED_NAME)
else
SHARED_NAME   := libcs336.so.$(MAJOR)
SHARED_LINK   := libcs336.so
SONAME_FLAGS   = -Wl,-soname,$(SHARED_NAME)
endif

LIBRARY := $(OUT)/libcs336.a
SHARED  := $(OUT)/$(SHARED_LINK)
PROGRAM := $(OUT)/cs336
TESTS   := $(VARIANT)/run_tests

.PHONY: all
all: $(LIBRARY) $(SHARED) $(PROGRAM) ## builds build/libcs336.a, build/libcs336.so and the program build/cs336

$(VARIANT)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(CC) $(C336_CPPFLAGS) $(C336_CFLAGS) -MMD -MP -c $< -o $@

# Three files depend on the optional libraries. They are compiled again when one of these was installed or is left out.
.PHONY: always
$(VARIANT)/optional: always
	@mkdir -p $(@D)
	@echo '$(HAVE) $(HAVE_MPI)' | cmp -s - $@ || echo '$(HAVE) $(HAVE_MPI)' >$@
OPTIONAL_OBJECTS := $(call object,cs336_basics/core/decompress.c cs336_basics/distributed/ranks_mpi.c cs336_basics/distributed/ranks_alone.c)
$(OPTIONAL_OBJECTS): C336_CPPFLAGS += $(HAVE) $(HAVE_MPI)
$(OPTIONAL_OBJECTS): $(VARIANT)/optional
# The warnings of MPI's header are not ours: -isystem leaves them out.
$(call object,cs336_basics/distributed/ranks_mpi.c): C336_CPPFLAGS += $(patsubst -I%,-isystem %,$(call pkg,--cflags $(MPI_PACKAGE)))

# The program carries scripts and styles as lists of lines (inspect/embedded.h). C reads some pairs of question marks as
# other characters (trigraphs), so each is escaped.
.PRECIOUS: $(VARIANT)/embedded/%.c
$(VARIANT)/embedded/%.c: cs336_basics/inspect/% Makefile
	@mkdir -p $(@D)
	@echo '  EMBED $<'
	$(Q)awk 'BEGIN { print "#include \"inspect/embedded.h\"\n\n#include <stddef.h>\n\nconst char *const $(subst .,_,$*)[] = {" } \
	    { gsub(/["\\?]/, "\\\\&"); print "    \"" $$0 "\\n\"," } \
	    END { print "    NULL,\n};" }' $< >$@
$(VARIANT)/obj/cs336_basics/embedded/%.o: $(VARIANT)/embedded/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(C336_CPPFLAGS) $(C336_CFLAGS) -MMD -MP -c $< -o $@

# NAME_avx2.c, NAME_avx512.c, NAME_avx512_bf16.c and NAME_amx.c are compiled for the instruction set in their name. The program picks
# one of them when it starts (kernels/isa.h).
ifneq (,$(findstring x86_64,$(shell $(CC) -dumpmachine 2>/dev/null)))
kernels_for = $(call object,$(filter %_$(1).c,$(LIB_SOURCES) $(wildcard tests/bench/*.c)))
AVX2_FLAGS  := -mavx2 -mfma -mbmi -mbmi2 -mpopcnt
$(call kernels_for,avx2): C336_CFLAGS += $(AVX2_FLAGS)
$(foreach isa,avx512 avx512_bf16 amx,$(call kernels_for,$(isa))): C336_CFLAGS += $(AVX2_FLAGS) -mavx512f -mavx512vl -mavx512dq -mavx512bw
$(call kernels_for,avx512_bf16) $(call kernels_for,amx): C336_CFLAGS += -mavx512bf16
$(call kernels_for,amx): C336_CFLAGS += -mamx-tile -mamx-bf16
endif

$(LIBRARY): $(LIB_OBJECTS)
	@rm -f $@
	@echo '  AR    $@'
	$(Q)$(AR) rcs $@ $^
$(SHARED): $(LIB_OBJECTS)
	@echo '  LINK  $@'
	$(Q)$(CC) -shared $^ $(C336_LDFLAGS) $(SONAME_FLAGS) -o $(OUT)/$(SHARED_NAME) $(C336_LDLIBS)
	$(Q)ln -sf $(SHARED_NAME) $@
$(PROGRAM): $(CLI_OBJECTS) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)
	$(if $(ABSENT),@echo '  $@ is without $(ABSENT); make doctor says what each is for')

-include $(LIB_OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d)

# COURSE names a clone of the course's repository, or its tests/fixtures alone. All programs get the latter.
ifneq (,$(COURSE))
override COURSE := $(or $(wildcard $(COURSE)/tests/fixtures),$(COURSE))
export COURSE
endif

# ---- the demo: text to generated text ------------------------------------------------------------------------------

DEMO       := build/demo
DEMO_STEPS ?= 1500
EOT        := <|endoftext|>

.PHONY: demo
demo: $(PROGRAM) ## runs the whole pipeline in two minutes; TEXT=file.txt takes a text of your own
	@tests/tools/demo.sh $(PROGRAM) $(DEMO) '$(DEMO_STEPS)' "$$TEXT"

# ---- tests ---------------------------------------------------------------------------------------------------------

$(TEST_OBJECTS): C336_CPPFLAGS += -I. $(CHECK_CFLAGS)
$(TESTS): $(TEST_OBJECTS) $(TESTED_CLI) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(CHECK_LIBS) $(C336_LDLIBS)

# The program, in which an allocation or a write fails.
FAULTY := $(VARIANT)/faulty_cs336
FAULTY_OBJECTS := $(call object,tests/torture/faulty_cs336.c) $(filter-out %/cli/main.o,$(CLI_OBJECTS))
$(call object,tests/torture/faulty_cs336.c): C336_CPPFLAGS += -I.
$(FAULTY): $(FAULTY_OBJECTS) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)
-include $(VARIANT)/obj/tests/torture/faulty_cs336.d

.PHONY: test asan ubsan tsan valgrind mutants torture interface python official
test: $(TESTS) $(PROGRAM) ## runs the tests; K=attention selects by name or problem, K=course the course's; V=1 prints each, XML=file writes a report
	@K='$(K)' CS336='$(PROGRAM)' OMP_WAIT_POLICY=passive \
	    $(if $(V),CK_VERBOSITY=verbose) $(if $(XML),CK_XML_LOG_FILE_NAME='$(XML)') \
	    $(TEST_ENVIRONMENT) $(TEST_WRAPPER) $(TESTS)

asan: ## runs the tests with AddressSanitizer and LeakSanitizer
	@$(MAKE) BUILD=asan OPTIMIZE=-O1 SANITIZE='-fsanitize=address -fno-omit-frame-pointer' \
	    CPPFLAGS='$(CPPFLAGS) -DCS336_INSTRUMENTED' test
ubsan: ## runs the tests with UndefinedBehaviorSanitizer
	@$(MAKE) BUILD=ubsan OPTIMIZE=-O1 SANITIZE='-fsanitize=undefined -fno-sanitize-recover=all' \
	    CPPFLAGS='$(CPPFLAGS) -DCS336_INSTRUMENTED' test
tsan: ## runs the tests with ThreadSanitizer (needs clang and libomp, whose Archer tool knows OpenMP's barriers)
	@$(MAKE) BUILD=tsan CC=clang OPTIMIZE=-O1 SANITIZE=-fsanitize=thread CPPFLAGS='$(CPPFLAGS) -DCS336_INSTRUMENTED' \
	    TEST_ENVIRONMENT="OMP_TOOL_LIBRARIES=$$(clang -print-file-name=libarcher.so) \
	    TSAN_OPTIONS=ignore_noninstrumented_modules=1" test
valgrind: ## runs the tests under valgrind (it hides AVX-512, so the AVX2 kernels run)
	@$(MAKE) TEST_ENVIRONMENT=CS336_VALGRIND=1 TEST_WRAPPER='valgrind -q --error-exitcode=99 --leak-check=full \
	    --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=tests/support/valgrind.supp' test
python: $(SHARED) $(PROGRAM) ## installs the Python package cs336 into build/python and tests it; PYTHON=a python3 with numpy and pip, K=logits selects
	@K='$(K)' CS336='$(PROGRAM)' OMP_WAIT_POLICY=passive $(if $(V),CK_VERBOSITY=verbose) \
	    tests/tools/test_python.sh '$(or $(PYTHON),python3)'
interface: $(LIBRARY) $(SHARED) ## checks that every header compiles alone, as C and C++, and that the library exports what they offer and no more
	@tests/tools/check_interface.sh '$(CC)' '$(CXX)' $(SHARED) $(LIBRARY) '$(OPENMP_LDFLAGS) $(call pkg,--libs $(MPI_PACKAGE))' '$(or $(PYTHON),$(CS336_PYTHON),python3)'
official: $(PROGRAM) $(SHARED) ## runs the course's own pytest suite over the library; COURSE=clone of the course, PYTHON=a Python >= 3.12 with torch, K=softmax selects
	@tests/official/run.sh $(PROGRAM) $(SHARED) '$(COURSE)' '$(or $(PYTHON),$(CS336_PYTHON),python3)' $(if $(K),-k '$(K)')
torture: $(PROGRAM) $(FAULTY) ## kills training, lets allocations and writes fail, fills a disk; counts how often the work survived; ROUNDS=100
	@code=0; tests/tools/torture_runs.sh $(PROGRAM) build/torture/runs $(ROUNDS) || code=1; \
	    tests/tools/torture_faults.sh $(PROGRAM) $(FAULTY) build/torture/faults $(ROUNDS) || code=1; exit $$code

# Several hosts on one machine: network namespaces, made by tests/hosts/with_hosts.sh.
MEASURE_RANKS   := $(VARIANT)/measure_ranks
MEASURE_OBJECTS := $(call object,tests/hosts/measure_ranks.c)
$(MEASURE_RANKS): $(MEASURE_OBJECTS) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)
-include $(MEASURE_OBJECTS:.o=.d)

.PHONY: hosts hosts-measure
needs_mpi = @[ -n '$(HAVE_MPI)' ] || { echo 'make $@: a program with MPI is needed: make MPI=1 $@' >&2; exit 2; }
hosts: $(PROGRAM) ## runs commands on two and three hosts, network namespaces of this machine: make MPI=1 hosts (Linux, root)
	$(needs_mpi)
	@tests/hosts/run.sh $(PROGRAM) build/hosts
hosts-measure: $(PROGRAM) $(MEASURE_RANKS) ## measures what docs/distributed.md predicts from, a quarter of an hour: make MPI=1 hosts-measure (Linux, root)
	$(needs_mpi)
	@python3 tests/hosts/measure.py $(PROGRAM) $(MEASURE_RANKS) $(K)

# Another CPU, by emulation. ARM_CC is the compiler for it, aarch64-linux-gnu-gcc if it is not set.
ARM_OBJECTS := $(call object,tests/bench/arm/kernels.c)
$(VARIANT)/kernels: $(ARM_OBJECTS) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)
-include $(ARM_OBJECTS:.o=.d)

.PHONY: arm bench-arm
arm: ## builds for ARM (aarch64) into build/arm and runs the tests there under QEMU; K=course the course's, in a minute
	@MAKE='$(MAKE)' ARM_CC='$(ARM_CC)' K='$(K)' $(if $(V),CK_VERBOSITY=verbose) \
	    tests/tools/on_arm.sh build/arm/run_tests qemu-aarch64 build/arm/run_tests
bench-arm: ## counts the instructions of the kernels on ARM under QEMU; K=matmul selects by name, V=1 names the functions
	@MAKE='$(MAKE)' ARM_CC='$(ARM_CC)' V='$(V)' \
	    tests/tools/on_arm.sh build/arm/kernels tests/bench/arm/count.sh build/arm/kernels '$(CC)' '$(K)'

# Each line checks one kind of file with the program that it comes from, in build/interchange/.
.PHONY: interchange
interchange: $(PROGRAM) ## opens our weights and tokenizers in the programs that they come from, and theirs here; CS336_PYTHON=a python3 with torch, transformers, tokenizers and tiktoken, COURSE=clone of the course adds GPT-2's vocabulary
	@"$${CS336_PYTHON:-python3}" tests/tools/check_weights.py $(PROGRAM) build/interchange/weights
	@"$${CS336_PYTHON:-python3}" tests/tools/check_llama2c.py $(PROGRAM)
	@"$${CS336_PYTHON:-python3}" tests/tools/check_tokenizer_files.py $(PROGRAM) $(if $(COURSE),'$(COURSE)')

# libFuzzer's program, whose name says which target it runs: build/fuzz/fuzz_encode is a link to it.
FUZZ := $(VARIANT)/run_fuzz
FUZZ_OBJECTS := $(call object,$(filter-out %/test_fuzz.c,$(wildcard tests/fuzz/*.c)) \
    $(addprefix tests/support/,allclose.c files.c plain_pattern.c plain_pretokens.c tiny_lm.c))
$(call object,tests/fuzz/libfuzzer.c): C336_CPPFLAGS += -I.
$(FUZZ): $(FUZZ_OBJECTS) $(TESTED_CLI) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -fsanitize=fuzzer -o $@ $(C336_LDLIBS)
-include $(VARIANT)/obj/tests/fuzz/libfuzzer.d
ifeq ($(BUILD),fuzz)
# The kernels are large, and no fuzz target looks for inputs that reach further into matrix products.
$(call object,$(wildcard cs336_basics/kernels/isa_*.c)): override SANITIZE := -fsanitize=address
# Each comparison of two numbers tells libFuzzer both, which helps with the keywords of formats. Encoding compares all the
# time, and is twice as fast without.
UNTRACED := $(wildcard cs336_basics/core/utf8.c cs336_basics/core/memory.c cs336_basics/tokenizer/*.c \
    cs336_basics/tokenizer/[els]*/*.c tests/fuzz/*.c tests/support/plain_*.c)
$(call object,$(UNTRACED)): override SANITIZE += -fno-sanitize-coverage=trace-cmp
endif

.PHONY: fuzz
fuzz: ## looks for faults with libFuzzer (clang); K=encode selects a target, each runs MINUTES=10
	@MAKE='$(MAKE)' tests/tools/run_fuzz.sh '$(K)' '$(MINUTES)'
mutants: ## tests the tests: each wrong solution must make a course test fail; K=softmax selects by name, PART=1/3 takes a third
	@PART='$(PART)' tests/tools/run_mutants.sh $(K)

# ---- benchmarks ----------------------------------------------------------------------------------------------------

BENCH_OBJECTS := $(call object,$(wildcard tests/bench/*.c))
BENCH         := $(VARIANT)/run_bench
$(BENCH_OBJECTS): C336_CPPFLAGS += -I.
$(BENCH): $(BENCH_OBJECTS) $(LIBRARY)
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS) -ldl
-include $(BENCH_OBJECTS:.o=.d)

.PHONY: bench beside-torch
bench: $(BENCH) ## times ours beside peers and the machine's limits, into build/bench/; K=sdpa selects by name
	@K='$(K)' $(BENCH) build/bench
beside-torch: $(PROGRAM) ## trains the same model in PyTorch: 200 equal steps, then both for MINUTES=20; needs TEXT=train.txt VALID=valid.txt
	@python3 docs/tools/beside_torch.py "$$TEXT" "$$VALID" "$$MINUTES"

# ---- documentation, style, installation ----------------------------------------------------------------------------

include docs/live/live.mk

.PHONY: docs docs-check numbers runs reference format format-check arrows lint install clean help doctor deps
docs: $(LIVE_SCRIPT) ## builds the book and the reference as HTML: build/docs/html/index.html
	@docs/tools/make_docs.sh $(LIVE_SCRIPT)
docs-check: docs $(LIVE_NATIVE) $(PROGRAM) ## checks the book: every link; pages, formulas, search and figures in Chromium, also as a phone shows them; its numbers; the pages of cs336 inspect and cs336 report
	@python3 docs/tools/check_docs.py
	@python3 docs/tools/check_inspect.py $(PROGRAM)
	@python3 docs/tools/check_report.py $(PROGRAM)
numbers: $(PROGRAM) ## computes the numbers and plots in the chapters again and writes them there
	@python3 docs/tools/write_numbers.py
runs: $(PROGRAM) ## trains the small models of the book's tables again and runs the commands whose output it shows, an hour, and writes it there; K='gate norms' or K='transcripts fast' selects
	@python3 docs/tools/write_runs.py $(K)

reference: $(PROGRAM) ## trains the demo's model again and says whether its losses are normal; K=tinystories DATA=directory trains the other
	@CS336_DATA='$(DATA)' python3 docs/tools/reference.py $(or $(K),demo)

FORMATTED = $(wildcard cs336_basics/*/*.[ch] cs336_basics/*/*/*.[ch] tests/*.[ch] tests/*/*.[ch] tests/bench/arm/*.[ch] \
    docs/live/*.[ch])
format: ## runs clang-format on every source file
	@clang-format -i $(FORMATTED)
format-check: ## fails if clang-format would change anything, or if macOS lacks what a script, a makefile or C uses
	@tests/tools/check_portable.sh
	@clang-format --dry-run -Werror $(FORMATTED)
arrows: ## fails if an #include points upwards or sideways in the order of the folders (README.md)
	@tests/tools/check_arrows.sh
lint: arrows ## runs clang-tidy and cppcheck
	@clang-tidy --quiet $(LIB_SOURCES) $(CLI_SOURCES) -- -std=c11 $(C336_CPPFLAGS) -fopenmp
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --suppress=uninitvar --suppress=uninitStructMember -Ics336_basics cs336_basics

install: all ## installs program, libraries, headers and pkg-config file into PREFIX (/usr/local), below DESTDIR if given
	@for h in $(HEADERS:cs336_basics/%=%); do \
	    install -d '$(DESTDIR)$(PREFIX)/include/cs336/'$$(dirname $$h) && \
	    install -m 644 cs336_basics/$$h '$(DESTDIR)$(PREFIX)/include/cs336/'$$h || exit 1; done
	@install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/pkgconfig'
	@install -m 755 $(PROGRAM) '$(DESTDIR)$(PREFIX)/bin/'
	@install -m 644 $(LIBRARY) '$(DESTDIR)$(PREFIX)/lib/'
	@install -m 755 $(OUT)/$(SHARED_NAME) '$(DESTDIR)$(PREFIX)/lib/'
	@ln -sf $(SHARED_NAME) '$(DESTDIR)$(PREFIX)/lib/$(SHARED_LINK)'
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: cs336' 'Description: Transformer language models from scratch' \
	    'Version: $(VERSION)' 'Requires.private: $(USED)' 'Cflags: -I$${prefix}/include/cs336' \
	    'Libs: -L$${prefix}/lib -lcs336' 'Libs.private: -lm $(OPENMP_LDFLAGS)' \
	    > '$(DESTDIR)$(PREFIX)/lib/pkgconfig/cs336.pc'
	@echo 'installed into $(DESTDIR)$(PREFIX)'

clean: ## removes build/
	rm -rf build

help: ## prints this list
	@echo 'make [target] [CC=clang] [OPENMP=0] [ZLIB=0] [ZSTD=0] [BUILD=name]'
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile tests/exercises/exercises.mk tests/exercises/story.mk docs/live/live.mk | sort | awk -F'\t' '{printf "  %-15s %s\n", $$1, $$2}'

deps: ## installs the packages for all targets (Debian and its kin, or Homebrew)
	@if command -v apt-get >/dev/null; then $$(command -v sudo) apt-get update && $$(command -v sudo) apt-get install -y \
	    build-essential pkg-config libjansson-dev zlib1g-dev libzstd-dev check doxygen graphviz clang libomp-dev clang-format \
	    clang-tidy cppcheck valgrind gnuplot-nox libopenmpi-dev openmpi-bin python3 && \
	    for package in libjs-mathjax doxygen-awesome-css chromium emscripten node-acorn; do $$(command -v sudo) apt-get install -y $$package || \
	        echo "make deps: this system has no package $$package; make docs and make docs-check do without it" >&2; done; \
	elif command -v brew >/dev/null; then brew install pkg-config jansson zstd check doxygen graphviz libomp \
	    clang-format cppcheck gnuplot; \
	else echo 'make deps: neither apt-get nor brew here; install jansson, Check, Doxygen and Graphviz' >&2; exit 1; fi

doctor: ## prints what is installed, and what each missing package would add
	@tests/tools/doctor.sh '$(CC)' '$(OPENMP_LDFLAGS)'

include tests/exercises/exercises.mk
include tests/exercises/story.mk
