/* A watch goes on where another was, also when the service has begun anew in between. Says when that is to
 * happen, and hears that it has. */
#include "check.h"

static void over(const char *what)
{
    char line[16];
    puts(what);
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL && strcmp(line, "done\n") == 0);
}

static void tells(globstash_watch *watch, int change, const char *key)
{
    globstash_event event;
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
    CHECK(event.change == change && strcmp(event.key, key) == 0);
}

/* Nothing more is to be told now; how far that is. */
static globstash_position end(globstash_watch *watch)
{
    globstash_position position;
    while (!globstash_watch_is_up_to_date(watch))
        CHECK(globstash_watch_wait(watch, NULL, 10) == 0);
    CHECK(globstash_watch_next(watch, NULL) == 0);
    memset(&position, 'x', sizeof position);
    CHECK(globstash_watch_position(watch, &position) == 0);
    return position;
}

int main(void)
{
    const char *known[] = {"job/1", "job/2"};
    uint64_t revision = 0;
    globstash_position position = {0}, before;
    CHECK(globstash_set("job/1", "begun") == 0);
    CHECK(globstash_set("other", "") == 0);
    CHECK(globstash_set_at(DEFAULT, "job/2", "begun", 5, NULL, &revision) == 0);
    /* Nothing was told yet: what is there comes first. */
    globstash_watch *watch = globstash_watch_resume(DEFAULT, "job/", 0, &position, NULL, 0);
    CHECK(watch != NULL);
    CHECK(globstash_watch_position(watch, &before) == 0);
    CHECK(before.revision == 0 && strcmp(before.instance, "") == 0);
    tells(watch, GLOBSTASH_CHANGE_SET, "job/1");
    tells(watch, GLOBSTASH_CHANGE_SET, "job/2");
    position = end(watch);
    CHECK(position.revision == revision && strlen(position.instance) == 32);
    globstash_watch_close(watch);

    /* What happens while nobody watches, and nothing of what was told before. */
    CHECK(globstash_set("job/3", "begun") == 0 && globstash_delete("job/1") == 1);
    watch = globstash_watch_resume(DEFAULT, "job/", GLOBSTASH_METADATA, &position, known, 2);
    CHECK(watch != NULL);
    tells(watch, GLOBSTASH_CHANGE_SET, "job/3");
    CHECK(globstash_watch_position(watch, &before) == 0 && before.revision == revision + 1);
    tells(watch, GLOBSTASH_CHANGE_DELETED, "job/1");
    position = end(watch);
    CHECK(position.revision == revision + 2);
    globstash_watch_close(watch);
    /* Before all of it was told, the position is where it was. */
    watch = globstash_watch_resume(DEFAULT, "job/", GLOBSTASH_KEYS_ONLY, &position, known, 2);
    CHECK(watch != NULL);
    before = end(watch);
    CHECK(memcmp(&before, &position, sizeof before) == 0);
    globstash_watch_close(watch);

    /* What was kept is damaged: the service was never there. */
    before = position;
    before.revision += 1000;
    watch = globstash_watch_resume(DEFAULT, "job/", 0, &before, known, 1);
    CHECK(watch != NULL);
    tells(watch, GLOBSTASH_CHANGE_SET, "job/2");
    tells(watch, GLOBSTASH_CHANGE_SET, "job/3");
    tells(watch, GLOBSTASH_CHANGE_DELETED, "job/1");
    before = end(watch);
    CHECK(memcmp(&before, &position, sizeof before) == 0);
    globstash_watch_close(watch);

    /* Another instance: of what is gone with the first only those are told that were named. */
    over("restart");
    CHECK(globstash_set("job/4", "begun") == 0);
    watch = globstash_watch_resume(DEFAULT, "job/", 0, &position, known + 1, 1);
    CHECK(watch != NULL);
    tells(watch, GLOBSTASH_CHANGE_SET, "job/4");
    tells(watch, GLOBSTASH_CHANGE_DELETED, "job/2");
    before = end(watch);
    CHECK(strcmp(before.instance, position.instance) != 0);
    globstash_watch_close(watch);

    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, NULL, NULL, 0),
                  GLOBSTASH_ERROR_ARGUMENT, "the position is NULL");
    FAILS_TO_OPEN(globstash_watch_resume(NULL, NULL, 0, &position, NULL, 0),
                  GLOBSTASH_ERROR_ARGUMENT, "stash is NULL");
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, &position, NULL, 1),
                  GLOBSTASH_ERROR_ARGUMENT, "keys is NULL");
    const char *none[] = {NULL};
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, &position, none, 1),
                  GLOBSTASH_ERROR_ARGUMENT, "the key is NULL");
    const char *impossible[] = {"job/1", "a=b"};
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, &position, impossible, 2),
                  GLOBSTASH_ERROR_KEY, "'a=b' cannot be a key");
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, &position, impossible, (size_t)-1),
                  GLOBSTASH_ERROR_ARGUMENT, "18446744073709551615 keys are too many");
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, GLOBSTASH_FROM_NOW, &position, NULL, 0),
                  GLOBSTASH_ERROR_ARGUMENT, "0x4");
    memset(position.instance, 'x', sizeof position.instance);
    FAILS_TO_OPEN(globstash_watch_resume(DEFAULT, NULL, 0, &position, NULL, 0),
                  GLOBSTASH_ERROR_ARGUMENT, "the position has no instance");
    FAILS(globstash_watch_position(NULL, &position), GLOBSTASH_ERROR_ARGUMENT, "the watch is NULL");
    watch = globstash_watch_open(DEFAULT, NULL, 0);
    FAILS(globstash_watch_position(watch, NULL), GLOBSTASH_ERROR_ARGUMENT, "the position is NULL");
    globstash_watch_close(watch);
    return 0;
}
