/* The service goes and comes back in the middle, also as another instance. Says when that may happen, and
 * hears that it has. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Forks a child, which has all that its parent had at this moment. It ends with its parent at the latest. */
static pid_t keep_in_a_child(void)
{
    char end;
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &end, 1) != 0);
    }
    CHECK(child > 0);
    return child;
}

static void over_an_outage(const char *what)
{
    char line[16];
    puts(what);
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL && strcmp(line, "done\n") == 0);
}

int main(void)
{
    char value[16];
    const char *read = NULL;
    globstash_event event;
    CHECK(globstash_set("kept", "1") == 0);
    globstash_stash *stash = globstash_open(NULL, 0, 0);
    globstash_variable *variable = globstash_variable_open(stash, "kept");
    globstash_watch *watch = globstash_watch_open(stash, NULL, 0);
    CHECK(stash != NULL && variable != NULL && watch != NULL);
    int descriptor = globstash_watch_fd(watch);
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1 && strcmp(event.key, "kept") == 0);
    CHECK(globstash_watch_next(watch, &event) == 0);

    struct pollfd ready = {.fd = descriptor, .events = POLLIN};
    pid_t child = keep_in_a_child();

    over_an_outage("crash");
    CHECK(globstash_get("kept", value, sizeof value) == 1 && strcmp(value, "1") == 0);
    CHECK(globstash_variable_get(variable, &read) == 1 && strcmp(read, "1") == 0);
    CHECK(globstash_set("kept", "2") == 0);
    CHECK(globstash_variable_changed(variable) == 1);
    CHECK(globstash_watch_wait(watch, &event, 60000) == 1 && strcmp(event.value, "2") == 0);
    CHECK(globstash_watch_next(watch, &event) == 0);
    /* The connection that was lost is still open in the child. */
    CHECK(poll(&ready, 1, 0) == 0);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);

    over_an_outage("restart");
    CHECK(globstash_get_at(stash, "kept", value, sizeof value, NULL) == 0);
    CHECK(globstash_exists("kept") == 0);
    CHECK(globstash_variable_get(variable, &read) == 0);
    CHECK(globstash_set("new", "3") == 0);
    /* What is gone with the service and what is new; in which order is not said. */
    int gone = 0, set = 0;
    while (!gone || !set) {
        CHECK(globstash_watch_wait(watch, &event, 60000) == 1);
        gone |= event.change == GLOBSTASH_CHANGE_DELETED && strcmp(event.key, "kept") == 0;
        set |= event.change == GLOBSTASH_CHANGE_SET && strcmp(event.key, "new") == 0;
    }
    CHECK(globstash_watch_fd(watch) == descriptor);
    CHECK(globstash_watch_next(watch, &event) == 0);

    over_an_outage("end");
    /* Nothing to tell yet; who waits is woken to look for the service again. */
    CHECK(globstash_watch_next(watch, &event) == 0);
    CHECK(poll(&ready, 1, 60000) == 1);
    FAILS(globstash_set("kept", "4"), GLOBSTASH_ERROR_UNREACHABLE, "start it with");
    FAILS(globstash_exists_at(stash, "kept", NULL), GLOBSTASH_ERROR_UNREACHABLE, "no service at");
    CHECK(globstash_watch_wait(watch, &event, 60000) == GLOBSTASH_ERROR_UNREACHABLE);
    CHECK(globstash_watch_next(watch, &event) == GLOBSTASH_ERROR_UNREACHABLE);

    over_an_outage("start");
    CHECK(globstash_set("kept", "5") == 0);
    CHECK(globstash_get_at(stash, "kept", value, sizeof value, NULL) == 1);
    CHECK(strcmp(value, "5") == 0);
    globstash_watch_close(watch);
    globstash_variable_close(variable);
    globstash_close(stash);
    return 0;
}
