#include "core/version.h"

const char *cs336_version(void)
{
    return CS336_VERSION; /* defined in the Makefile, which uses it for the SONAME and the pkg-config file too */
}
