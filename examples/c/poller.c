/*
 * Looks at twenty variables a thousand times a second, as a control loop does, and prints those that
 * have changed: poller [ROUNDS]
 *
 * To look costs some nanoseconds where the service shares its memory. So the loop needs no events, and
 * is never late because of them.
 */
#define _POSIX_C_SOURCE 200809L
#include <globstash.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { VARIABLES = 20, PERIOD_NS = 1000000 };

static int fail(void)
{
    fprintf(stderr, "poller: %s\n", globstash_error_text());
    return 1;
}

/* Sleeps until the next millisecond of the clock, however long the round took. */
static void sleep_until_next(struct timespec *next)
{
    next->tv_nsec += PERIOD_NS;
    if (next->tv_nsec >= 1000000000) {
        next->tv_nsec -= 1000000000;
        next->tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) != 0)
        continue;
}

int main(int count, char **arguments)
{
    globstash_variable *axes[VARIABLES];
    long rounds = count > 1 ? atol(arguments[1]) : -1;
    struct timespec next;

    for (int i = 0; i < VARIABLES; i++) {
        char key[32];
        snprintf(key, sizeof key, "machine/axis-%d", i);
        axes[i] = globstash_variable_open(GLOBSTASH_DEFAULT, key);
        if (axes[i] == NULL)
            return fail();
    }
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long round = 0; rounds < 0 || round < rounds; round++) {
        for (int i = 0; i < VARIABLES; i++) {
            const char *value;
            int changed = globstash_variable_changed(axes[i]);
            if (changed < 0)
                return fail();
            if (!changed)
                continue;
            if (globstash_variable_get(axes[i], &value) < 0)
                return fail();
            printf("axis %d is at %s\n", i, value);
            fflush(stdout);
        }
        sleep_until_next(&next);
    }
    for (int i = 0; i < VARIABLES; i++)
        globstash_variable_close(axes[i]);
    return 0;
}
