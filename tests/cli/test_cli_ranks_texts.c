/* train-bpe and encode under mpirun: the bytes that one process writes, and one line if a rank fails. */
#include "core/decompress.h"
#include "distributed/ranks.h"
#include "tests/cli/tiny_tokenizer.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Open MPI keeps some memory at its end, which LeakSanitizer would call our leak. */
#define ALLOW \
    "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0:$ASAN_OPTIONS; "
#define MPIRUN "mpirun -q --oversubscribe --bind-to none "
/* `ranks N command ...` runs the command in N processes of one thread. */
#define RANKS ALLOW "ranks() { n=$1; shift; " MPIRUN "-n $n \"$program\" \"$@\" --threads 1; }; "
#define END "--special-token '<|endoftext|>' "

static const char *no_mpirun(void)
{
    if (!ranks_are_available())
        return "built without MPI";
    return system("mpirun --version 2>/dev/null | grep -q 'Open MPI'") == 0 ? NULL : "no mpirun of Open MPI";
}

static const char *no_mpirun_or_gzip(void)
{
    if (no_mpirun())
        return no_mpirun();
    if (!decompressor_exists(TEXT_GZIP))
        return "built without zlib";
    return system("command -v gzip >/dev/null") == 0 ? NULL : "no program gzip";
}

static const char *no_mpirun_or_full_device(void)
{
    return no_mpirun() ? no_mpirun() : no_full_device();
}

/* Runs a line for 2 and for 3 ranks, as $n. */
static void for_ranks(const char *line)
{
    char whole[LINE_BYTES];
    for (int ranks = 2; ranks <= 3; ranks++) {
        test_label("%d ranks", ranks);
        snprintf(whole, sizeof whole, RANKS "n=%d; %s", ranks, line);
        assert_shell_ok(whole);
    }
    test_label_end();
}

/*
 * Writes texts of several chunks (512 KiB) and shorter ones: `stories`; `odd`, whose lines end with CR LF and which has
 * malformed UTF-8 and special tokens that overlap, one of them at almost every byte where a chunk may end; `wide`, one
 * pre-token of two chunks; `short`, of fewer bytes than ranks; and `empty`.
 */
static void write_texts(void)
{
    assert_shell_ok(
        "cs336 story --stories 3000 --output stories >said; printf '\\303\\251 \\344\\270 it'\"'\"'s "
        "12<|a|>b<|a|><|endoftext|>\\r\\n\\377 <|end\\r\\n' >line; for i in 1 2 3 4 5 6 7 8; do cat line line "
        "line line >more; mv more line; done; cp line odd; tr '\\n' ' ' <line | head -c 700001 | tr -c q q "
        ">wide; printf 'a' >short; : >empty; test $(wc -c <odd) -gt 1100000");
}

#define INPUTS "--input stories empty odd short wide "
#define TOKENS END "--special-token '<|a|>' --special-token 'b<|a|>' "

/* ---- the same bytes ---- */

START_TEST(test_ranks_learn_what_one_process_learns)
{
    write_texts();
    assert_shell_ok("cs336 train-bpe " INPUTS "--vocab-size 600 " TOKENS FILES "--tokenizer t.json >one");
    for_ranks(
        "ranks $n train-bpe " INPUTS "--vocab-size 600 " TOKENS
        "--vocab v2 --merges m2 --tokenizer t2 >said && cmp v.json v2 && cmp m.txt m2 && cmp t.json t2 && head -1 "
        "one >a && head -1 said | cmp a - && grep -q 'peak memory of rank 0 [1-9]' said");
    for_ranks("ranks $n train-bpe --input short --vocab-size 300 --tokenizer t2 >said && cs336 train-bpe --input short "
              "--vocab-size 300 --tokenizer t3 >said && cmp t2 t3");
    for_ranks("ranks $n train-bpe --pattern gpt4 " INPUTS "--vocab-size 500 " TOKENS
              "--tokenizer t2 >said && cs336 train-bpe --pattern gpt4 " INPUTS "--vocab-size 500 " TOKENS
              "--tokenizer t3 >said && cmp t2 t3");
    ck_assert_int_ne(shell("ls -A | grep -i tmp"), 0);
}
END_TEST

START_TEST(test_ranks_encode_what_one_process_encodes)
{
    write_texts();
    assert_shell_ok(
        "cs336 train-bpe --input stories odd --vocab-size 600 " TOKENS "--tokenizer t.json >said && cs336 "
        "encode --tokenizer t.json " INPUTS "--output ids >one && cs336 encode --tokenizer t.json " INPUTS
        "--output ids.npy >said && cs336 encode --tokenizer t.json --input short odd --pretty >pretty 2>said");
    for_ranks("ranks $n encode --tokenizer t.json " INPUTS
              "--output ids2 >said && cmp ids ids2 && cmp ids.json ids2.json "
              "&& test $(wc -l <said) = 1 && sed 's/, [^,]*$//' one >a && sed 's/, [^,]*$//' said | cmp a -");
    for_ranks("ranks $n encode --tokenizer t.json " INPUTS "--output 2.npy >said && cmp ids.npy 2.npy");
    for_ranks("ranks $n encode --tokenizer t.json --input short odd --pretty >p 2>said && cmp pretty p");
    for_ranks("ranks $n encode --tokenizer t.json " INPUTS "--output - >ids2 2>said && cmp ids ids2");
    for_ranks("ranks $n encode --tokenizer t.json --input empty --output ids2 >said && test ! -s ids2");
    for_ranks(
        "ranks $n encode --tokenizer t.json --input - stories --output ids2 <odd >said && cs336 encode --tokenizer "
        "t.json --input odd stories --output ids3 >said && cmp ids2 ids3");
    ck_assert_int_ne(shell("ls -A | grep -i tmp"), 0);
}
END_TEST

START_TEST(test_ranks_share_streams_by_whole_files)
{
    assert_shell_ok(
        "cs336 story --stories 1000 --output stories >said; gzip -c stories >1.gz; head -c 99999 stories >2; "
        "gzip -c 2 >2.gz; for i in 1 2 3 4 5; do echo '{\"text\": \"the cat \\u00e9\"}'; done >d.jsonl");
    assert_shell_ok("cs336 train-bpe --input stories 2 stories 2 --vocab-size 400 " END FILES
                    ">said && cs336 encode" FILES END "--input stories 2 stories 2 --output ids >said");
    for_ranks("ranks $n train-bpe --input 1.gz 2 stories 2.gz --vocab-size 400 " END
              "--vocab v2 --merges m2 >said 2>noted && cmp v.json v2 && cmp m.txt m2");
    for_ranks("ranks $n train-bpe --input - 2 stories 2.gz --vocab-size 400 " END
              "--vocab v2 --merges m2 <1.gz >said 2>noted && cmp v.json v2 && cmp m.txt m2");
    for_ranks("ranks $n encode" FILES END "--input 1.gz 2 stories 2.gz --output ids2 >said && cmp ids ids2");
    for_ranks("ranks $n encode" FILES END "--input stories 2.gz - 2 --output ids2 <1.gz >said && cmp ids ids2");
    assert_shell_ok("cs336 train-bpe --text-field text --input d.jsonl d.jsonl --vocab-size 270 --tokenizer t >said && "
                    "cs336 encode --tokenizer t --text-field text --input d.jsonl --output ids >said");
    for_ranks("ranks $n train-bpe --text-field text --input d.jsonl d.jsonl --vocab-size 270 --tokenizer t2 >said "
              "2>noted && cmp t t2");
    for_ranks("ranks $n encode --tokenizer t --text-field text --input d.jsonl --output ids2 >said && cmp ids ids2");
    /* A stream that the other rank does not share. */
    ck_assert_int_eq(shell(RANKS "ranks 2 train-bpe --input 1.gz --vocab-size 300 " END "--tokenizer t2"), 0);
    ck_assert_str_eq(shell_errors,
                     "note: 1.gz is compressed, JSON Lines or a pipe, so one of the 2 ranks reads all of it; "
                     "several such files are shared by whole files, plain text by parts\n");
}
END_TEST

/* ---- failures ---- */

/* Rank 1 runs in the directory `other`. */
#define TWO(options) \
    ALLOW MPIRUN "-n 1 \"$program\" " options " : -n 1 sh -c 'cd other && exec \"$program\" " options "'"
#define LEARN "train-bpe --input text --vocab-size 300 --tokenizer t.json"
#define ENCODE "encode --tokenizer old.json --input text --output ids"

/*
 * Fails unless the line exits with an error, prints one line or two, each of which matches its pattern of grep, and
 * writes no file. `second` is NULL if there is no second line.
 */
static void assert_lines(const char *first, const char *second, const char *line)
{
    ck_assert_int_ne(shell("%s", line), 0);
    ck_assert_str_eq(shell_output, "");
    char errors[sizeof shell_errors];
    strcpy(errors, shell_errors);
    write_file(temp_path("errors"), errors, strlen(errors));
    const int code =
        shell("test $(wc -l <errors) = %d && sed -n 1p errors | grep -q '%s' && sed -n '$ p' errors | grep -q '%s'",
              second ? 2 : 1, first, second ? second : first);
    ck_assert_msg(code == 0, "\"%s\", expected %s %s", errors, first, second ? second : "");
    ck_assert_int_ne(shell("find . | grep -E '/(ids|t[.]json|[.])'"), 0);
}

static void assert_one_line(const char *pattern, const char *line)
{
    assert_lines(pattern, NULL, line);
}

START_TEST(test_ranks_without_the_files_end_with_one_line)
{
    assert_shell_ok(
        "mkdir other; echo 'the cat the cat' >text; cs336 train-bpe --input text --vocab-size 260 --tokenizer "
        "old.json >said; cp old.json other; rm said");
    assert_one_line("^cs336 train-bpe: rank 1 on .*: text: ", TWO(LEARN));
    assert_one_line("^cs336 encode: rank 1 on .*: text: cannot read: No such file", TWO(ENCODE));
    assert_shell_ok("echo 'the cat' >other/text");
    assert_one_line(
        "^cs336 train-bpe: rank 1 on .*: text: has 8 bytes here and 16 on rank 0; all ranks need the same files",
        TWO(LEARN));
    assert_one_line(
        "^cs336 encode: rank 1 on .*: text: has 8 bytes here and 16 on rank 0; all ranks need the same files",
        TWO(ENCODE));
    assert_shell_ok(
        "cp text other; cs336 train-bpe --input text --vocab-size 259 --tokenizer other/old.json >said; rm said");
    assert_one_line("^cs336 encode: rank 1 on .*: the tokenizer is not that of rank 0; all ranks need the same files$",
                    TWO(ENCODE));
    /* Both ranks fail alike. */
    assert_one_line("^cs336 train-bpe: none: ",
                    RANKS "ranks 2 train-bpe --input none --vocab-size 300 --tokenizer t.json");
    assert_one_line("^cs336 encode: none: cannot read: No such file",
                    RANKS "ranks 2 encode --tokenizer old.json --input none --output ids");
    assert_one_line("^cs336 train-bpe: .* vocabulary of 3,",
                    RANKS "ranks 2 train-bpe --input text --vocab-size 3 --tokenizer t.json");
}
END_TEST

START_TEST(test_ranks_end_if_a_stream_breaks)
{
    assert_shell_ok(
        "mkdir other; cs336 story --stories 3000 --output text >said; gzip -c text | head -c 90000 >cut.gz; "
        "gzip -c text >text.gz; cs336 train-bpe --input text --vocab-size 300 --tokenizer old.json " END
        ">said; rm said");
    assert_one_line("^cs336 encode: \\(rank . on .*: \\)\\?cut.gz: is truncated",
                    RANKS "ranks 2 encode --tokenizer old.json --input text.gz cut.gz text text --output ids");
    assert_one_line("^cs336 train-bpe: rank 1 on .*: cut.gz: is truncated",
                    RANKS "ranks 2 train-bpe --input text.gz cut.gz --vocab-size 300 --tokenizer t.json " END);
    /* Rank 0 stops, although its text has no end. */
    assert_one_line("^cs336 train-bpe: rank 1 on .*: cut.gz: is truncated",
                    "yes the cat | { " RANKS "ranks 2 train-bpe --input - text.gz cut.gz --vocab-size 300 --tokenizer "
                    "t.json --threads 2; }");
}
END_TEST

START_TEST(test_ranks_end_if_the_disk_is_full)
{
    assert_shell_ok("mkdir other; cs336 story --stories 3000 --output text >said; cs336 train-bpe --input text "
                    "--vocab-size 300 --tokenizer old.json " END ">said; rm said");
    assert_one_line("^cs336 encode: .*No space left",
                    RANKS "ranks 3 encode --tokenizer old.json --input text text text --output /dev/full");
    assert_one_line("^cs336 train-bpe: .*No space left",
                    RANKS "ranks 3 train-bpe --input text --vocab-size 300 --tokenizer /dev/full " END);
}
END_TEST

/*
 * Two ranks write the numbers of their processes, and are stopped half a second after both have opened the text. Where
 * there is no /proc, as on macOS, it is half a second after they have started.
 */
#define STOPPED(command, ranks)                                                                                   \
    ALLOW MPIRUN "-n 2 sh -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec \"$program\" " command                      \
                 " --threads 1 --input $(yes text | head -1000)' & until test -s pid0 && test -s pid1; do sleep " \
                 "0.05; done; for rank in 0 1; do while test -d /proc/$$ && ! ls -l /proc/$(cat pid$rank)/fd "    \
                 "2>>gone | grep -q /text; do sleep 0.05; done; done; sleep 0.5; kill -TERM $(cat " ranks "); wait $!"
#define STOPPED_LEARNING "train-bpe --vocab-size 10000 --special-token \"<|endoftext|>\" --tokenizer t.json"
#define STOPPED_ENCODING "encode --tokenizer old.json --output ids"

/* Ranks that are stopped say it as one process does, in words for people, and how to begin again. */
START_TEST(test_ranks_that_are_stopped_say_so)
{
    static const struct {
        const char *pattern, *line;
    } cases[] = {
        {"^cs336 train-bpe: \\(rank 0 on [^:]*: \\)\\?interrupted after [0-9]* of [0-9]* bytes$",
         STOPPED(STOPPED_LEARNING, "pid0 pid1")},
        {"^cs336 encode: rank 0 on [^:]*: interrupted$", STOPPED(STOPPED_ENCODING, "pid0")},
        {"^cs336 encode: rank 1 on [^:]*: interrupted$", STOPPED(STOPPED_ENCODING, "pid1")},
    };
    assert_shell_ok("mkdir other; cs336 story --stories 12000 --output text >said; cs336 train-bpe --input text "
                    "--vocab-size 300 --tokenizer old.json " END ">said; rm said");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].pattern);
        assert_shell_ok("rm -f pid0 pid1");
        assert_lines(cases[i].pattern,
                     "^cs336 [a-z-]*: a signal has ended the run; to begin again: mpirun -q -n 2 .*/cs336 ",
                     cases[i].line);
    }
    test_label_end();
}
END_TEST

/* One rank prints, and without colours: mpirun gives it a terminal of its own, whatever reads its output. */
START_TEST(test_ranks_print_once_and_without_colours)
{
    assert_shell_ok("cs336 --version >one; " RANKS "ranks 3 --version >all; cmp one all");
    assert_shell_ok("for command in train account; do cs336 $command --help >one; " RANKS
                    "ranks 3 $command --help >all; "
                    "cmp one all || exit 1; done");
    ck_assert_int_ne(shell(RANKS "ranks 3 nonsense"), 0);
    ck_assert_str_eq(shell_errors, "cs336: unknown command \"nonsense\"; cs336 --help lists the commands\n");
    assert_shell_ok("echo 'the cat' >text; cs336 train-bpe --input text --vocab-size 257 --tokenizer t.json " END);
    assert_shell_ok(RANKS "TERM=xterm ranks 2 encode --tokenizer t.json --input text --pretty >said 2>summary; grep -q "
                          "'t.*h.*e' said && ! grep "
                          "'\033' said");
}
END_TEST

const TestCase cli_ranks_texts_tests[] = {
    TEST_UNLESS(test_ranks_learn_what_one_process_learns, "train_bpe", no_mpirun),
    TEST_UNLESS(test_ranks_encode_what_one_process_encodes, "tokenizer", no_mpirun),
    TEST_UNLESS(test_ranks_share_streams_by_whole_files, "tokenizer", no_mpirun_or_gzip),
    TEST_UNLESS(test_ranks_without_the_files_end_with_one_line, "tokenizer", no_mpirun),
    TEST_UNLESS(test_ranks_end_if_a_stream_breaks, "tokenizer", no_mpirun_or_gzip),
    TEST_UNLESS(test_ranks_end_if_the_disk_is_full, "tokenizer", no_mpirun_or_full_device),
    TEST_UNLESS(test_ranks_print_once_and_without_colours, "tokenizer", no_mpirun),
    TEST_UNLESS(test_ranks_that_are_stopped_say_so, "tokenizer", no_mpirun),
    {0},
};
