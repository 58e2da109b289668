# make story: a small pretrained model writes a story through the learner's functions, beside the reference's story.
#
# Two programs have the same main(). `reference` links the library, and the textbook training loop, which the library
# does not have. `yours` links the learner's functions, and the textbook solutions of all other exercises, in place of
# the library's. Where the library runs fused functions, a solution calls the parts: the learner's softmax is called by
# attention.

STUDENT ?= student

STORY         := build/coursework/story
STORY_OBJ     := $(VARIANT)/coursework/story
STORY_TABLE   := tests/exercises/exercises.tsv
# The exercises that a story can call: functions of the library, and the training loop. Those of the adapters have no part
# in it: the library reads the tokenizer and the model.
STORY_IDS     := $(shell awk -F'\t' '!/^([\#]|id\t)/ && $$4 !~ /^tests\/adapters/ {print $$1}' $(STORY_TABLE))
STORY_HEADERS := $(filter-out tests/adapters.h,$(sort $(foreach header,$(shell awk -F'\t' \
                     '!/^([\#]|id\t)/ {gsub(",", " ", $$4); print $$4}' $(STORY_TABLE)), \
                     $(if $(filter tests/%,$(header)),$(header),cs336_basics/$(header)))))
# The learner's exercises that are linked: story.sh gives them.
YOURS         ?=
STORY_YOURS   := $(STORY_OBJ)/$(subst /,_,$(patsubst %/,%,$(STUDENT)))

# The functions of the exercise with that id, or with one of those ids, separated by blanks.
story_functions = $$(for id in $(1); do awk -F'\t' -v id=$$id '$$1 == id {gsub(",", " ", $$5); print $$5}' $(STORY_TABLE); done)

STORY_OBJECTS   := $(call object,$(filter-out %/no_calls.c,$(wildcard tests/exercises/story/*.c)))
STORY_REFERENCE := $(call object,tests/exercises/story/no_calls.c)
$(STORY_OBJECTS) $(STORY_REFERENCE): C336_CPPFLAGS += -I.
-include $(STORY_OBJECTS:.o=.d) $(STORY_REFERENCE:.o=.d)

# What is written for learning is compiled with fewer warnings, without being stopped by one. quick.h makes plain loops
# over at() ten times as fast; a file without learn.h may have functions of these names.
STORY_CC = $(CC) $(C336_CPPFLAGS) -I. -std=c11 -O3 -g -Wall -pthread -MMD -MP
STORY_QUICK = $$(grep -q '"tests/exercises/learn.h"' $< && echo -include tests/exercises/story/quick.h)

# The linker sees the learner's functions under the names yours_... (own_functions.awk). The wrappers, which count calls, have
# the functions' own names: they get every call, also one between two functions of the same file. There the functions are
# weak, so that the compiler inlines none. Helper functions of two files may have the same name.
$(STORY_YOURS)/%.o: $(STUDENT)/%.c $(STORY_TABLE) tests/exercises/own_functions.awk tests/exercises/story.mk
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)functions="$(call story_functions,$*)"; for f in $$functions; do echo "#pragma weak $$f"; done >$(STORY_YOURS)/$*.weak.h && \
	    $(STORY_CC) -fno-common -include $(STORY_YOURS)/$*.weak.h $(STORY_QUICK) -MT $@ -S $< -o $(STORY_YOURS)/$*.all.s && \
	    awk -v functions="$$functions" -v prefix=yours_ -f tests/exercises/own_functions.awk $(STORY_YOURS)/$*.all.s >$(STORY_YOURS)/$*.s
	$(Q)$(CC) -c $(STORY_YOURS)/$*.s -o $@
-include $(wildcard $(STORY_YOURS)/*.d)

$(STORY_OBJ)/solutions/%.o: tests/exercises/solutions/%.c tests/exercises/story.mk
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(STORY_CC) $(STORY_QUICK) -c $< -o $@
-include $(wildcard $(STORY_OBJ)/solutions/*.d)

# train.c follows the steps of the training loop: the loop's calls of transformer_lm_loss() reach a function of train.c.
$(STORY_YOURS)/training_together.o $(STORY_OBJ)/solutions/training_together.o: \
    STORY_CC += -Dtransformer_lm_loss=followed_transformer_lm_loss

# This file changes when other exercises are linked than the last time.
.PHONY: story-linked
$(STORY_YOURS)/linked: story-linked
	@mkdir -p $(@D)
	@echo '$(YOURS)' | cmp -s - $@ || echo '$(YOURS)' >$@

$(STORY_YOURS)/wrappers.c: $(STORY_YOURS)/linked $(STORY_HEADERS) $(STORY_TABLE) tests/exercises/story/write_wrappers.awk
	$(Q)awk -v functions="$(call story_functions,$(YOURS))" -f tests/exercises/story/write_wrappers.awk $(STORY_HEADERS) >$@
$(STORY_YOURS)/wrappers.o: $(STORY_YOURS)/wrappers.c
	$(Q)$(STORY_CC) -c $< -o $@

$(STORY_YOURS)/yours: $(STORY_OBJECTS) $(STORY_YOURS)/wrappers.o $(YOURS:%=$(STORY_YOURS)/%.o) \
                      $(patsubst %,$(STORY_OBJ)/solutions/%.o,$(filter-out $(YOURS),$(STORY_IDS))) \
                      $(filter $(VARIANT)/obj/cs336_basics/%,$(UNCHANGED_OBJECTS)) \
                      $(filter $(VARIANT)/exercises/cs336_basics/%,$(REPLACED_OBJECTS))
$(STORY_OBJ)/reference: $(STORY_OBJECTS) $(STORY_REFERENCE) $(STORY_OBJ)/solutions/training_together.o $(LIBRARY)
$(STORY_YOURS)/yours $(STORY_OBJ)/reference:
	@echo '  LINK  $@'
	$(Q)$(CC) $^ $(C336_LDFLAGS) -o $@ $(C336_LDLIBS)

# The model does not depend on the program that makes it, which would train it again after each change of the library.
$(STORY)/model.safetensors: tests/exercises/story/make_model.sh | $(PROGRAM)
	@tests/exercises/story/make_model.sh $(PROGRAM) $(STORY)

.PHONY: story story-programs story-check
story-programs: $(STORY_YOURS)/yours $(STORY_OBJ)/reference $(STORY)/model.safetensors

STORY_RUN = MAKE='$(MAKE)' STUDENT='$(STUDENT)' STORY_IDS='$(STORY_IDS)'
story: ## writes a story through your functions, beside the reference's; PROMPT= TOKENS= SEED= EX=sdpa FORCE=1 TRAIN=1 STEPS= MINUTES=
	+@$(STORY_RUN) tests/exercises/story/story.sh $(STORY_TABLE) $(STORY) $(STORY_YOURS) $(STORY_OBJ)
story-check: ## checks make story: with all solutions, with wrong ones, and in training
	+@$(STORY_RUN) tests/exercises/story/check_story.sh $(STORY_TABLE) $(STORY)

FORMATTED += $(wildcard tests/exercises/story/*.[ch])
