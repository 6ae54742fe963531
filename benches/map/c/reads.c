/*
 * Reads variables as a program in C does, and says how long that takes.
 *
 * First come the keys to ask for, of 16 bytes, one a line, and an empty line. Then each line is a case and a
 * number of milliseconds; the answer is the nanoseconds that an operation takes, in the same way as the
 * bench itself counts: the mean of the middle eight tenths of all batches.
 */
#define _POSIX_C_SOURCE 200809L
#include <globstash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 512, LENGTH = 16, KEYS = 4096, BATCHES = 1 << 20 };

static char keys[KEYS][LENGTH + 1];
static size_t count, next;
static globstash_variable *variable;
static uint32_t batches[BATCHES];

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, globstash_error_text());
    exit(1);
}

static void get(void)
{
    char value[LENGTH + 1];
    if (globstash_get(keys[next], value, sizeof value) != LENGTH)
        fail("get");
    next = next + 1 == count ? 0 : next + 1;
}

static void read_variable(void)
{
    const char *value;
    char copy[LENGTH];
    if (globstash_variable_get(variable, &value) != LENGTH)
        fail("read");
    memcpy(copy, value, LENGTH);
    /* The copy must be made. */
    __asm__ volatile("" : : "r"(copy) : "memory");
}

static void look_at_variable(void)
{
    if (globstash_variable_changed(variable) != 0)
        fail("changed");
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Inlined with each operation: a call through a pointer is not what is measured. */
static inline __attribute__((always_inline)) double pace(void (*operation)(void), int64_t slice)
{
    int64_t begin = now(), last = begin;
    size_t length = 0;
    while (last - begin < slice && length < BATCHES) {
        for (int i = 0; i < BATCH; i++)
            operation();
        int64_t end = now();
        batches[length++] = (uint32_t)(end - last);
        last = end;
    }
    qsort(batches, length, sizeof *batches, compare);
    double sum = 0;
    size_t cut = length / 10;
    for (size_t i = cut; i < length - cut; i++)
        sum += batches[i];
    return sum / (double)(length - 2 * cut) / BATCH;
}

int main(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL && line[0] != '\n') {
        if (count == KEYS || strlen(line) != LENGTH + 1)
            return 2;
        memcpy(keys[count++], line, LENGTH);
    }
    variable = count > 0 ? globstash_variable_open(GLOBSTASH_DEFAULT, keys[0]) : NULL;
    const char *value;
    if (variable == NULL || globstash_variable_get(variable, &value) != LENGTH)
        fail("open");
    if (globstash_is_mapped(GLOBSTASH_DEFAULT) != 1)
        fail("the service gives no map");
    while (fgets(line, sizeof line, stdin) != NULL) {
        char name[16];
        long milliseconds;
        if (sscanf(line, "%15s %ld", name, &milliseconds) != 2)
            return 2;
        int64_t slice = milliseconds * 1000000LL;
        double ns = strcmp(name, "get") == 0    ? pace(get, slice)
                    : strcmp(name, "read") == 0 ? pace(read_variable, slice)
                                                : pace(look_at_variable, slice);
        printf("%.3f\n", ns);
        fflush(stdout);
    }
    return 0;
}
