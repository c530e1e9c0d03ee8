/* stop.c - signals that a training run answers between two steps. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

static volatile sig_atomic_t asked_to_stop, asked_to_save;

static void note(int signal_number)
{
    if (signal_number == SIGUSR2)
        asked_to_save = 1;
    else
        asked_to_stop = signal_number;
}

static void catch(int signal_number, int flags)
{
    struct sigaction old, new = {0};

    new.sa_handler = note;
    new.sa_flags = SA_RESTART | flags;
    if (sigaction(signal_number, NULL, &old) == 0 &&
        old.sa_handler != SIG_IGN)
        sigaction(signal_number, &new, NULL);
}

void stop_listen(void)
{
    catch(SIGINT, (int)SA_RESETHAND);
    catch(SIGTERM, 0);
    catch(SIGHUP, 0);
    catch(SIGUSR1, 0);
    catch(SIGUSR2, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int stop_signal(void)
{
    return asked_to_stop;
}

bool stop_save_asked(void)
{
    bool asked = asked_to_save;

    asked_to_save = 0;
    return asked;
}

void stop_die(int signal_number)
{
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    exit(128 + signal_number);
}
