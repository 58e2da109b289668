# The exercises of the coursework, one row each in exercises.tsv, and their textbook solutions.
#
# A solution replaces functions of the library, or adapters of the tests, at link time: its object is linked with all
# objects of the library and of the tests, in which these functions are weak symbols, so that every caller gets the
# solution's.

OBJCOPY ?= objcopy
NM      ?= nm
ifneq (,$(filter solutions-check,$(GOALS)))
ifeq (,$(CHECK_LIBS))
$(error not installed: check. `make deps` installs what is needed, `make doctor` says what each piece is for)
endif
endif

EXERCISE_TABLE := tests/exercises/exercises.tsv
# Two columns of the table, separated by "=", commas for blanks.
exercise_rows   = $(shell awk -F'\t' '!/^(\#|id\t)/ {print $$1 "=" $$$(1)}' $(EXERCISE_TABLE))
comma          := ,
EXERCISES      := $(foreach row,$(call exercise_rows,4),$(firstword $(subst =, ,$(row))))

# The functions of all exercises, and the objects that define them. These objects are compiled with another option:
# without -fsemantic-interposition, clang inlines short functions of the same file, and such a call would never reach the
# solution.
EXERCISE_FUNCTIONS := $(subst $(comma), ,$(foreach row,$(call exercise_rows,5),$(lastword $(subst =, ,$(row)))))
REPLACED_HEADERS   := $(sort $(subst $(comma), ,$(foreach row,$(call exercise_rows,4),$(lastword $(subst =, ,$(row))))))
REPLACED_SOURCES   := $(patsubst %.h,cs336_basics/%.c,$(filter-out tests/%,$(REPLACED_HEADERS))) \
                      $(patsubst %.h,%.c,$(filter tests/%,$(REPLACED_HEADERS)))
REPLACED_OBJECTS   := $(patsubst %.c,$(VARIANT)/exercises/%.o,$(REPLACED_SOURCES))
UNCHANGED_OBJECTS  := $(filter-out $(call object,$(REPLACED_SOURCES)),$(TEST_OBJECTS) $(LIB_OBJECTS))

$(REPLACED_OBJECTS:.o=.strong.o): $(VARIANT)/exercises/%.strong.o: %.c Makefile tests/exercises/exercises.mk
	@mkdir -p $(@D)
	@echo '  CC    $< (its functions can be replaced)'
	$(Q)$(CC) $(C336_CPPFLAGS) $(C336_CFLAGS) -fsemantic-interposition -MMD -MP -c $< -o $@
-include $(REPLACED_OBJECTS:.o=.strong.d)
$(VARIANT)/exercises/tests/%.strong.o: C336_CPPFLAGS += -I.

# A symbol becomes weak where it is defined, and only there: a weak reference to a function that nobody defines would be
# NULL instead of an error of the linker.
$(REPLACED_OBJECTS): %.o: %.strong.o $(EXERCISE_TABLE)
	$(Q)$(NM) $< | awk '$$2 == "T" {print $$3}' | grep -xF $(EXERCISE_FUNCTIONS:%=-e %) >$*.names
	$(Q)$(OBJCOPY) --weaken-symbols=$*.names $< $@

# One program of tests for each exercise with its solution, one for each with functions that only say TODO, and one with
# all solutions. The unchanged objects are linked once, in advance.
SOLUTION_OBJECTS := $(foreach id,$(EXERCISES),$(call object,tests/exercises/solutions/$(id).c))
SOLVED           := $(EXERCISES:%=$(VARIANT)/exercises/%/solved)
TODO             := $(EXERCISES:%=$(VARIANT)/exercises/%/todo)
COMMON           := $(VARIANT)/exercises/common.o
$(SOLUTION_OBJECTS): C336_CPPFLAGS += -I.
-include $(SOLUTION_OBJECTS:.o=.d)

$(COMMON): $(UNCHANGED_OBJECTS)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(LD) -r --strip-debug $^ -o $@
link_tests = $(CC) $(1) $(COMMON) $(REPLACED_OBJECTS) $(C336_LDFLAGS) -Wl,--strip-debug -o $@ $(CHECK_LIBS) $(C336_LDLIBS)
$(SOLVED): $(VARIANT)/exercises/%/solved: $(VARIANT)/obj/tests/exercises/solutions/%.o $(COMMON) $(REPLACED_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(call link_tests,$<)
$(VARIANT)/exercises/all/solved: $(SOLUTION_OBJECTS) $(COMMON) $(REPLACED_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(call link_tests,$(SOLUTION_OBJECTS))

# A function that nobody has written: it prints its name and ends the program. It has no parameters, since it reads none.
write_todo = { printf '\#include <stdio.h>\n\#include <stdlib.h>\n'; for f in $(1); do printf \
    'void %s(void);\nvoid %s(void)\n{\n    fputs("TODO: %s\\n", stderr);\n    exit(9);\n}\n' $$f $$f $$f; done; } >$@
$(TODO:%=%.c): $(VARIANT)/exercises/%/todo.c: $(EXERCISE_TABLE)
	@mkdir -p $(@D)
	$(Q)$(call write_todo,$$(awk -F'\t' '$$1 == "$*" {gsub("$(comma)"$(comma) " "$(comma) $$5); print $$5}' $<))
# clip_gradients() calls clip_factor() in the same file, so short a function that every compiler would inline it.
INSIDE := $(VARIANT)/exercises/inside/todo
$(INSIDE).c:
	@mkdir -p $(@D)
	$(Q)$(call write_todo,clip_factor)
$(TODO) $(INSIDE): %: %.c $(COMMON) $(REPLACED_OBJECTS)
	$(Q)$(call link_tests,$<)

.PHONY: solutions-check
solutions-check: ## links each textbook solution in place of our function and runs its tests, alone and all together
ifneq (,$(shell command -v $(OBJCOPY)))
solutions-check: $(SOLVED) $(TODO) $(INSIDE) $(VARIANT)/exercises/all/solved
	@tests/exercises/check_solutions.sh $(EXERCISE_TABLE) $(VARIANT)/exercises '$(NM)'
else
	@echo 'make solutions-check: needs objcopy (GNU binutils or LLVM; OBJCOPY=llvm-objcopy), which is not here' >&2; exit 1
endif

FORMATTED += $(wildcard tests/exercises/solutions/*.c)
