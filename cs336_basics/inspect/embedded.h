/**
 * @file
 * @brief Scripts and styles of this folder as text. The Makefile makes a C file of each, so that the program carries
 * them.
 *
 * Each is a list of lines, with their line feeds, that NULL ends: C compilers need not accept a string longer than 4095
 * characters.
 */
#ifndef CS336_INSPECT_EMBEDDED_H
#define CS336_INSPECT_EMBEDDED_H

#include "core/api.h"

CS336_INTERNAL_BEGIN

extern const char *const attention_viewer_js[], /**< attention_viewer.js */
    *const attention_viewer_css[],              /**< attention_viewer.css */
        *const attention_page_js[],             /**< attention_page.js */
            *const html_page_css[];             /**< html_page.css */
extern const char *const report_page_js[],      /**< report_page.js */
    *const report_page_css[];                   /**< report_page.css */

CS336_INTERNAL_END

#endif
