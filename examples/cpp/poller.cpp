// Looks at twenty variables a thousand times a second, as a control loop does, and prints those that have
// changed: poller [ROUNDS]
#include <globstash.hpp>

#include <iostream>
#include <string>
#include <thread>
#include <vector>

int main(int count, char **arguments)
{
    using clock = std::chrono::steady_clock;

    long rounds = count > 1 ? std::stol(arguments[1]) : -1;
    try {
        globstash::stash stash;
        std::vector<globstash::variable> axes;
        for (int i = 0; i < 20; i++)
            axes.push_back(stash.variable("machine/axis-" + std::to_string(i)));
        auto next = clock::now();
        for (long round = 0; rounds < 0 || round < rounds; round++) {
            for (std::size_t i = 0; i < axes.size(); i++)
                if (axes[i].changed())
                    std::cout << "axis " << i << " is at " << axes[i].get().value_or("?") << std::endl;
            std::this_thread::sleep_until(next += std::chrono::milliseconds(1));
        }
    } catch (const globstash::error &error) {
        std::cerr << "poller: " << error.what() << '\n';
        return 1;
    }
}
