/* Values and keys of every length, where what is next to them belongs to nobody. */
#define _DEFAULT_SOURCE
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LONGEST = 200, KEY_MAX = 255 };

static char text[LONGEST + 1];

/* No byte behind the end of a buffer is touched, and none behind a value but the zeros of its last word. */
static void values_of_every_length(void)
{
    char buffer[LONGEST + 32];
    for (size_t length = 0; length <= LONGEST; length++) {
        uint64_t revision = 0, read = 0;
        CHECK(globstash_set_at(GLOBSTASH_DEFAULT, "value", text, length, NULL, &revision) == 0);
        for (size_t size = 0; size < length + 20; size++) {
            memset(buffer, '?', sizeof buffer);
            CHECK(globstash_get_at(GLOBSTASH_DEFAULT, "value", buffer, size, &read) == (ssize_t)length);
            CHECK(read == revision);
            size_t end = size == 0 ? 0 : length < size ? length + 1 : 1;
            CHECK(length >= size || memcmp(buffer, text, length) == 0);
            CHECK(end == 0 || buffer[end - 1] == '\0');
            for (; end < size && length < size && end % 8 != 0; end++)
                CHECK(buffer[end] == '\0' || buffer[end] == '?');
            for (; end < sizeof buffer; end++)
                CHECK(buffer[end] == '?');
        }
        char *exact = malloc(length + 1);
        CHECK(exact != NULL && globstash_get("value", exact, length + 1) == (ssize_t)length);
        CHECK(memcmp(exact, text, length) == 0 && exact[length] == '\0');
        free(exact);
    }
}

/* A key is read to its NUL, and nothing that could not be is read around it. */
static void keys_of_every_length(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_READ | PROT_WRITE) == 0);
    for (size_t length = 1; length <= KEY_MAX; length++) {
        char value[24], found[24];
        char *key = malloc(length + 1);
        CHECK(key != NULL);
        memset(key, 'k', length);
        key[length] = '\0';
        snprintf(value, sizeof value, "%zu", length);
        CHECK(globstash_set(key, value) == 0);
        CHECK(globstash_get(key, found, sizeof found) > 0 && strcmp(found, value) == 0);
        char *first = pages + page, *last = pages + 2 * page - length - 1;
        memcpy(last, key, length + 1);
        CHECK(globstash_get(last, found, sizeof found) > 0 && strcmp(found, value) == 0);
        memcpy(first, key, length + 1);
        CHECK(globstash_get(first, found, sizeof found) > 0 && strcmp(found, value) == 0);
        /* The NUL before it does not end it. */
        first[0] = '\0';
        if (length > 1)
            CHECK(globstash_get(first + 1, found, sizeof found) > 0);
        CHECK(length == 1 || strtol(found, NULL, 10) == (long)length - 1);
        free(key);
    }
    char found[24];
    memset(pages + page, 'k', KEY_MAX + 1);
    pages[page + KEY_MAX + 1] = '\0';
    FAILS(globstash_get(pages + page, found, sizeof found), GLOBSTASH_ERROR_KEY, "kkkk");
    CHECK(munmap(pages, 3 * page) == 0);
}

static volatile int is_over;

/* As many of a letter as that letter stands for. */
static size_t length_of(char letter)
{
    static const size_t lengths[] = {1, 7, 8, 9, 15, 16, 17, 24, 40, 63, 64, 65, 100, 200};
    return lengths[(size_t)(letter - 'a') % (sizeof lengths / sizeof *lengths)];
}

static void *set(void *unused)
{
    (void)unused;
    char value[LONGEST];
    for (int i = 0; !is_over; i++) {
        char letter = (char)('a' + i % 14);
        memset(value, letter, sizeof value);
        CHECK(globstash_set_at(GLOBSTASH_DEFAULT, "torn", value, length_of(letter), NULL, NULL) == 0);
    }
    return NULL;
}

static void half_a_change_is_never_seen(void)
{
    pthread_t writer;
    char buffer[LONGEST + 1], whole[LONGEST];
    CHECK(globstash_set("torn", "a") == 0);
    CHECK(pthread_create(&writer, NULL, set, NULL) == 0);
    for (int i = 0; i < 10000; i++) {
        /* One thread at a time runs under valgrind. */
        if (i % 100 == 0)
            CHECK(sched_yield() == 0);
        for (size_t size = 2; size <= sizeof buffer; size += 7) {
            ssize_t length = globstash_get("torn", buffer, size);
            CHECK(length > 0);
            if ((size_t)length >= size) {
                CHECK(buffer[0] == '\0');
                continue;
            }
            CHECK(buffer[0] >= 'a' && buffer[0] < 'a' + 14);
            CHECK((size_t)length == length_of(buffer[0]));
            memset(whole, buffer[0], sizeof whole);
            CHECK(memcmp(buffer, whole, (size_t)length) == 0 && buffer[length] == '\0');
        }
    }
    is_over = 1;
    CHECK(pthread_join(writer, NULL) == 0);
}

int main(void)
{
    for (size_t i = 0; i < LONGEST; i++)
        text[i] = (char)('!' + i * 31 % 90);
    /* What is read before there is a map, and after. */
    CHECK(globstash_is_mapped(GLOBSTASH_DEFAULT) == 1);
    values_of_every_length();
    keys_of_every_length();
    half_a_change_is_never_seen();
    return 0;
}
