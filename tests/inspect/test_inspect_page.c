#include "core/file.h"
#include "inspect/attention_page.h"
#include "inspect/embedded.h"
#include "inspect/html_page.h"
#include "inspect/token_label.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- labels of tokens ---- */

START_TEST(test_token_labels_show_every_byte)
{
    static const struct {
        const char *token, *label;
    } cases[] = {
        {"cat", "cat"},
        {"<b>&\"'", "<b>&\"'"},
        {" the", "\xE2\x90\xA3the"},
        {"\n\t\n", "\xE2\x86\xB5\xE2\x86\x92\xE2\x86\xB5"},
        {"\r\x1B[1m\x7F", "\\x0D\\x1B[1m\\x7F"},
        {"\xC3\xA9", "\xC3\xA9"},   /* a letter with an accent */
        {"\xE2\x98", "\\xE2\\x98"}, /* a piece of UTF-8 */
        {"\x98\x83", "\\x98\\x83"}, /* the rest of one */
        {"a\xE2\x80\xAE"
         "b",
         "a\\xE2\\x80\\xAE"
         "b"},                                                          /* right-to-left override */
        {"\xC2\xA0\xE3\x80\x80", "\\xC2\\xA0\\xE3\\x80\\x80"},          /* other blanks */
        {"\xE2\x80\x8B\xEF\xB8\x8F", "\\xE2\\x80\\x8B\\xEF\\xB8\\x8F"}, /* no width */
        {"\xE2\x90\xA3\xE2\x86\xB5", "\\xE2\\x90\\xA3\\xE2\\x86\\xB5"}, /* the marks themselves */
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ByteList label = {0};
        test_label("case %zu", i);
        assert_ok(token_label(&label, byte_string(cases[i].token)));
        assert_ok(byte_list_append(&label, (const uint8_t[]){0}, 1));
        ck_assert_str_eq((const char *)label.bytes, cases[i].label);
        byte_list_deinit(&label);
    }
    ByteList zero = {0};
    assert_ok(token_label(&zero, (ByteString){.bytes = (const uint8_t *)"a\0b", .length = 3}));
    ck_assert_uint_eq(zero.length, 6);
    ck_assert_int_eq(memcmp(zero.bytes, "a\\x00b", 6), 0);
    byte_list_deinit(&zero);
}
END_TEST

/* ---- pages ---- */

static void assert_contains(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "the page does not hold: %s", part);
}

START_TEST(test_html_page_escapes_texts)
{
    static const char harm[] = "</title></script><script>alert('1')</script>\xE2\x80\xA8\" \\ & \xFF\n";
    const char *path = temp_path("page.html");
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    HtmlPage page = html_page_begin(&writer, harm, (const char *const *const[]){NULL});
    html_page_data_begin(&page, "data");
    html_page_json(&page, "[");
    html_page_json_text(&page, harm);
    html_page_json(&page, "]");
    html_page_data_end(&page);
    html_page_script(&page, (const char *const[]){"let a = 1;\n", "let b = 2;\n", NULL});
    assert_ok(html_page_end(&page));
    assert_ok(file_commit(&writer));
    const char *text = file_text(path);
    ck_assert_ptr_null(strstr(text, "<script>alert"));
    assert_contains(text,
                    "<title>&lt;/title&gt;&lt;/script&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\xE2\x80\xA8"
                    "&quot; \\ &amp; \xEF\xBF\xBD\n</title>");
    assert_contains(text, "<script type=\"application/json\" id=\"data\">[\"\\u003C/title\\u003E\\u003C/script\\u003E"
                          "\\u003Cscript\\u003Ealert('1')\\u003C/script\\u003E\\u2028\\\" \\\\ \\u0026 "
                          "\xEF\xBF\xBD\\u000A\"]</script>\n");
    assert_contains(text, "<script>\nlet a = 1;\nlet b = 2;\n</script>\n</main>\n</body>\n</html>\n");
    ck_assert_ptr_null(strstr(text, "://"));
}
END_TEST

/* The scripts that the program carries are those of the files, line by line. */
START_TEST(test_embedded_files_are_whole)
{
    static const struct {
        const char *path;
        const char *const *lines;
    } files[] = {{"cs336_basics/inspect/attention_viewer.js", attention_viewer_js},
                 {"cs336_basics/inspect/attention_viewer.css", attention_viewer_css},
                 {"cs336_basics/inspect/attention_page.js", attention_page_js},
                 {"cs336_basics/inspect/html_page.css", html_page_css},
                 {"cs336_basics/inspect/report_page.js", report_page_js},
                 {"cs336_basics/inspect/report_page.css", report_page_css}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *text = file_text(files[i].path);
        size_t place = 0;
        for (const char *const *line = files[i].lines; *line; place += strlen(*line++))
            ck_assert_msg(strncmp(text + place, *line, strlen(*line)) == 0, "%s: %s", files[i].path, *line);
        ck_assert_uint_eq(place, strlen(text));
    }
}
END_TEST

static const char *const LINES[] = {"2 < 3", NULL}, *const TOKENS[] = {"a", "</script>"};
static const NextToken NEXT[] = {{"b\"", 0.75}, {"c", 0.25}};

static AttentionPage small_page(float *weights)
{
    return (AttentionPage){.title = "T",
                           .lines = LINES,
                           .tokens = TOKENS,
                           .weights = tensor(weights, 1, 2, 2, 2),
                           .next = NEXT,
                           .next_count = 2};
}

START_TEST(test_attention_page_holds_the_weights)
{
    /* Rounding leaves sums such as 1.0000001. */
    float weights[] = {1, 0, 0.1234564F, 0.8765436F, 1.0000001F, 0, 1e-9F, 1};
    const AttentionPage content = small_page(weights);
    const char *path = temp_path("page.html");
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(attention_page_write(&writer, &content));
    assert_ok(file_commit(&writer));
    const char *text = file_text(path);
    assert_contains(text, "<p>2 &lt; 3</p>\n");
    assert_contains(text, "{\"layers\":1,\"heads\":2,\"tokens\":[\"a\",\"\\u003C/script\\u003E\"],"
                          "\"next\":[{\"token\":\"b\\\"\",\"probability\":0.750000},{\"token\":\"c\",\"probability\":"
                          "0.250000}],\"millionths\":[1000000,123456,876544,1000000,0,1000000,0]}</script>");
}
END_TEST

START_TEST(test_attention_page_errors)
{
    float weights[] = {1, 0, 0.5F, 0.5F, 1, 0, NAN, 1};
    const AttentionPage content = small_page(weights);
    FileWriter writer;
    assert_ok(file_create(&writer, temp_path("page.html")));
    assert_fails(attention_page_write(&writer, &content), CS336_ERANGE,
                 "layer 0, head 1: the weight of key 0 for query 1 is nan, expected a number from 0 to 1");
    file_abandon(&writer);
    assert_ok(attention_page_check(4, 16, 1024));
    assert_fails(attention_page_check(4, 16, 1025), CS336_ESHAPE,
                 "1025 tokens in 4 layers of 16 heads have more than 67108864 attention weights, which a page cannot "
                 "hold; expected at most 1024 tokens");
}
END_TEST

static Status write_small_page(void *context)
{
    float weights[] = {1, 0, 0.5F, 0.5F, 1, 0, 0.25F, 0.75F};
    const AttentionPage content = small_page(weights);
    FileWriter writer = {0};
    Status s = file_create(&writer, context);
    if (!s)
        s = attention_page_write(&writer, &content);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

START_TEST(test_attention_page_failures_leave_nothing)
{
    const char *directory = temp_directory("pages");
    char path[512];
    snprintf(path, sizeof path, "%s/page.html", directory);
    assert_write_failures_are_clean(write_small_page, path, directory);
}
END_TEST

const TestCase inspect_page_tests[] = {
    TEST(test_token_labels_show_every_byte, "inspect"),
    TEST(test_html_page_escapes_texts, "inspect"),
    TEST(test_embedded_files_are_whole, "inspect"),
    TEST(test_attention_page_holds_the_weights, "inspect"),
    TEST(test_attention_page_errors, "inspect"),
    TEST(test_attention_page_failures_leave_nothing, "inspect"),
    {0},
};
