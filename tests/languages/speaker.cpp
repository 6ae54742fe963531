// Speaks C++ for tests/languages: a line is a request, a line is the answer. Values are in hexadecimal,
// and "-" is the empty one. See speakers.rs.

#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include <globstash.hpp>

static std::string unhex(const std::string &word)
{
    std::string value;
    if (word != "-")
        for (std::size_t at = 0; at < word.size(); at += 2)
            value += static_cast<char>(std::stoi(word.substr(at, 2), nullptr, 16));
    return value;
}

static std::string hex(const std::string &value)
{
    static const char digits[] = "0123456789abcdef";
    std::string word;
    for (char character : value) {
        auto byte = static_cast<unsigned char>(character);
        word.append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
    return value.empty() ? "-" : word;
}

class speaker {
public:
    std::string answer(const std::string &request)
    {
        std::istringstream words(request);
        std::string verb, key, value;
        long long ttl = 0;
        words >> verb >> key >> value >> ttl;
        if (verb == "set") {
            stash.set(key, unhex(value));
            return "done";
        }
        if (verb == "set_for") {
            stash.set(key, unhex(value), globstash::terms().ttl(globstash::milliseconds(ttl)));
            return "done";
        }
        if (verb == "get") {
            auto read = stash.get(key);
            return read ? "value " + hex(*read) : "none";
        }
        if (verb == "delete")
            return stash.erase(key) ? "deleted" : "none";
        if (verb == "take")
            return taken(key, unhex(value));
        if (verb == "watch") {
            watches.emplace(key, stash.watch(key, GLOBSTASH_FROM_NOW));
            return "done";
        }
        return told(*watches.at(key).wait());
    }

private:
    std::string taken(const std::string &key, const std::string &value)
    {
        std::error_code code;
        globstash::batch take;
        take.check(key, globstash::condition::value(value)).erase(key).set(key + "/taken", value);
        stash.apply(take, code);
        if (code == globstash::errc::condition)
            return "refused";
        return code ? "failed " + code.message() : "done";
    }

    static std::string told(const globstash::event &event)
    {
        if (event.is_set())
            return "set " + hex(*event.value);
        return event.change == GLOBSTASH_CHANGE_EXPIRED ? "expired" : "deleted";
    }

    globstash::stash stash;
    std::map<std::string, globstash::watch> watches;
};

int main()
{
    speaker we;
    std::string request;
    while (std::getline(std::cin, request)) {
        try {
            std::cout << we.answer(request) << std::endl;
        } catch (const std::exception &error) {
            std::cout << "failed " << error.what() << std::endl;
        }
    }
}
