// Waits for a flag, does what it says, and takes it down; the flag "stop" ends it.
//
//     globstash set worker/flag invoices
//
// That there is a worker, others see by worker/state: it goes with this process, however that ends.
#include <globstash.hpp>

#include <iostream>

int main()
{
    try {
        globstash::stash stash;
        for (;;) {
            stash.set("worker/state", "waiting", globstash::terms().own_process());
            auto job = stash.wait_until("worker/flag", globstash::condition::defined());
            if (!job)
                continue;
            stash.set("worker/state", "working", globstash::terms().own_process());
            if (job->value != "stop")
                std::cout << job->value << ": done" << std::endl;
            // Only this one: if somebody has raised another meanwhile, it stays, and is the next.
            std::error_code code;
            stash.erase("worker/flag", globstash::condition::revision(job->revision), code);
            if (code && code != globstash::errc::condition)
                throw globstash::error(code, globstash_error_text());
            if (job->value == "stop")
                return 0;
        }
    } catch (const globstash::error &error) {
        std::cerr << "worker: " << error.what() << '\n';
        return 1;
    }
}
