/*
 * Prints what there is, and then what changes, in a loop that also waits for something else: here for
 * standard input to end. follower [PATTERN]
 */
#include <globstash.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int fail(void)
{
    fprintf(stderr, "follower: %s\n", globstash_error_text());
    return 1;
}

static void print(const globstash_event *event)
{
    if (event->change == GLOBSTASH_CHANGE_SET) {
        printf("%s=", event->key);
        fwrite(event->value, 1, event->length, stdout);
        putchar('\n');
    } else {
        printf("%s is gone\n", event->key);
    }
    fflush(stdout);
}

int main(int count, char **arguments)
{
    globstash_event event;
    const char *pattern = count > 1 ? arguments[1] : NULL;
    globstash_watch *watch = globstash_watch_open(GLOBSTASH_DEFAULT, pattern, 0);
    if (watch == NULL)
        return fail();
    struct pollfd ready[] = {{.fd = globstash_watch_fd(watch), .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        int next;
        char input[64];
        /* All that there is before waiting for more. */
        while ((next = globstash_watch_next(watch, &event)) > 0)
            print(&event);
        if (next < 0)
            return fail();
        poll(ready, 2, -1);
        if (ready[1].revents != 0 && read(STDIN_FILENO, input, sizeof input) <= 0)
            break;
    }
    globstash_watch_close(watch);
    return 0;
}
