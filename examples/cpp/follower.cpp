// Prints what there is, and then what changes, in a loop that also waits for something else: here for
// standard input to end. follower [PATTERN]
#include <globstash.hpp>

#include <iostream>

#include <poll.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    try {
        auto watch = globstash::stash().watch(count > 1 ? arguments[1] : "**");
        pollfd ready[] = {{watch.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        for (;;) {
            // All that there is before waiting for more.
            while (auto event = watch.next()) {
                if (event->is_set())
                    std::cout << event->key << '=' << event->value.value_or("") << std::endl;
                else
                    std::cout << event->key << " is gone" << std::endl;
            }
            poll(ready, 2, -1);
            char input[64];
            if (ready[1].revents != 0 && read(STDIN_FILENO, input, sizeof input) <= 0)
                return 0;
        }
    } catch (const globstash::error &error) {
        std::cerr << "follower: " << error.what() << '\n';
        return 1;
    }
}
