/* What no call may be given, or cannot do: a number and a sentence each, and no crash. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARGUMENT GLOBSTASH_ERROR_ARGUMENT

static void null(void)
{
    char buffer[4];
    FAILS(globstash_get(NULL, buffer, sizeof buffer), ARGUMENT, "the key is NULL");
    FAILS(globstash_get("a", NULL, 1), ARGUMENT, "the buffer is NULL");
    FAILS(globstash_set(NULL, "1"), ARGUMENT, "the key is NULL");
    FAILS(globstash_set("a", NULL), ARGUMENT, "the text is NULL");
    FAILS(globstash_delete(NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_exists(NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_increment(NULL, 1, NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_wait(NULL, 0, buffer, sizeof buffer), ARGUMENT, "the key is NULL");
    FAILS(globstash_get_alloc(DEFAULT, "a", NULL, NULL), ARGUMENT, "the value is NULL");
    FAILS(globstash_set_at(DEFAULT, "a", NULL, 1, NULL, NULL), ARGUMENT, "the value is NULL");
    FAILS(globstash_set_at(DEFAULT, NULL, "1", 1, NULL, NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_delete_at(DEFAULT, NULL, NULL, NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_expire_at(DEFAULT, NULL, 1), ARGUMENT, "the key is NULL");
    FAILS(globstash_increment_at(DEFAULT, "a", NULL, NULL, NULL, NULL, 0, NULL), ARGUMENT,
          "the number is NULL");
    FAILS(globstash_increment_at(DEFAULT, "a", "1", NULL, NULL, NULL, 1, NULL), ARGUMENT,
          "the buffer is NULL");
    CHECK(globstash_exists("a") == 0);
    FAILS(globstash_wait_at(DEFAULT, "a", NULL, 0, NULL, 0, NULL), ARGUMENT, "the condition is NULL");
    FAILS_TO_OPEN(globstash_variable_open(DEFAULT, NULL), ARGUMENT, "the key is NULL");
    FAILS(globstash_variable_changed(NULL), ARGUMENT, "the variable is NULL");
    FAILS(globstash_variable_get(NULL, NULL), ARGUMENT, "the variable is NULL");
    CHECK(globstash_variable_revision(NULL) == 0);
    FAILS(globstash_list_next(NULL, NULL), ARGUMENT, "the list is NULL");
    FAILS(globstash_watch_next(NULL, NULL), ARGUMENT, "the watch is NULL");
    FAILS(globstash_watch_wait(NULL, NULL, 0), ARGUMENT, "the watch is NULL");
    FAILS(globstash_watch_fd(NULL), ARGUMENT, "the watch is NULL");
    CHECK(globstash_watch_is_up_to_date(NULL) == 0 && globstash_watch_skipped(NULL) == 0);
    CHECK(globstash_close(DEFAULT) == NULL && globstash_exists_at(DEFAULT, "a", NULL) == 0);
    CHECK(globstash_close(NULL) == NULL && globstash_variable_close(NULL) == NULL);
    CHECK(globstash_list_close(NULL) == NULL && globstash_watch_close(NULL) == NULL);
    globstash_variable *variable = globstash_variable_open(DEFAULT, "a");
    FAILS(globstash_variable_get(variable, NULL), ARGUMENT, "the value is NULL");
    globstash_variable_close(variable);
}

/* What a program has that does not look whether opening has failed: it went on with the variables of
 * the whole machine. */
static void what_could_not_be_opened_is_no_handle(void)
{
    globstash_stash *stash = globstash_open("unix:/none/such", 0, 0);
    char buffer[4], *value = NULL;
    globstash_condition until = {.kind = GLOBSTASH_IF_UNDEFINED};
    CHECK(stash == NULL);
    FAILS(globstash_get_at(stash, "a", buffer, sizeof buffer, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_get_alloc(stash, "a", &value, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_set_at(stash, "a", "1", 1, NULL, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_delete_at(stash, "a", NULL, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_delete_matching(stash, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_exists_at(stash, "a", NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_expire_at(stash, "a", 1), ARGUMENT, "stash is NULL");
    FAILS(globstash_increment_at(stash, "a", "1", NULL, NULL, NULL, 0, NULL), ARGUMENT,
          "stash is NULL");
    FAILS(globstash_wait_at(stash, "a", &until, 0, NULL, 0, NULL), ARGUMENT, "stash is NULL");
    FAILS(globstash_is_mapped(stash), ARGUMENT, "stash is NULL");
    FAILS(globstash_is_served(stash), ARGUMENT, "stash is NULL");
    FAILS_TO_OPEN(globstash_variable_open(stash, "a"), ARGUMENT, "stash is NULL");
    FAILS_TO_OPEN(globstash_list_open(stash, NULL, 0), ARGUMENT, "stash is NULL");
    FAILS_TO_OPEN(globstash_scan_open(stash, NULL), ARGUMENT, "stash is NULL");
    FAILS_TO_OPEN(globstash_watch_open(stash, NULL, 0), ARGUMENT, "stash is NULL");
    CHECK(globstash_exists("a") == 0);
}

/* In printf("%d: %s", globstash_set(...), globstash_error_text()) the compiler may call the second
 * before the first; what that returned was empty, or already freed when it was printed. */
static void the_text_is_that_of_the_last_failure_whenever_it_was_asked_for(void)
{
    const char *text = globstash_error_text(), *key = globstash_error_key();
    CHECK(strcmp(text, "") == 0 && strcmp(key, "") == 0);
    FAILS(globstash_set("a=b", "1"), GLOBSTASH_ERROR_KEY, "cannot be a key");
    CHECK(strstr(text, "cannot be a key") != NULL && strcmp(key, "a=b") == 0);
    FAILS(globstash_set(NULL, "1"), ARGUMENT, "the key is NULL");
    CHECK(strcmp(text, "the key is NULL") == 0 && strcmp(key, "") == 0);
}

/* Who does not look whether there is a value read what was on the stack. */
static void where_no_value_can_be_had_there_is_an_empty_string(void)
{
    char value[] = "old";
    FAILS(globstash_get("a=b", value, sizeof value), GLOBSTASH_ERROR_KEY, "a=b");
    CHECK(strcmp(value, "") == 0);
    strcpy(value, "old");
    FAILS(globstash_get_at(NULL, "a", value, sizeof value, NULL), ARGUMENT, "stash is NULL");
    CHECK(strcmp(value, "") == 0);
    strcpy(value, "old");
    FAILS(globstash_wait("never", 0, value, sizeof value), GLOBSTASH_ERROR_TIMED_OUT, "never");
    CHECK(strcmp(value, "") == 0);
    strcpy(value, "old");
    FAILS(globstash_increment_at(DEFAULT, "a", "x", NULL, NULL, value, sizeof value, NULL),
          ARGUMENT, "by");
    CHECK(strcmp(value, "") == 0);
    strcpy(value, "old");
    FAILS(globstash_get("a=b", value, 0), GLOBSTASH_ERROR_KEY, "a=b");
    CHECK(strcmp(value, "old") == 0);
}

/* A pattern that could not be made, of a program that does not look, deleted all that there was. */
static void nothing_is_not_everything(void)
{
    CHECK(globstash_set("kept", "1") == 0);
    FAILS(globstash_delete_matching(DEFAULT, NULL), ARGUMENT, "the pattern is NULL");
    CHECK(globstash_exists("kept") == 1);
    CHECK(globstash_delete_matching(DEFAULT, "**") > 0 && globstash_exists("kept") == 0);
}

static void keys_and_patterns(void)
{
    char longest[257];
    memset(longest, 'k', sizeof longest);
    longest[256] = '\0';
    FAILS(globstash_set("a=b", "1"), GLOBSTASH_ERROR_KEY, "'a=b' cannot be a key");
    FAILS(globstash_set("", "1"), GLOBSTASH_ERROR_KEY, "cannot be a key");
    FAILS(globstash_get("a\nb", NULL, 0), GLOBSTASH_ERROR_KEY, "a\\nb");
    FAILS(globstash_set(longest, "1"), GLOBSTASH_ERROR_KEY, "cannot be a key");
    const char *key = globstash_error_key();
    CHECK(*key != '\0' && strncmp(key, longest, strlen(key)) == 0);
    longest[255] = '\0';
    CHECK(globstash_set(longest, "1") == 0);
    FAILS(globstash_set("\xff", "1"), GLOBSTASH_ERROR_KEY, "the key is not UTF-8");
    FAILS(globstash_get("\xc3", NULL, 0), GLOBSTASH_ERROR_KEY, "the key is not UTF-8");
    FAILS_TO_OPEN(globstash_variable_open(DEFAULT, "a=b"), GLOBSTASH_ERROR_KEY, "'a=b'");
    FAILS_TO_OPEN(globstash_list_open(DEFAULT, "[", 0), GLOBSTASH_ERROR_PATTERN, "'[' is not");
    FAILS_TO_OPEN(globstash_watch_open(DEFAULT, "\xff", 0), GLOBSTASH_ERROR_PATTERN, "not UTF-8");
    FAILS_TO_OPEN(globstash_list_open(DEFAULT, NULL, 64), ARGUMENT, "0x40");
    FAILS_TO_OPEN(globstash_list_open(DEFAULT, NULL, GLOBSTASH_FROM_NOW), ARGUMENT, "0x4");
}

static void terms(void)
{
    globstash_terms wrong = {.reserved = {0, 0, 0, 1}};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &wrong, NULL), ARGUMENT, "reserved");
    globstash_terms past = {.ttl_ms = -1};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &past, NULL), ARGUMENT, "ttl_ms is negative");
    globstash_terms nobody = {.pid = -2};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &nobody, NULL), ARGUMENT, "-2 is no process");
    globstash_terms ended = {.pid = 0x7ffffffe};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &ended, NULL), GLOBSTASH_ERROR_PROCESS,
          "there is no process 2147483646");
    globstash_terms odd = {.protection = 3};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &odd, NULL), ARGUMENT, "protection 3");
    globstash_terms unknown = {.only_if = {.kind = 9}};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &unknown, NULL), ARGUMENT, "kind 9");
    globstash_terms changed = {.only_if = {.kind = GLOBSTASH_IF_CHANGED}};
    FAILS(globstash_set_at(DEFAULT, "a", "1", 1, &changed, NULL), ARGUMENT, "only for waiting");
    globstash_condition any = {.kind = GLOBSTASH_IF_ANY};
    FAILS(globstash_wait_at(DEFAULT, "a", &any, 0, NULL, 0, NULL), ARGUMENT, "nothing to wait for");
    FAILS(globstash_increment_at(DEFAULT, "a", "x", NULL, NULL, NULL, 0, NULL), ARGUMENT, "by");
    CHECK(globstash_exists("a") == 0);
}

static void services(void)
{
    FAILS_TO_OPEN(globstash_open("unix:/none/such", 0, 0), GLOBSTASH_ERROR_UNREACHABLE,
                  "no service at /none/such");
    FAILS_TO_OPEN(globstash_open("tcp:1", 0, 0), GLOBSTASH_ERROR_ADDRESS, "an address is unix:");
    FAILS_TO_OPEN(globstash_open("\xff", 0, 0), GLOBSTASH_ERROR_ADDRESS, "not UTF-8");
    FAILS_TO_OPEN(globstash_open(NULL, -1, 0), ARGUMENT, "the timeout is negative");
    FAILS_TO_OPEN(globstash_open(NULL, 0, 1), ARGUMENT, "flags that mean nothing here: 0x1");
}

/* There is a service; it cannot be asked for want of a descriptor. */
static void no_descriptors(void)
{
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    int next = dup(0);
    CHECK(next > 0 && close(next) == 0);
    none.rlim_cur = (rlim_t)next;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    FAILS_TO_OPEN(globstash_open(NULL, 0, 0), GLOBSTASH_ERROR_RESOURCES, "open files");
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void *elsewhere(void *unused)
{
    (void)unused;
    CHECK(globstash_error_code() == 0 && strcmp(globstash_error_text(), "") == 0);
    CHECK(globstash_set("", "") < 0);
    CHECK(globstash_error_code() == GLOBSTASH_ERROR_KEY);
    return NULL;
}

static int told_at_the_end;
static pthread_key_t end;

/* Runs when the thread has let go of nearly all that it had. */
static void at_the_end(void *text)
{
    told_at_the_end = globstash_set("a=b", "1") == GLOBSTASH_ERROR_KEY &&
                      globstash_error_code() == GLOBSTASH_ERROR_KEY &&
                      globstash_error_text() == text && strstr(text, "'a=b' cannot be a key") &&
                      strcmp(globstash_error_key(), "a=b") == 0;
}

static void *ends(void *unused)
{
    (void)unused;
    CHECK(globstash_set(NULL, "") < 0);
    CHECK(pthread_setspecific(end, globstash_error_text()) == 0);
    return NULL;
}

static void until_its_thread_ends(void)
{
    pthread_t thread;
    CHECK(pthread_key_create(&end, at_the_end) == 0);
    CHECK(pthread_create(&thread, NULL, ends, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(told_at_the_end);
}

int main(void)
{
    until_its_thread_ends();
    the_text_is_that_of_the_last_failure_whenever_it_was_asked_for();
    null();
    what_could_not_be_opened_is_no_handle();
    where_no_value_can_be_had_there_is_an_empty_string();
    nothing_is_not_everything();
    keys_and_patterns();
    terms();
    services();
    no_descriptors();
    pthread_t thread;
    CHECK(globstash_set(NULL, "") < 0);
    CHECK(pthread_create(&thread, NULL, elsewhere, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(globstash_error_code() == ARGUMENT);
    CHECK(strcmp(globstash_strerror(GLOBSTASH_ERROR_CONDITION),
                 "the variable is not as it had to be") == 0);
    CHECK(strcmp(globstash_strerror(1), "unknown error") == 0);
    return 0;
}
