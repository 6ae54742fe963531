/* The service was killed and nobody has started the next: what it has left is read on, where that is wanted. */
#include "check.h"

int main(void)
{
    char value[16], line[16];
    const char *read = NULL;
    uint64_t revision = 0, found = 0;
    globstash_stash *strict = globstash_open(NULL, 50, GLOBSTASH_FAIL_WHEN_GONE);
    CHECK(strict != NULL);
    CHECK(globstash_set_at(DEFAULT, "kept", "1", 1, NULL, &revision) == 0);
    globstash_variable *variable = globstash_variable_open(DEFAULT, "kept");
    CHECK(variable != NULL && globstash_variable_get(variable, &read) == 1);
    CHECK(globstash_get_at(strict, "kept", value, sizeof value, NULL) == 1);
    CHECK(globstash_is_served(DEFAULT) == 1);
    puts("kill");
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL && strcmp(line, "done\n") == 0);
    for (int i = 0; i < 1000; i++) {
        CHECK(globstash_get_at(DEFAULT, "kept", value, sizeof value, &found) == 1);
        CHECK(strcmp(value, "1") == 0 && found == revision);
        CHECK(globstash_variable_changed(variable) == 0);
        CHECK(globstash_variable_get(variable, &read) == 1 && strcmp(read, "1") == 0);
        CHECK(globstash_get("none", value, sizeof value) == 0);
    }
    globstash_list *list = globstash_scan_open(DEFAULT, NULL);
    CHECK(globstash_list_next(list, NULL) == 1 && globstash_list_next(list, NULL) == 0);
    globstash_list_close(list);
    CHECK(globstash_is_served(DEFAULT) == 0);
    FAILS(globstash_get_at(strict, "kept", value, sizeof value, NULL), GLOBSTASH_ERROR_UNREACHABLE,
          "no service at");
    FAILS(globstash_set("kept", "2"), GLOBSTASH_ERROR_UNREACHABLE, "no service at");
    globstash_variable_close(variable);
    globstash_close(strict);
    return 0;
}
