/* err.c - the message of the thread's oldest failure.  The first call after
 * a clear wins: it knows the cause, those that follow only the consequence.
 * And its newest remark. */
#include "base.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char message[4096];
static _Thread_local int status;
static _Thread_local char remark[512], taken[512];

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

void pcv_remark(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (vsnprintf(remark, sizeof remark, format, ap) < 0)
        remark[0] = '\0';
    va_end(ap);
}

const char *pcv_remark_take(void)
{
    memcpy(taken, remark, sizeof taken);
    remark[0] = '\0';
    return taken;
}
