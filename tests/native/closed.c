/* A program without standard input, output and error: what it prints all the same must not get to the
 * service, and what the service says is for nobody else. */
#define _DEFAULT_SOURCE
#include "check.h"
#include <fcntl.h>
#include <unistd.h>

enum { STANDARD = 3 };

/* What the first three descriptors are for, while the library has all that it ever has. */
static int are_free(void)
{
    for (int descriptor = 0; descriptor < STANDARD; descriptor++)
        if (fcntl(descriptor, F_GETFD) >= 0)
            return 0;
    return 1;
}

int main(void)
{
    int kept[STANDARD], free_at_all, free_after;
    char value[8];
    for (int i = 0; i < STANDARD; i++) {
        kept[i] = fcntl(i, F_DUPFD, 10);
        CHECK(kept[i] >= 10);
        close(i);
    }
    free_at_all = are_free();
    int done = globstash_set("a", "1") == 0 && globstash_get("a", value, sizeof value) == 1;
    globstash_stash *stash = globstash_open(NULL, 0, 0);
    globstash_watch *watch = globstash_watch_open(stash, NULL, 0);
    globstash_list *list = globstash_list_open(stash, NULL, 0);
    globstash_variable *variable = globstash_variable_open(stash, "a");
    free_after = are_free();
    for (int i = 0; i < STANDARD; i++)
        dup2(kept[i], i);
    CHECK(free_at_all && done && watch != NULL && list != NULL && variable != NULL);
    CHECK(free_after);
    globstash_variable_close(variable);
    globstash_list_close(list);
    globstash_watch_close(watch);
    globstash_close(stash);
    return 0;
}
