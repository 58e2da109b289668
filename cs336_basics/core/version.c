#include "core/version.h"

const char *cs336_version(void)
{
    return CS336_VERSION; /* from the Makefile, where the SONAME and the pkg-config file take it from too */
}
