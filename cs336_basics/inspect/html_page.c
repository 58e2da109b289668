#include "inspect/html_page.h"

#include "inspect/embedded.h"
#include "tokenizer/unicode.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void put(HtmlPage *page, const void *bytes, size_t count)
{
    if (!page->status)
        page->status = file_write(page->writer, bytes, count);
}

void html_page_markup(HtmlPage *page, const char *markup)
{
    put(page, markup, strlen(markup));
}

static void write_lines(HtmlPage *page, const char *const *lines)
{
    for (; *lines; lines++)
        html_page_markup(page, *lines);
}

/* Writes a text, and for each character that `escape` knows, what `escape` returns; malformed UTF-8 as U+FFFD. */
static void write_escaped(HtmlPage *page, const char *text, const char *(*escape)(uint32_t code_point))
{
    const uint8_t *bytes = (const uint8_t *)text;
    const size_t length = strlen(text);
    size_t plain = 0; /* where the bytes begin that are not written yet */
    for (size_t i = 0; i < length;) {
        const Utf8Character c = utf8_decode(bytes + i, length - i);
        const char *other = c.status == UTF8_VALID ? escape(c.code_point) : "\xEF\xBF\xBD";
        if (other) {
            put(page, bytes + plain, i - plain);
            html_page_markup(page, other);
            plain = i + c.length;
        }
        i += c.length;
    }
    put(page, bytes + plain, length - plain);
}

static const char *escape_html(uint32_t code_point)
{
    switch (code_point) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* A control character or one that is special in HTML as \uNNNN, which means the same in a JSON string. */
static const char *escape_json(uint32_t code_point)
{
    static char escaped[8];
    if (code_point == '"')
        return "\\\"";
    if (code_point == '\\')
        return "\\\\";
    if (code_point >= ' ' && code_point != '<' && code_point != '>' && code_point != '&' && code_point != 0x2028 &&
        code_point != 0x2029)
        return NULL;
    snprintf(escaped, sizeof escaped, "\\u%04X", (unsigned)code_point & 0xFFFF);
    return escaped;
}

HtmlPage html_page_begin(FileWriter *writer, const char *title, const char *const *const *styles)
{
    HtmlPage page = {.writer = writer};
    html_page_markup(&page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                            "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n"
                            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html_page_text(&page, title);
    html_page_markup(&page, "</title>\n<style>\n");
    write_lines(&page, html_page_css);
    for (; *styles; styles++)
        write_lines(&page, *styles);
    html_page_markup(&page, "</style>\n</head>\n<body>\n<main>\n<h1>");
    html_page_text(&page, title);
    html_page_markup(&page, "</h1>\n");
    return page;
}

void html_page_text(HtmlPage *page, const char *text)
{
    write_escaped(page, text, escape_html);
}

void html_page_data_begin(HtmlPage *page, const char *id)
{
    html_page_markup(page, "<script type=\"application/json\" id=\"");
    html_page_text(page, id);
    html_page_markup(page, "\">");
}

void html_page_json(HtmlPage *page, const char *json)
{
    assert(!strchr(json, '<'));
    html_page_markup(page, json);
}

void html_page_json_text(HtmlPage *page, const char *text)
{
    html_page_markup(page, "\"");
    write_escaped(page, text, escape_json);
    html_page_markup(page, "\"");
}

void html_page_data_end(HtmlPage *page)
{
    html_page_markup(page, "</script>\n");
}

void html_page_script(HtmlPage *page, const char *const *lines)
{
    html_page_markup(page, "<script>\n");
    for (const char *const *line = lines; *line; line++)
        assert(!strstr(*line, "</script") && !strstr(*line, "<!--"));
    write_lines(page, lines);
    html_page_markup(page, "</script>\n");
}

Status html_page_end(HtmlPage *page)
{
    html_page_markup(page, "</main>\n</body>\n</html>\n");
    return page->status;
}
