/* err.c - the message of the thread's oldest failure.  The first call after
 * a clear wins: it knows the cause, those that follow only the consequence. */
#include "base.h"

#include <stdio.h>

static _Thread_local char message[4096];
static _Thread_local int status;

int pcv_fail(int code, const char *format, ...)
{
    va_list ap;

    if (status)
        return -1;
    status = code ? code : EX_SOFTWARE;
    va_start(ap, format);
    if (vsnprintf(message, sizeof message, format, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    return -1;
}

const char *pcv_error(void)
{
    return message;
}

int pcv_error_code(void)
{
    return status;
}

void pcv_error_clear(void)
{
    message[0] = '\0';
    status = 0;
}
