#include "live.h"

__attribute__((used, visibility("default"))) const char *live_message(void)
{
    return status_message();
}
