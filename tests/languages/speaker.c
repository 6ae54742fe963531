/* Speaks C for tests/languages: a line is a request, a line is the answer. Values are in hexadecimal,
 * and "-" is the empty one. See speakers.rs. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <globstash.h>

/* Nobody watches more variables than there are writers. */
#define WATCHES 16

static struct {
    char key[256];
    globstash_watch *watch;
} watches[WATCHES];

/* sscanf would look for the end of the line for each digit. */
static int digit(char hex)
{
    return hex <= '9' ? hex - '0' : hex - 'a' + 10;
}

static char *unhex(const char *word, size_t *length)
{
    *length = strcmp(word, "-") ? strlen(word) / 2 : 0;
    char *value = malloc(*length + 1);
    for (size_t at = 0; at < *length; at++)
        value[at] = (char)(digit(word[2 * at]) << 4 | digit(word[2 * at + 1]));
    return value;
}

static void tell(const char *word, const char *value, size_t length)
{
    printf("%s %s", word, length ? "" : "-");
    for (size_t at = 0; at < length; at++)
        printf("%02x", (unsigned char)value[at]);
    putchar('\n');
}

static void failed(void)
{
    printf("failed %d %s\n", globstash_error_code(), globstash_error_text());
}

static void set(const char *key, const char *word, long long ttl)
{
    size_t length;
    char *value = unhex(word, &length);
    globstash_terms terms = { .ttl_ms = ttl };
    if (globstash_set_at(GLOBSTASH_DEFAULT, key, value, length, ttl ? &terms : NULL, NULL) < 0)
        failed();
    else
        puts("done");
    free(value);
}

static void get(const char *key)
{
    char *value;
    uint64_t revision;
    ssize_t length = globstash_get_alloc(GLOBSTASH_DEFAULT, key, &value, &revision);
    if (length < 0) {
        failed();
        return;
    }
    if (revision)
        tell("value", value, (size_t)length);
    else
        puts("none");
    free(value);
}

static void delete(const char *key)
{
    int deleted = globstash_delete(key);
    if (deleted < 0)
        failed();
    else
        puts(deleted ? "deleted" : "none");
}

static void take(const char *key, const char *word)
{
    size_t length;
    char *value = unhex(word, &length), taken[300];
    snprintf(taken, sizeof taken, "%s/taken", key);
    globstash_step steps[] = {
        { .kind = GLOBSTASH_DO_DELETE, .key = key,
          .only_if = { .kind = GLOBSTASH_IF_VALUE, .data = value, .length = length } },
        { .kind = GLOBSTASH_DO_SET, .key = taken, .data = value, .length = length },
    };
    int result = globstash_apply(GLOBSTASH_DEFAULT, steps, 2, NULL);
    if (result == GLOBSTASH_ERROR_CONDITION)
        puts("refused");
    else if (result < 0)
        failed();
    else
        puts("done");
    free(value);
}

static void watch(const char *key)
{
    for (size_t at = 0; at < WATCHES; at++) {
        if (watches[at].watch)
            continue;
        watches[at].watch = globstash_watch_open(GLOBSTASH_DEFAULT, key, GLOBSTASH_FROM_NOW);
        snprintf(watches[at].key, sizeof watches[at].key, "%s", key);
        if (watches[at].watch)
            puts("done");
        else
            failed();
        return;
    }
    puts("failed: no room for a watch");
}

static void next(const char *key)
{
    globstash_event event;
    size_t at = 0;
    while (at < WATCHES && strcmp(watches[at].key, key))
        at++;
    if (at == WATCHES || globstash_watch_wait(watches[at].watch, &event, -1) <= 0) {
        failed();
        return;
    }
    switch (event.change) {
    case GLOBSTASH_CHANGE_SET:
        tell("set", event.value, event.length);
        break;
    case GLOBSTASH_CHANGE_EXPIRED:
        puts("expired");
        break;
    default:
        puts("deleted");
    }
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        char *verb = strtok(line, " \n"), *key = strtok(NULL, " \n");
        char *value = strtok(NULL, " \n"), *ttl = strtok(NULL, " \n");
        if (!strcmp(verb, "set") || !strcmp(verb, "set_for"))
            set(key, value, ttl ? atoll(ttl) : 0);
        else if (!strcmp(verb, "get"))
            get(key);
        else if (!strcmp(verb, "delete"))
            delete(key);
        else if (!strcmp(verb, "take"))
            take(key, value);
        else if (!strcmp(verb, "watch"))
            watch(key);
        else
            next(key);
        fflush(stdout);
    }
    for (size_t at = 0; at < WATCHES; at++)
        globstash_watch_close(watches[at].watch);
    free(line);
    return 0;
}
