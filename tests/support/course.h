/**
 * @file
 * @brief The course's own text fixtures, where the environment variable COURSE names their directory.
 */
#ifndef CS336_TESTS_SUPPORT_COURSE_H
#define CS336_TESTS_SUPPORT_COURSE_H

/** @brief "$COURSE/name" in one of eight buffers in turn; NULL without COURSE: the runner has said that these parts are
 * skipped. */
const char *course_path(const char *name);

#endif
