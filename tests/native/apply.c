/* Several changes at once: all of them or none. */
#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int holds(const char *key, const char *wanted)
{
    char value[64];
    return globstash_get(key, value, sizeof value) >= 0 && strcmp(value, wanted) == 0;
}

static void all_of_them(void)
{
    uint64_t revision = 0, found = 0;
    char value[8];
    CHECK(globstash_set("queue/1", "wash up") == 0);
    globstash_step take[] = {
        {.kind = GLOBSTASH_DO_DELETE, .key = "queue/1", .only_if = {.kind = GLOBSTASH_IF_DEFINED}},
        {.kind = GLOBSTASH_DO_SET, .key = "taken/1", .data = "a\0b", .length = 3},
        {.kind = GLOBSTASH_DO_INCREMENT, .key = "count/taken", .by = "1"},
        {.kind = GLOBSTASH_DO_INCREMENT, .key = "count/taken", .by = "0.5"},
        {.kind = GLOBSTASH_DO_SET, .key = "taken/nothing"},
        {.kind = GLOBSTASH_DO_CHECK, .key = "none", .only_if = {.kind = GLOBSTASH_IF_UNDEFINED}},
    };
    CHECK(globstash_apply(DEFAULT, take, COUNT(take), &revision) == 0);
    CHECK(globstash_exists("queue/1") == 0 && globstash_exists("none") == 0);
    CHECK(globstash_get_at(DEFAULT, "taken/1", value, sizeof value, &found) == 3);
    CHECK(memcmp(value, "a\0b", 4) == 0 && found == revision);
    CHECK(globstash_exists_at(DEFAULT, "taken/nothing", &found) == 1 && found == revision);
    CHECK(globstash_exists_at(DEFAULT, "count/taken", &found) == 1 && found == revision);
    CHECK(holds("count/taken", "1.5"));
}

static void none_of_them(void)
{
    uint64_t revision = 0, before = 0, number = 0;
    CHECK(globstash_set_at(DEFAULT, "job", "open", 4, NULL, &before) == 0);
    CHECK(globstash_set_at(DEFAULT, "number", "1", 1, NULL, &number) == 0);
    globstash_step steps[] = {
        {.kind = GLOBSTASH_DO_SET, .key = "first", .value = "1"},
        {.kind = GLOBSTASH_DO_DELETE, .key = "number"},
        {.kind = GLOBSTASH_DO_SET, .key = "job", .value = "mine",
         .only_if = {.kind = GLOBSTASH_IF_VALUE, .value = "closed"}},
    };
    /* The last condition fails, and so do the steps before it. */
    FAILS(globstash_apply(DEFAULT, steps, COUNT(steps), &revision), GLOBSTASH_ERROR_CONDITION,
          "job is");
    CHECK(strcmp(globstash_error_key(), "job") == 0);
    CHECK(revision == before && globstash_exists("first") == 0 && holds("job", "open"));
    CHECK(globstash_exists_at(DEFAULT, "number", &revision) == 1 && revision == number);
    steps[2].key = "none";
    FAILS(globstash_apply(DEFAULT, steps, COUNT(steps), &revision), GLOBSTASH_ERROR_CONDITION,
          "none is not defined");
    CHECK(strcmp(globstash_error_key(), "none") == 0);
    CHECK(revision == 0 && globstash_exists("first") == 0 && holds("number", "1"));
    /* A change that cannot be made. */
    globstash_step impossible[] = {
        {.kind = GLOBSTASH_DO_SET, .key = "first", .value = "1"},
        {.kind = GLOBSTASH_DO_INCREMENT, .key = "job", .by = "1"},
    };
    FAILS(globstash_apply(DEFAULT, impossible, 2, NULL), GLOBSTASH_ERROR_NUMBER, "job does not hold");
    CHECK(strcmp(globstash_error_key(), "job") == 0);
    CHECK(globstash_exists("first") == 0);
    impossible[1].by = "x";
    FAILS(globstash_apply(DEFAULT, impossible, 2, NULL), GLOBSTASH_ERROR_ARGUMENT, "is no number");
    CHECK(globstash_exists("first") == 0);
    /* The same without what stood in the way. */
    steps[2].key = "job";
    steps[2].only_if.value = "open";
    CHECK(globstash_apply(DEFAULT, steps, COUNT(steps), NULL) == 0);
    CHECK(holds("first", "1") && holds("job", "mine") && globstash_exists("number") == 0);
}

static void together_for_those_who_watch(void)
{
    globstash_event event;
    uint64_t revision = 0;
    globstash_step both[] = {
        {.kind = GLOBSTASH_DO_SET, .key = "screen/width", .value = "1920"},
        {.kind = GLOBSTASH_DO_SET, .key = "screen/height", .value = "1080",
         .ttl_ms = 1},
    };
    globstash_watch *watch = globstash_watch_open(DEFAULT, "screen/", GLOBSTASH_FROM_NOW);
    CHECK(watch != NULL && globstash_apply(DEFAULT, both, COUNT(both), &revision) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
        CHECK(event.change == GLOBSTASH_CHANGE_SET && event.revision == revision);
    }
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
    CHECK(event.change == GLOBSTASH_CHANGE_EXPIRED && strcmp(event.key, "screen/height") == 0);
    globstash_watch_close(watch);
}

static void nothing_at_all(void)
{
    uint64_t before = 0, revision = 0;
    CHECK(globstash_set_at(DEFAULT, "last", "", 0, NULL, &before) == 0);
    CHECK(globstash_apply(DEFAULT, NULL, 0, &revision) == 0 && revision == before);
    globstash_step gone = {.kind = GLOBSTASH_DO_DELETE, .key = "none"};
    CHECK(globstash_apply(DEFAULT, &gone, 1, &revision) == 0 && revision == before);
}

#define REFUSED(code, words, ...)                                                        \
    do {                                                                                 \
        globstash_step steps[] = {{.kind = GLOBSTASH_DO_SET, .key = "refused"}, __VA_ARGS__}; \
        FAILS(globstash_apply(DEFAULT, steps, 2, NULL), code, words);                    \
        CHECK(globstash_exists("refused") == 0);                                         \
    } while (0)

static void what_is_refused(void)
{
    FAILS(globstash_apply(DEFAULT, NULL, 1, NULL), GLOBSTASH_ERROR_ARGUMENT, "steps is NULL");
    FAILS(globstash_apply(NULL, NULL, 0, NULL), GLOBSTASH_ERROR_ARGUMENT, "stash is NULL");
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: there is no step of kind 0", {.key = "a"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: there is no step of kind 5", {.kind = 5, .key = "a"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: the key is NULL", {.kind = GLOBSTASH_DO_DELETE});
    REFUSED(GLOBSTASH_ERROR_KEY, "steps[1]: the key is not UTF-8",
            {.kind = GLOBSTASH_DO_DELETE, .key = "\xff"});
    REFUSED(GLOBSTASH_ERROR_KEY, "'a=b' cannot be a key", {.kind = GLOBSTASH_DO_DELETE, .key = "a=b"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: there is nothing to check",
            {.kind = GLOBSTASH_DO_CHECK, .key = "a"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: the number is NULL",
            {.kind = GLOBSTASH_DO_INCREMENT, .key = "a"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: the value is NULL",
            {.kind = GLOBSTASH_DO_SET, .key = "a", .length = 1});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: data and length are for bytes",
            {.kind = GLOBSTASH_DO_SET, .key = "a", .value = "b", .length = 1});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: data and length are for bytes",
            {.kind = GLOBSTASH_DO_DELETE, .key = "a",
             .only_if = {.kind = GLOBSTASH_IF_VALUE, .value = "b", .data = "b"}});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "steps[1]: ttl_ms is negative",
            {.kind = GLOBSTASH_DO_SET, .key = "a", .ttl_ms = -1});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "ttl_ms are for GLOBSTASH_DO_SET",
            {.kind = GLOBSTASH_DO_DELETE, .key = "a", .ttl_ms = 1});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "by is for GLOBSTASH_DO_INCREMENT",
            {.kind = GLOBSTASH_DO_SET, .key = "a", .by = "1"});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "only for waiting",
            {.kind = GLOBSTASH_DO_DELETE, .key = "a", .only_if = {.kind = GLOBSTASH_IF_CHANGED}});
    REFUSED(GLOBSTASH_ERROR_ARGUMENT, "reserved",
            {.kind = GLOBSTASH_DO_DELETE, .key = "a", .reserved = {0, 0, 0, 1}});
}

static void as_many_as_can_be(void)
{
    enum { MOST = 4096 };
    globstash_step *steps = calloc(MOST + 1, sizeof *steps);
    CHECK(steps != NULL);
    for (int i = 0; i <= MOST; i++) {
        steps[i].kind = GLOBSTASH_DO_INCREMENT;
        steps[i].key = "many";
        steps[i].by = "1";
    }
    CHECK(globstash_apply(DEFAULT, steps, MOST, NULL) == 0);
    CHECK(holds("many", "4096"));
    FAILS(globstash_apply(DEFAULT, steps, MOST + 1, NULL), GLOBSTASH_ERROR_ARGUMENT,
          "4097 steps are too many");
    CHECK(holds("many", "4096"));
    free(steps);

    const size_t mib = 1 << 20;
    char *large = calloc(mib + 1, 1);
    CHECK(large != NULL);
    globstash_step step = {.kind = GLOBSTASH_DO_SET, .key = "large", .data = large, .length = mib};
    CHECK(globstash_apply(DEFAULT, &step, 1, NULL) == 0);
    CHECK(globstash_get("large", NULL, 0) == (ssize_t)mib);
    step.length++;
    FAILS(globstash_apply(DEFAULT, &step, 1, NULL), GLOBSTASH_ERROR_VALUE, "large");
    free(large);
}

int main(void)
{
    all_of_them();
    none_of_them();
    together_for_those_who_watch();
    nothing_at_all();
    what_is_refused();
    as_many_as_can_be();
    return 0;
}
