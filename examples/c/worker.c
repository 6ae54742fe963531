/*
 * Waits for a flag, does what it says, and takes it down; the flag "stop" ends it.
 *
 *     globstash set worker/flag invoices
 *
 * That there is a worker, others see by worker/state: it goes with this process, however that ends.
 */
#include <globstash.h>
#include <stdio.h>
#include <string.h>

static int fail(void)
{
    fprintf(stderr, "worker: %s\n", globstash_error_text());
    return 1;
}

static int say(const char *state)
{
    globstash_terms mine = {.pid = GLOBSTASH_OWN_PROCESS};
    return globstash_set_at(GLOBSTASH_DEFAULT, "worker/state", state, strlen(state), &mine, NULL);
}

int main(void)
{
    globstash_condition raised = {.kind = GLOBSTASH_IF_DEFINED};
    for (;;) {
        char job[64];
        uint64_t revision;
        if (say("waiting") < 0)
            return fail();
        ssize_t length = globstash_wait_at(GLOBSTASH_DEFAULT, "worker/flag", &raised, -1, job,
                                           sizeof job, &revision);
        if (length < 0 || say("working") < 0)
            return fail();
        int is_last = strcmp(job, "stop") == 0;
        if (!is_last)
            printf("%s: done\n", (size_t)length < sizeof job ? job : "something long");
        fflush(stdout);
        /* Only this one: if somebody has raised another meanwhile, it stays, and is the next. */
        globstash_condition same = {.kind = GLOBSTASH_IF_REVISION, .revision = revision};
        if (globstash_delete_at(GLOBSTASH_DEFAULT, "worker/flag", &same, NULL) < 0 &&
            globstash_error_code() != GLOBSTASH_ERROR_CONDITION)
            return fail();
        if (is_last)
            return 0;
    }
}
