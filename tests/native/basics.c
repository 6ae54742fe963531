/* Every call, doing what the header says of it. */
#include "check.h"

static void text_in_one_call(void)
{
    char buffer[16] = "x";
    CHECK(globstash_get("none", buffer, sizeof buffer) == 0);
    CHECK(strcmp(buffer, "") == 0);
    CHECK(globstash_set("player/volume", "0.5") == 0);
    CHECK(globstash_get("player/volume", buffer, sizeof buffer) == 3);
    CHECK(strcmp(buffer, "0.5") == 0);
    CHECK(globstash_exists("player/volume") == 1);
    CHECK(globstash_set("player/empty", "") == 0);
    CHECK(globstash_get("player/empty", buffer, sizeof buffer) == 0);
    CHECK(globstash_exists("player/empty") == 1);
    CHECK(globstash_exists("none") == 0);
    CHECK(globstash_delete("player/volume") == 1);
    CHECK(globstash_delete("player/volume") == 0);
    CHECK(globstash_exists("player/volume") == 0);
}

static void half_a_value_is_never_there(void)
{
    char buffer[8];
    CHECK(globstash_set("long", "1234567") == 0);
    CHECK(globstash_get("long", buffer, 8) == 7 && strcmp(buffer, "1234567") == 0);
    memset(buffer, 'x', sizeof buffer);
    CHECK(globstash_get("long", buffer, 7) == 7);
    CHECK(buffer[0] == '\0' && buffer[1] == 'x');
    memset(buffer, 'x', sizeof buffer);
    CHECK(globstash_get("long", buffer, 1) == 7);
    CHECK(buffer[0] == '\0' && buffer[1] == 'x');
    CHECK(globstash_get("long", NULL, 0) == 7);
}

static void any_bytes_of_any_length(void)
{
    static const char bytes[] = {'a', '\0', '\xff', '\n', '\0'};
    char buffer[16];
    uint64_t revision = 0, read = 0;
    CHECK(globstash_set_at(DEFAULT, "binary", bytes, sizeof bytes, NULL, &revision) == 0);
    CHECK(revision > 0);
    CHECK(globstash_get_at(DEFAULT, "binary", buffer, sizeof buffer, &read) == sizeof bytes);
    CHECK(memcmp(buffer, bytes, sizeof bytes) == 0 && buffer[sizeof bytes] == '\0');
    CHECK(read == revision);

    const size_t mib = 1 << 20;
    char *large = malloc(mib + 1);
    CHECK(large != NULL);
    for (size_t i = 0; i < mib + 1; i++)
        large[i] = (char)(i * 31 >> 3);
    CHECK(globstash_set_at(DEFAULT, "large", large, mib, NULL, NULL) == 0);
    char *value = NULL;
    CHECK(globstash_get_alloc(DEFAULT, "large", &value, &read) == (ssize_t)mib);
    CHECK(memcmp(value, large, mib) == 0 && value[mib] == '\0' && read > revision);
    free(value);
    CHECK(globstash_get("large", buffer, sizeof buffer) == (ssize_t)mib && buffer[0] == '\0');
    FAILS(globstash_set_at(DEFAULT, "large", large, mib + 1, NULL, NULL), GLOBSTASH_ERROR_VALUE,
          "1048577 bytes, 1048576 are allowed");
    free(large);

    value = NULL;
    CHECK(globstash_get_alloc(DEFAULT, "none", &value, &read) == 0);
    CHECK(value != NULL && value[0] == '\0' && read == 0);
    free(value);
    CHECK(globstash_set_at(DEFAULT, "nothing", NULL, 0, NULL, NULL) == 0);
    CHECK(globstash_get_at(DEFAULT, "nothing", NULL, 0, &read) == 0 && read > 0);
}

static void conditions(void)
{
    globstash_terms first = {.only_if = {.kind = GLOBSTASH_IF_UNDEFINED}};
    uint64_t revision = 0, found = 0;
    CHECK(globstash_set_at(DEFAULT, "lock", "me", 2, &first, &revision) == 0);
    FAILS(globstash_set_at(DEFAULT, "lock", "you", 3, &first, &found), GLOBSTASH_ERROR_CONDITION,
          "lock is defined (revision");
    CHECK(found == revision);
    globstash_terms mine = {.only_if = {.kind = GLOBSTASH_IF_VALUE, .value = "me"}};
    CHECK(globstash_set_at(DEFAULT, "lock", "me", 2, &mine, &revision) == 0);
    globstash_condition before = {.kind = GLOBSTASH_IF_REVISION, .revision = found};
    FAILS(globstash_delete_at(DEFAULT, "lock", &before, &found), GLOBSTASH_ERROR_CONDITION, "lock");
    CHECK(found == revision);
    globstash_condition now = {.kind = GLOBSTASH_IF_REVISION, .revision = revision};
    CHECK(globstash_delete_at(DEFAULT, "lock", &now, &found) == 1);
    CHECK(found > revision);
    globstash_condition defined = {.kind = GLOBSTASH_IF_DEFINED};
    FAILS(globstash_delete_at(DEFAULT, "lock", &defined, &found), GLOBSTASH_ERROR_CONDITION,
          "lock is not defined");
    CHECK(found == 0);
}

static void times_and_processes(void)
{
    globstash_condition gone = {.kind = GLOBSTASH_IF_UNDEFINED};
    globstash_terms short_life = {.ttl_ms = 1};
    CHECK(globstash_set_at(DEFAULT, "lease", "x", 1, &short_life, NULL) == 0);
    CHECK(globstash_wait_at(DEFAULT, "lease", &gone, 60000, NULL, 0, NULL) == 0);
    globstash_terms own = {.pid = GLOBSTASH_OWN_PROCESS};
    CHECK(globstash_set_at(DEFAULT, "own", "x", 1, &own, NULL) == 0);
    CHECK(globstash_expire_at(DEFAULT, "own", 3600000) == 1);
    CHECK(globstash_expire_at(DEFAULT, "own", -1) == 1);
    CHECK(globstash_expire_at(DEFAULT, "none", 1) == 0);
    globstash_terms protect = {.protection = GLOBSTASH_PROTECTION_PROTECT};
    CHECK(globstash_set_at(DEFAULT, "protected", "x", 1, &protect, NULL) == 0);
}

static void numbers(void)
{
    int64_t sum = 0;
    char text[40];
    uint64_t revision = 0;
    CHECK(globstash_increment("count", 1, &sum) == 0 && sum == 1);
    CHECK(globstash_increment("count", -5, &sum) == 0 && sum == -4);
    CHECK(globstash_increment("count", 4, NULL) == 0);
    CHECK(globstash_increment_at(DEFAULT, "count", "0.25", NULL, NULL, text, sizeof text,
                                 &revision) == 4);
    CHECK(strcmp(text, "0.25") == 0 && revision > 0);
    CHECK(globstash_increment_at(DEFAULT, "count", "7", "0", "5.5", text, sizeof text, NULL) == 3);
    CHECK(strcmp(text, "5.5") == 0);
    CHECK(globstash_increment("count", 1, &sum) == 0 && sum == 6);
    CHECK(globstash_set("word", "one") == 0);
    FAILS(globstash_increment("word", 1, &sum), GLOBSTASH_ERROR_NUMBER, "word does not hold");
    /* 18 digits, to both sides. */
    const int64_t most = 999999999999999999;
    CHECK(globstash_increment("wide", most, &sum) == 0 && sum == most);
    FAILS(globstash_increment("wide", 1, &sum), GLOBSTASH_ERROR_NUMBER, "wide");
    FAILS(globstash_increment("wide", most + 1, &sum), GLOBSTASH_ERROR_ARGUMENT, "by");
    FAILS(globstash_increment("wide", INT64_MIN, &sum), GLOBSTASH_ERROR_ARGUMENT, "by");
    CHECK(sum == most && globstash_increment("wide", 0, &sum) == 0 && sum == most);
    CHECK(globstash_increment("wide", -most, &sum) == 0 && sum == 0);
    CHECK(globstash_increment("wide", -most, &sum) == 0 && sum == -most);
    CHECK(globstash_set("parts", "-1.75") == 0);
    CHECK(globstash_increment("parts", 0, &sum) == 0 && sum == -1);
}

static void lists(void)
{
    globstash_entry entry;
    char key[24];
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "list/%d", i);
        CHECK(globstash_set(key, key) == 0);
    }
    for (int scan = 0; scan < 2; scan++) {
        globstash_list *list = scan ? globstash_scan_open(DEFAULT, "list/")
                                    : globstash_list_open(DEFAULT, "list/*", 0);
        CHECK(list != NULL);
        for (int i = 0; i < 3; i++) {
            snprintf(key, sizeof key, "list/%d", i);
            CHECK(globstash_list_next(list, &entry) == 1);
            CHECK(strcmp(entry.key, key) == 0 && strcmp(entry.value, key) == 0);
            CHECK(entry.length == strlen(key) && entry.revision > 0);
            CHECK(entry.writer_uid == GLOBSTASH_NO_UID && entry.modified_usec == 0);
        }
        CHECK(globstash_list_next(list, &entry) == 0);
        CHECK(globstash_list_next(list, NULL) == 0);
        CHECK(globstash_list_close(list) == NULL);
    }
    globstash_list *list = globstash_list_open(DEFAULT, "{lease,own,protected}",
                                               GLOBSTASH_KEYS_ONLY | GLOBSTASH_METADATA);
    CHECK(globstash_list_next(list, &entry) == 1);
    CHECK(strcmp(entry.key, "own") == 0 && entry.value == NULL);
    CHECK(entry.pid == entry.writer_pid && entry.pid > 0 && entry.modified_usec > 0);
    CHECK(entry.owner_uid == entry.writer_uid && entry.owner_uid != GLOBSTASH_NO_UID);
    CHECK(entry.expires_usec == 0 && !entry.is_protected);
    CHECK(globstash_list_next(list, &entry) == 1);
    CHECK(strcmp(entry.key, "protected") == 0 && entry.is_protected && entry.pid == 0);
    globstash_list_close(list);
    CHECK(globstash_delete_matching(DEFAULT, "list/") == 3);
    CHECK(globstash_delete_matching(DEFAULT, "list/") == 0);
}

static void variables(void)
{
    const char *value = NULL;
    globstash_variable *variable = globstash_variable_open(DEFAULT, "mode");
    CHECK(variable != NULL);
    CHECK(globstash_variable_changed(variable) == 0);
    CHECK(globstash_variable_get(variable, &value) == 0 && strcmp(value, "") == 0);
    CHECK(globstash_variable_revision(variable) == 0);
    uint64_t revision = 0;
    CHECK(globstash_set_at(DEFAULT, "mode", "auto", 4, NULL, &revision) == 0);
    CHECK(globstash_variable_changed(variable) == 1);
    CHECK(globstash_variable_changed(variable) == 0);
    CHECK(globstash_variable_get(variable, &value) == 4 && strcmp(value, "auto") == 0);
    CHECK(globstash_variable_get(variable, &value) == 4 && strcmp(value, "auto") == 0);
    CHECK(globstash_variable_revision(variable) == revision);
    CHECK(globstash_set("mode", "manual") == 0);
    CHECK(globstash_variable_get(variable, &value) == 6 && strcmp(value, "manual") == 0);
    CHECK(globstash_variable_changed(variable) == 0);
    CHECK(globstash_delete("mode") == 1);
    CHECK(globstash_variable_changed(variable) == 1);
    CHECK(globstash_variable_get(variable, &value) == 0 && strcmp(value, "") == 0);
    CHECK(globstash_variable_close(variable) == NULL);
}

static void handles(void)
{
    globstash_stash *stash = globstash_open(NULL, 1000, 0);
    CHECK(stash != NULL);
    CHECK(globstash_is_mapped(stash) == 1 && globstash_is_mapped(DEFAULT) == 1);
    CHECK(globstash_is_served(stash) == 1);
    uint64_t revision = 0, found = 0;
    CHECK(globstash_set_at(stash, "handle", "1", 1, NULL, &revision) == 0);
    CHECK(globstash_exists_at(DEFAULT, "handle", &found) == 1 && found == revision);
    globstash_variable *variable = globstash_variable_open(stash, "handle");
    globstash_list *list = globstash_list_open(stash, "handle", 0);
    CHECK(globstash_close(stash) == NULL);
    /* What was opened with it goes on without it. */
    const char *value = NULL;
    globstash_entry entry;
    CHECK(globstash_variable_get(variable, &value) == 1 && strcmp(value, "1") == 0);
    CHECK(globstash_list_next(list, &entry) == 1);
    globstash_variable_close(variable);
    globstash_list_close(list);
    CHECK(strcmp(globstash_version(), GLOBSTASH_VERSION) == 0);
}

int main(void)
{
    CHECK(globstash_error_code() == 0 && strcmp(globstash_error_text(), "") == 0);
    text_in_one_call();
    CHECK(globstash_error_code() == 0);
    half_a_value_is_never_there();
    any_bytes_of_any_length();
    conditions();
    times_and_processes();
    numbers();
    lists();
    variables();
    handles();
    return 0;
}
