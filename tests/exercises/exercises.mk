# The coursework: `make learn`. The exercises are the rows of exercises.tsv.
#
# A learner's function replaces ours at link time: the object of the learner's file is linked with all objects of the library, of the
# tests and of the checker. In these objects the functions of the exercises are weak symbols, so that every caller gets
# the learner's. No program edits an object for that (macOS has no objcopy): `#pragma weak` makes a function of ours weak,
# and own_functions.awk edits the learner's assembly.

NM    ?= nm
STRIP ?= strip
ifneq (,$(filter learn-check,$(GOALS))$(and $(filter learn,$(GOALS)),$(EX)))
ifeq (,$(CHECK_LIBS))
$(error not installed: check. `make deps` installs what is needed, `make doctor` says what each piece is for)
endif
endif

EXERCISE_TABLE := tests/exercises/exercises.tsv
# All words of one column of the table.
comma           := ,
exercise_column  = $(subst $(comma), ,$(shell awk -F'\t' '!/^([\#]|id\t)/ {print $$$(1)}' $(EXERCISE_TABLE)))

# The functions of all exercises, and the objects that define them.
EXERCISE_FUNCTIONS := $(call exercise_column,5)
REPLACED_HEADERS   := $(sort $(call exercise_column,4))
REPLACED_SOURCES   := $(patsubst %.h,cs336_basics/%.c,$(filter-out tests/%,$(REPLACED_HEADERS))) \
                      $(patsubst %.h,%.c,$(filter tests/%,$(REPLACED_HEADERS)))
REPLACED_OBJECTS   := $(patsubst %.c,$(VARIANT)/exercises/%.o,$(REPLACED_SOURCES))
UNCHANGED_OBJECTS  := $(filter-out $(call object,$(REPLACED_SOURCES)),$(TEST_OBJECTS) $(TESTED_CLI) $(LIB_OBJECTS))
CHECKER_OBJECTS    := $(call object,$(wildcard tests/exercises/checker/*.c tests/exercises/checker/cases/*.c))
$(CHECKER_OBJECTS): C336_CPPFLAGS += -I. $(CHECK_CFLAGS)
-include $(CHECKER_OBJECTS:.o=.d)

# A function becomes weak where it is defined, and only there: a weak reference to a function that nobody defines would be
# NULL instead of an error of the linker. A compiler does not inline a weak function, so a call in the same file reaches
# the learner's function, too. A file defines what its header declares, in the first column of a line.
$(REPLACED_OBJECTS:.o=.weak.h): $(VARIANT)/exercises/%.weak.h: %.h $(EXERCISE_TABLE) tests/exercises/exercises.mk
	@mkdir -p $(@D)
	$(Q)awk -v functions='$(EXERCISE_FUNCTIONS)' 'BEGIN { count = split(functions, name, " "); while (count) weak[name[count--]] } \
	    /^[A-Za-z]/ && match($$0, /[A-Za-z_0-9]+\(/) && (substr($$0, RSTART, RLENGTH - 1) in weak) \
	    { print "#pragma weak " substr($$0, RSTART, RLENGTH - 1) }' $< >$@
$(REPLACED_OBJECTS): $(VARIANT)/exercises/%.o: %.c $(VARIANT)/exercises/%.weak.h Makefile
	@echo '  CC    $< (its functions can be replaced)'
	$(Q)$(CC) $(C336_CPPFLAGS) $(C336_CFLAGS) -include $(@:.o=.weak.h) -MMD -MP -c $< -o $@
-include $(REPLACED_OBJECTS:.o=.d)
$(VARIANT)/exercises/tests/%.o: C336_CPPFLAGS += -I.

# Everything but the replaced objects, without what debuggers read, so that a program is linked quickly. It is an archive,
# from which the linker takes what is missing: macOS's `ld -r` would hide functions that are not exported. The checker has
# a main() of its own.
COMMON := $(VARIANT)/exercises/common.a
$(COMMON): $(filter-out $(call object,tests/main.c),$(UNCHANGED_OBJECTS)) $(CHECKER_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	@echo '  AR    $@'
	$(Q)$(AR) rcs $@ $^ && $(STRIP) -S $@

# A learner's file is compiled with sanitizers, which find what goes wrong in C without a sound. Warnings are no errors,
# but for four that always mean a mistake.
STUDENT_ERRORS   := -Werror=return-type -Werror=implicit-function-declaration -Werror=incompatible-pointer-types -Werror=int-conversion
STUDENT          ?= student
STUDENT_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
ifneq (,$(filter learn learn-check,$(GOALS)))
ifneq ($(call compiles,$(STUDENT_SANITIZE)),yes)
STUDENT_SANITIZE :=
endif
# A local variable that is never assigned then holds a huge number or NaN each time, and not 0 by chance.
ifeq ($(call compiles,-ftrivial-auto-var-init=pattern),yes)
STUDENT_INIT := -ftrivial-auto-var-init=pattern
endif
endif
# A word for the shell, whatever characters it holds.
quoted = '$(subst ','\'',$(strip $(1)))'
# What the scripts read from their environment.
LEARN := env CC='$(CC)' NM='$(NM)' STUDENT=$(call quoted,$(STUDENT)) WORK='$(VARIANT)/exercises' MAKE='$(MAKE)' \
    STUDENT_CFLAGS='-std=c11 -O1 -g -Wall $(STUDENT_ERRORS) -fno-omit-frame-pointer -fno-common $(STUDENT_INIT) $(STUDENT_SANITIZE) -Ics336_basics -I.' \
    CHECKER_LINK='$(REPLACED_OBJECTS) $(COMMON) $(STUDENT_SANITIZE) $(C336_LDFLAGS) $(CHECK_LIBS) $(C336_LDLIBS)' \
    tests/exercises/learn.sh

ifneq (,$(and $(filter learn,$(GOALS)),$(EX)))
ifeq (,$(wildcard $(COMMON)))
$(info The library and its tests are compiled once; this takes a minute or two.)
endif
endif

.PHONY: learn hint solution reset learn-check
learn: $(if $(EX),$(COMMON) $(REPLACED_OBJECTS)) ## the coursework: where you are; EX=softmax checks your file, EX=all all of them; WATCH=1 each time you save; STRICT=1 fails unless all is right
	@$(LEARN) $(if $(EX),$(if $(WATCH),watch,check) $(call quoted,$(EX)),status) || { status=$$?; [ $$status -ne 2 ] && [ -z '$(STRICT)' ]; }
hint: ## prints a hint for an exercise, one more each time: EX=softmax
	@$(LEARN) hint $(call quoted,$(EX))
solution: ## prints the textbook solution of an exercise that you have passed: EX=softmax; FORCE=1 prints it anyway
	@$(LEARN) solution $(call quoted,$(EX)) $(FORCE)
reset: ## starts an exercise again, and keeps a copy of your file: EX=softmax
	@$(LEARN) reset $(call quoted,$(EX))
learn-check: $(COMMON) $(REPLACED_OBJECTS) ## tests the coursework: every stub, solution and wrong solution; EX=softmax selects, PART=1/3 takes a third of the wrong ones, QUICK=1 none
	@QUICK='$(QUICK)' PART='$(PART)' $(LEARN) self-check $(call quoted,$(EX))

FORMATTED += $(wildcard tests/exercises/*/*.[ch] tests/exercises/*/*/*.[ch])
