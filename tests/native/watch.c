/* A watch in a loop that also waits for something else. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { CHANGES = 100 };

static int bell[2];

/* Changes a variable again and again, and rings at the end. */
static void *change(void *unused)
{
    (void)unused;
    char value[16];
    for (int i = 1; i <= CHANGES; i++) {
        snprintf(value, sizeof value, "%d", i);
        CHECK(globstash_set("loop/number", value) == 0);
    }
    CHECK(write(bell[1], "x", 1) == 1);
    return NULL;
}

static void in_a_loop(void)
{
    pthread_t thread;
    globstash_event event;
    int last = 0, is_over = 0;
    CHECK(pipe(bell) == 0);
    CHECK(globstash_set("loop/first", "here") == 0);
    globstash_watch *watch = globstash_watch_open(DEFAULT, "loop/", 0);
    CHECK(watch != NULL);
    struct pollfd ready[2] = {{.fd = globstash_watch_fd(watch), .events = POLLIN},
                              {.fd = bell[0], .events = POLLIN}};
    CHECK(ready[0].fd >= 0);
    CHECK(pthread_create(&thread, NULL, change, NULL) == 0);
    int seen_first = 0;
    while (!is_over || last < CHANGES) {
        int next;
        while ((next = globstash_watch_next(watch, &event)) > 0) {
            CHECK(event.change == GLOBSTASH_CHANGE_SET && event.revision > 0);
            if (strcmp(event.key, "loop/first") == 0) {
                seen_first = 1;
                continue;
            }
            CHECK(strcmp(event.key, "loop/number") == 0);
            CHECK(strlen(event.value) == event.length);
            int number = atoi(event.value);
            CHECK(number > last);
            last = number;
        }
        CHECK(next == 0);
        if (last == CHANGES && is_over)
            break;
        CHECK(poll(ready, is_over ? 1 : 2, 60000) > 0);
        is_over |= ready[1].revents != 0;
    }
    CHECK(seen_first);
    CHECK(globstash_watch_is_up_to_date(watch) == 1);
    CHECK(globstash_watch_skipped(watch) <= CHANGES);
    /* Nothing more: the descriptor is silent. */
    CHECK(poll(ready, 1, 0) == 0);
    CHECK(globstash_watch_wait(watch, &event, 1) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    globstash_watch_close(watch);
}

static void every_kind_of_end(void)
{
    globstash_event event;
    globstash_terms short_life = {.ttl_ms = 1};
    CHECK(globstash_set("end/there", "x") == 0);
    globstash_watch *watch = globstash_watch_open(DEFAULT, "end/*",
                                                  GLOBSTASH_FROM_NOW | GLOBSTASH_METADATA);
    CHECK(watch != NULL);
    CHECK(globstash_watch_next(watch, &event) == 0);
    CHECK(globstash_set_at(DEFAULT, "end/1", "a\0b", 3, &short_life, NULL) == 0);
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
    CHECK(event.change == GLOBSTASH_CHANGE_SET && event.length == 3);
    CHECK(memcmp(event.value, "a\0b", 4) == 0 && event.writer_pid == getpid());
    CHECK(event.writer_uid == getuid());
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
    CHECK(event.change == GLOBSTASH_CHANGE_EXPIRED && strcmp(event.key, "end/1") == 0);
    CHECK(event.writer_uid == GLOBSTASH_NO_UID && event.length == 3);
    CHECK(globstash_delete("end/there") == 1);
    CHECK(globstash_watch_wait(watch, &event, -1) == 1);
    CHECK(event.change == GLOBSTASH_CHANGE_DELETED && strcmp(event.key, "end/there") == 0);
    globstash_watch_close(watch);

    watch = globstash_watch_open(DEFAULT, "loop/first", GLOBSTASH_KEYS_ONLY);
    CHECK(globstash_watch_wait(watch, NULL, 60000) == 1);
    CHECK(globstash_set("loop/first", "again") == 0);
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
    CHECK(event.value == NULL && event.length == 0 && strcmp(event.key, "loop/first") == 0);
    globstash_watch_close(watch);
}

int main(void)
{
    in_a_loop();
    every_kind_of_end();
    return 0;
}
