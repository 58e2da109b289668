/**
 * @file
 * @brief Writes a page for a browser that needs no other file: style, text, data and scripts are in it.
 *
 * - The page works from the disk, without a network. It forbids itself to load anything (Content-Security-Policy).
 * - Text from files and command lines is escaped, so nothing in it is obeyed as HTML or as a script.
 * - The page remembers its first error, so the calls need no test of their own: html_page_end() returns it.
 *
 * @code
 * HtmlPage page = html_page_begin(&writer, "Title", (const char *const *const[]){viewer_css, NULL});
 * html_page_markup(&page, "<p>");
 * html_page_text(&page, "3 < 4");
 * html_page_markup(&page, "</p>\n");
 * html_page_data_begin(&page, "data");
 * html_page_json(&page, "{\"name\":");
 * html_page_json_text(&page, name);
 * html_page_json(&page, "}");
 * html_page_data_end(&page);
 * html_page_script(&page, viewer_js);
 * Status s = html_page_end(&page);
 * @endcode
 */
#ifndef CS336_INSPECT_HTML_PAGE_H
#define CS336_INSPECT_HTML_PAGE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

CS336_API_BEGIN

/** @brief A page that is being written. It owns nothing. */
typedef struct {
    FileWriter *writer; /**< where the bytes go; the caller commits or abandons it */
    Status status;      /**< the first error; later calls then do nothing */
} HtmlPage;

/**
 * @brief Begins a page: its head, and a heading with the title.
 * @param[in] writer  an open file
 * @param[in] title   any text
 * @param[in] styles  lists of lines (inspect/embedded.h), written after the page's own style; NULL ends them
 */
HtmlPage html_page_begin(FileWriter *writer, const char *title, const char *const *const *styles);

/** @brief Writes HTML as it is: only for text that the program itself holds. */
void html_page_markup(HtmlPage *page, const char *markup);

/** @brief Writes a text with `<`, `>`, `&` and quotes escaped. Malformed UTF-8 becomes U+FFFD. */
void html_page_text(HtmlPage *page, const char *text);

/** @brief Begins a block of data. A script finds the element by its id, and parses its text as JSON. */
void html_page_data_begin(HtmlPage *page, const char *id);

/** @brief Writes a piece of JSON as it is: punctuation and numbers, which hold no `<`. */
void html_page_json(HtmlPage *page, const char *json);

/**
 * @brief Writes a text as a JSON string, quotes included. `<`, `>`, `&`, U+2028 and U+2029 are written as `\uNNNN`: so
 * the text can neither end the script element nor a line of a script. Malformed UTF-8 becomes U+FFFD.
 */
void html_page_json_text(HtmlPage *page, const char *text);

/** @brief Ends the block of data. */
void html_page_data_end(HtmlPage *page);

/** @brief Writes a script, a list of lines that NULL ends. It must not hold `</script`. */
void html_page_script(HtmlPage *page, const char *const *lines);

/** @brief Ends the page. @return the first error of all calls: CS336_EIO */
CS336_MUST_CHECK Status html_page_end(HtmlPage *page);

CS336_API_END

#endif
