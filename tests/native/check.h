/* For programs that test the library: what must be so, or they fail and say where and why. */
#ifndef CHECK_H
#define CHECK_H

#include <globstash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most calls are of it. */
#define DEFAULT GLOBSTASH_DEFAULT

#define CHECK(what)                                                                      \
    do {                                                                                 \
        if (!(what)) {                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n  last failure: %d, %s\n", __FILE__,     \
                    __LINE__, #what, globstash_error_code(), globstash_error_text());    \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

/* It must fail with this number, and with a text that has these words in it. */
#define FAILS(call, code, words)                                                         \
    do {                                                                                 \
        CHECK((call) == (code));                                                         \
        CHECK(globstash_error_code() == (code));                                         \
        CHECK(strstr(globstash_error_text(), words) != NULL);                            \
    } while (0)

/* The same of what returns a pointer. */
#define FAILS_TO_OPEN(call, code, words)                                                 \
    do {                                                                                 \
        CHECK((call) == NULL);                                                           \
        CHECK(globstash_error_code() == (code));                                         \
        CHECK(strstr(globstash_error_text(), words) != NULL);                            \
    } while (0)

#endif
