/* Many threads with one handle, also while some of them wait. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 12, ROUNDS = 50 };

static globstash_stash *stash;

static void *work(void *number)
{
    char key[24], wanted[48], found[48];
    snprintf(key, sizeof key, "thread/%d", *(int *)number);
    for (int i = 0; i < ROUNDS; i++) {
        int length = snprintf(wanted, sizeof wanted, "%s-%d", key, i);
        CHECK(globstash_set_at(stash, key, wanted, (size_t)length, NULL, NULL) == 0);
        CHECK(globstash_get_at(stash, key, found, sizeof found, NULL) == length);
        CHECK(strcmp(found, wanted) == 0);
        CHECK(globstash_increment("sum", 1, NULL) == 0);
    }
    return NULL;
}

static void *wait_for_all(void *unused)
{
    (void)unused;
    char done[4];
    CHECK(globstash_wait("done", -1, done, sizeof done) == 3);
    CHECK(strcmp(done, "yes") == 0);
    return NULL;
}

int main(void)
{
    pthread_t workers[THREADS], waiters[THREADS];
    int numbers[THREADS];
    stash = globstash_open(NULL, 30000, 0);
    CHECK(stash != NULL);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&waiters[i], NULL, wait_for_all, NULL) == 0);
        CHECK(pthread_create(&workers[i], NULL, work, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i], NULL) == 0);
    char sum[8];
    CHECK(globstash_get("sum", sum, sizeof sum) == 3 && strcmp(sum, "600") == 0);
    CHECK(globstash_set("done", "yes") == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(waiters[i], NULL) == 0);
    globstash_close(stash);
    return 0;
}
