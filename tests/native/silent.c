/* A service that is there and says nothing: calls end with their time. */
#include "check.h"

int main(void)
{
    char value[8], line[16];
    globstash_stash *stash = globstash_open(NULL, 50, 0);
    CHECK(stash != NULL);
    /* A wait ends with its own time. */
    FAILS(globstash_wait("never", 1, value, sizeof value), GLOBSTASH_ERROR_TIMED_OUT, "never");
    FAILS(globstash_wait("never", 0, value, sizeof value), GLOBSTASH_ERROR_TIMED_OUT, "in time");
    globstash_condition changed = {.kind = GLOBSTASH_IF_CHANGED, .revision = 0};
    FAILS(globstash_wait_at(stash, "never", &changed, 1, NULL, 0, NULL),
          GLOBSTASH_ERROR_TIMED_OUT, "never");
    puts("stop");
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL && strcmp(line, "done\n") == 0);
    FAILS(globstash_exists_at(stash, "a", NULL), GLOBSTASH_ERROR_SILENT, "not in 0.05 s");
    /* It may have been done. */
    FAILS(globstash_set_at(stash, "a", "1", 1, NULL, NULL), GLOBSTASH_ERROR_UNKNOWN,
          "may or may not have been done");
    puts("go on");
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL && strcmp(line, "done\n") == 0);
    globstash_close(stash);
    stash = globstash_open(NULL, 60000, 0);
    CHECK(globstash_set_at(stash, "a", "2", 1, NULL, NULL) == 0);
    CHECK(globstash_get_at(stash, "a", value, sizeof value, NULL) == 1);
    globstash_close(stash);
    return 0;
}
