#include "inspect/attention_page.h"

#include "core/plural.h"
#include "inspect/embedded.h"
#include "inspect/html_page.h"

#include <math.h>
#include <stdio.h>

Status attention_page_check(size_t layers, size_t heads, size_t seq)
{
    const double all = (double)layers * (double)heads, limit = ATTENTION_PAGE_MAX_WEIGHTS;
    if (all * (double)seq * (double)seq <= limit)
        return CS336_OK;
    return status_fail(
        CS336_ESHAPE,
        "%zu token%s in %zu layer%s of %zu head%s have more than %d attention weights, which a page cannot "
        "hold; expected at most %.0f tokens",
        seq, plural(seq), layers, plural(layers), heads, plural(heads), ATTENTION_PAGE_MAX_WEIGHTS,
        floor(sqrt(limit / all)));
}

/* Writes the tokens as a JSON array. */
static void write_tokens(HtmlPage *page, const char *const *tokens, size_t count)
{
    html_page_json(page, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            html_page_json(page, ",");
        html_page_json_text(page, tokens[i]);
    }
    html_page_json(page, "]");
}

/* Writes the weights of one query, without those of the keys after it, in millionths; fails if one is no weight. */
static void write_query(HtmlPage *page, const float *weights, size_t query, size_t layer, size_t head)
{
    char text[1024];
    size_t length = 0;
    for (size_t key = 0; key <= query; key++) {
        const double weight = (double)weights[key];
        /* Rounding may leave a weight of 1 a little above it. */
        if (!page->status && !(weight >= 0 && weight < 1.001))
            page->status = status_fail(CS336_ERANGE,
                                       "layer %zu, head %zu: the weight of key %zu for query %zu is %g, "
                                       "expected a number from 0 to 1",
                                       layer, head, key, query, weight);
        if (page->status)
            return;
        length += (size_t)snprintf(text + length, sizeof text - length, "%d,", (int)lround(1e6 * fmin(weight, 1)));
        if (length > sizeof text - 16 || key == query) {
            html_page_json(page, text);
            length = 0;
        }
    }
}

/* All weights as one array, in the order (layer, head, query, key <= query). A 0 that nobody reads ends it. */
static void write_weights(HtmlPage *page, Tensor weights)
{
    const size_t heads = weights.shape[1], seq = weights.shape[3], rows = tensor_rows(weights);
    html_page_json(page, "[");
    for (size_t row = 0; row < rows; row++)
        write_query(page, tensor_row(weights, row), row % seq, row / seq / heads, row / seq % heads);
    html_page_json(page, "0]");
}

static void write_next(HtmlPage *page, const NextToken *next, size_t count)
{
    char text[48];
    html_page_json(page, "[");
    for (size_t i = 0; i < count; i++) {
        html_page_json(page, i ? ",{\"token\":" : "{\"token\":");
        html_page_json_text(page, next[i].label);
        snprintf(text, sizeof text, ",\"probability\":%.6f}", next[i].probability);
        html_page_json(page, text);
    }
    html_page_json(page, "]");
}

static void write_data(HtmlPage *page, const AttentionPage *content)
{
    const Tensor w = content->weights;
    char text[96];
    html_page_data_begin(page, "attention-data");
    snprintf(text, sizeof text, "{\"layers\":%zu,\"heads\":%zu,\"tokens\":", w.shape[0], w.shape[1]);
    html_page_json(page, text);
    write_tokens(page, content->tokens, w.shape[3]);
    html_page_json(page, ",\"next\":");
    write_next(page, content->next, content->next_count);
    html_page_json(page, ",\"millionths\":");
    write_weights(page, w);
    html_page_json(page, "}");
    html_page_data_end(page);
}

Status attention_page_write(FileWriter *writer, const AttentionPage *content)
{
    const Tensor w = content->weights;
    const Status s = attention_page_check(w.shape[0], w.shape[1], w.shape[3]);
    if (s)
        return s;
    HtmlPage page = html_page_begin(writer, content->title, (const char *const *const[]){attention_viewer_css, NULL});
    for (const char *const *line = content->lines; *line; line++) {
        html_page_markup(&page, "<p>");
        html_page_text(&page, *line);
        html_page_markup(&page, "</p>\n");
    }
    html_page_markup(&page, "<div id=\"attention\"><p>The viewer is a script, and scripts are turned off.</p></div>\n");
    write_data(&page, content);
    html_page_script(&page, attention_viewer_js);
    html_page_script(&page, attention_page_js);
    return html_page_end(&page);
}
