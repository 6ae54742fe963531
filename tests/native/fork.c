/* Processes that are forked go on with handles and variables, also while threads of their parent are in
 * the middle of calls, and never take what is meant for another. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 20, ROUNDS = 20 };

static volatile int is_over;

static void *keep_calling(void *unused)
{
    (void)unused;
    char value[8];
    while (!is_over) {
        CHECK(globstash_set("busy", "parent") == 0);
        CHECK(globstash_get("busy", value, sizeof value) == 6);
    }
    return NULL;
}

static void child(int number, globstash_stash *stash, globstash_variable *variable,
                  globstash_list *list, globstash_watch *watch)
{
    char key[24], wanted[48], found[48];
    const char *value = NULL;
    globstash_entry entry;
    globstash_event event;
    FAILS(globstash_list_next(list, &entry), GLOBSTASH_ERROR_FORKED, "process");
    FAILS(globstash_watch_next(watch, &event), GLOBSTASH_ERROR_FORKED, "process");
    CHECK(globstash_variable_get(variable, &value) == 4 && strcmp(value, "auto") == 0);
    snprintf(key, sizeof key, "child/%d", number);
    for (int i = 0; i < ROUNDS; i++) {
        int length = snprintf(wanted, sizeof wanted, "%s-%d", key, i);
        CHECK(globstash_set_at(stash, key, wanted, (size_t)length, NULL, NULL) == 0);
        CHECK(globstash_get(key, found, sizeof found) == length && strcmp(found, wanted) == 0);
    }
    globstash_list_close(list);
    globstash_watch_close(watch);
    globstash_variable_close(variable);
    globstash_close(stash);
}

int main(void)
{
    pthread_t threads[2];
    pid_t children[CHILDREN];
    CHECK(globstash_set("mode", "auto") == 0);
    globstash_stash *stash = globstash_open(NULL, 30000, 0);
    globstash_variable *variable = globstash_variable_open(stash, "mode");
    globstash_list *list = globstash_list_open(stash, "mode", 0);
    globstash_watch *watch = globstash_watch_open(stash, "mode", 0);
    CHECK(stash != NULL && variable != NULL && list != NULL && watch != NULL);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, keep_calling, NULL) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            child(i, stash, variable, list, watch);
            /* One of its own, whose connections are not its parent's either. */
            pid_t grandchild = fork();
            if (grandchild == 0) {
                char found[8];
                CHECK(globstash_get("busy", found, sizeof found) == 6);
                _exit(0);
            }
            int status = -1;
            CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = -1;
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    is_over = 1;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    /* What the children did was nothing to the parent's. */
    globstash_entry entry;
    globstash_event event;
    CHECK(globstash_list_next(list, &entry) == 1 && strcmp(entry.value, "auto") == 0);
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1 && strcmp(event.value, "auto") == 0);
    globstash_list_close(list);
    globstash_watch_close(watch);
    globstash_variable_close(variable);
    globstash_close(stash);
    return 0;
}
