/*
 * globstash: global variables for every process of a machine, in C++17.
 *
 *     #include <globstash.hpp>
 *
 *     globstash::set("player/volume", "0.5");
 *     std::string volume = globstash::get("player/volume").value_or("0.8");
 *
 * c++ -std=c++17 hello.cpp $(pkg-config --cflags --libs globstash)
 *
 * Nothing but this header and the C library, see globstash.h for what each call does. Every call has two
 * forms: one throws globstash::error, which is a std::system_error; one takes a std::error_code as its last
 * argument, and throws nothing but std::bad_alloc. With -fno-exceptions the first form ends the program
 * where it would throw. Keys and values are std::string_view, and values
 * can have any bytes.
 *
 * A stash can be used by all threads at the same time; a variable, a list or a watch by one at a time.
 */
#ifndef GLOBSTASH_HPP
#define GLOBSTASH_HPP

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <globstash.h>

namespace globstash {

/** The number of a change; 0 stands for what is not defined. */
using revision_t = std::uint64_t;

using milliseconds = std::chrono::milliseconds;

/** As a time limit: none. A negative one has passed already, as that of a deadline in the past. */
inline constexpr milliseconds forever = milliseconds::max();

/** What can go wrong: the values of a std::error_code of category(). */
enum class errc {
    argument = GLOBSTASH_ERROR_ARGUMENT,
    key = GLOBSTASH_ERROR_KEY,
    pattern = GLOBSTASH_ERROR_PATTERN,
    value = GLOBSTASH_ERROR_VALUE,
    address = GLOBSTASH_ERROR_ADDRESS,
    unreachable = GLOBSTASH_ERROR_UNREACHABLE,
    silent = GLOBSTASH_ERROR_SILENT,
    lost = GLOBSTASH_ERROR_LOST,
    protocol = GLOBSTASH_ERROR_PROTOCOL,
    unknown = GLOBSTASH_ERROR_UNKNOWN,
    condition = GLOBSTASH_ERROR_CONDITION,
    timed_out = GLOBSTASH_ERROR_TIMED_OUT,
    limit = GLOBSTASH_ERROR_LIMIT,
    number = GLOBSTASH_ERROR_NUMBER,
    permission = GLOBSTASH_ERROR_PERMISSION,
    process = GLOBSTASH_ERROR_PROCESS,
    unsupported = GLOBSTASH_ERROR_UNSUPPORTED,
    busy = GLOBSTASH_ERROR_BUSY,
    forked = GLOBSTASH_ERROR_FORKED,
    resources = GLOBSTASH_ERROR_RESOURCES,
    internal = GLOBSTASH_ERROR_INTERNAL,
};

} // namespace globstash

template <> struct std::is_error_code_enum<globstash::errc> : std::true_type {};

namespace globstash {

namespace detail {

class error_category final : public std::error_category {
public:
    const char *name() const noexcept override { return "globstash"; }

    std::string message(int code) const override { return globstash_strerror(code); }

    /** What the standard has a word for can be compared with that. */
    std::error_condition default_error_condition(int code) const noexcept override
    {
        switch (code) {
        case GLOBSTASH_ERROR_ARGUMENT:
        case GLOBSTASH_ERROR_KEY:
        case GLOBSTASH_ERROR_PATTERN:
        case GLOBSTASH_ERROR_ADDRESS:
            return std::errc::invalid_argument;
        case GLOBSTASH_ERROR_SILENT:
        case GLOBSTASH_ERROR_TIMED_OUT:
            return std::errc::timed_out;
        case GLOBSTASH_ERROR_PERMISSION:
            return std::errc::permission_denied;
        case GLOBSTASH_ERROR_PROCESS:
            return std::errc::no_such_process;
        case GLOBSTASH_ERROR_BUSY:
            return std::errc::resource_unavailable_try_again;
        default:
            return {code, *this};
        }
    }
};

} // namespace detail

inline const std::error_category &category() noexcept
{
    static const detail::error_category the;
    return the;
}

inline std::error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), category()};
}

/** Why a call has no result. what() is the sentence for the user. */
class error : public std::system_error {
public:
    error(std::error_code code, std::string sentence, std::string key_of_variable = {})
        : std::system_error(code),
          told(std::make_shared<texts>(texts{std::move(sentence), std::move(key_of_variable)}))
    {
    }

    const char *what() const noexcept override { return told->sentence.c_str(); }

    /** Of the variable that was the reason; empty if none was. */
    const std::string &key() const noexcept { return told->key; }

private:
    struct texts {
        std::string sentence, key;
    };
    // Exceptions are copied, and that must not throw.
    std::shared_ptr<const texts> told;
};

namespace detail {

[[noreturn]] inline void raise(std::error_code code)
{
#ifdef __cpp_exceptions
    throw error(code, globstash_error_text(), globstash_error_key());
#else
    std::fprintf(stderr, "globstash: %s (%s)\n", globstash_error_text(), code.message().c_str());
    std::abort();
#endif
}

/** A time limit as C has it. */
inline std::int64_t limit(milliseconds time) noexcept
{
    if (time == forever)
        return -1;
    return time.count() < 0 ? 0 : time.count();
}

/** Calls a form with an error code, and throws what it tells. */
template <typename F> auto thrown(F call)
{
    std::error_code code;
    if constexpr (std::is_void_v<decltype(call(code))>) {
        call(code);
        if (code)
            raise(code);
    } else {
        auto result = call(code);
        if (code)
            raise(code);
        return result;
    }
}

/** Keeps what a function of C has returned, a number or a pointer: true if it did not fail. */
template <typename R> bool succeeded(R result, std::error_code &code) noexcept
{
    if constexpr (std::is_pointer_v<R>) {
        return succeeded(result ? 0 : globstash_error_code(), code);
    } else {
        code.clear();
        if (result < 0)
            code.assign(static_cast<int>(result), category());
        return result >= 0;
    }
}

/** C would take a NUL for the end. Only UTF-8 is taken, for whatever it is: let it be refused. */
inline std::string_view no_nul(std::string_view text) noexcept
{
    return text.find('\0') == text.npos ? text : "\xff";
}

/** A text with a NUL behind it. Short ones, as keys are, need no memory. */
class c_string {
public:
    explicit c_string(std::string_view text)
    {
        text = no_nul(text);
        char *to = room;
        if (text.size() >= sizeof room) {
            longer = std::make_unique<char[]>(text.size() + 1);
            to = longer.get();
        }
        if (!text.empty())
            std::memcpy(to, text.data(), text.size());
        to[text.size()] = '\0';
    }

    operator const char *() const noexcept { return longer ? longer.get() : room; }

private:
    char room[256];
    std::unique_ptr<char[]> longer;
};

/** Reads into a string, with a function that fills a buffer as snprintf does. */
template <typename F> bool read(std::string &value, std::error_code &code, F fill)
{
    char room[256];
    ssize_t length = fill(room, sizeof room);
    if (!succeeded(length, code))
        return false;
    if (static_cast<std::size_t>(length) < sizeof room) {
        value.assign(room, static_cast<std::size_t>(length));
        return true;
    }
    // It may have grown meanwhile.
    do {
        value.resize(static_cast<std::size_t>(length) + 1);
        length = fill(&value[0], value.size());
        if (!succeeded(length, code))
            return false;
    } while (static_cast<std::size_t>(length) >= value.size());
    value.resize(static_cast<std::size_t>(length));
    return true;
}

inline std::optional<std::string> text(const char *value, std::size_t length)
{
    return value ? std::optional<std::string>(std::in_place, value, length) : std::nullopt;
}

} // namespace detail

/** What a variable must be like for a change to be made, or for a wait to end. */
class condition {
public:
    condition() = default;

    static condition defined() { return condition(GLOBSTASH_IF_DEFINED); }
    static condition undefined() { return condition(GLOBSTASH_IF_UNDEFINED); }

    static condition revision(revision_t revision)
    {
        return condition(GLOBSTASH_IF_REVISION, revision);
    }

    static condition value(std::string_view value)
    {
        return condition(GLOBSTASH_IF_VALUE, 0, value);
    }

    /** Only to wait for: another revision than this, also if the variable is gone. */
    static condition changed_from(revision_t revision)
    {
        return condition(GLOBSTASH_IF_CHANGED, revision);
    }

    /** As C has it, while this lives. */
    globstash_condition c() const noexcept { return {kind, number, nullptr, bytes.data(), bytes.size()}; }

private:
    explicit condition(int its_kind, revision_t its_number = 0, std::string_view its_bytes = {})
        : kind(its_kind), number(its_number), bytes(its_bytes)
    {
    }

    int kind = GLOBSTASH_IF_ANY;
    revision_t number = 0;
    std::string bytes;
};

/** On which terms a variable is set: terms().ttl(30s).only_if(condition::undefined()). */
class terms {
public:
    /** Only if the variable is like this before; else it is errc::condition. */
    terms &only_if(condition before)
    {
        wanted = std::move(before);
        return *this;
    }

    /** It is deleted after this time, at least one millisecond, unless it is set again before. */
    terms &ttl(milliseconds time)
    {
        // Nothing at all would be no end.
        given.ttl_ms = time.count() ? time.count() : -1;
        return *this;
    }

    /** It is deleted when this process ends. */
    terms &process(std::int64_t pid)
    {
        // What fork() and its like return if they fail is no process, least of all the caller.
        given.pid = pid > 0 ? pid : INT64_MIN;
        return *this;
    }

    /** It is deleted when the calling process ends. */
    terms &own_process()
    {
        given.pid = GLOBSTASH_OWN_PROCESS;
        return *this;
    }

    /** Only the caller's user and root may change or delete it from now on. */
    terms &protect()
    {
        given.protection = GLOBSTASH_PROTECTION_PROTECT;
        return *this;
    }

    /** Everybody may. */
    terms &unprotect()
    {
        given.protection = GLOBSTASH_PROTECTION_UNPROTECT;
        return *this;
    }

    /** As C has it, while this lives. */
    globstash_terms c() const noexcept
    {
        globstash_terms both = given;
        both.only_if = wanted.c();
        return both;
    }

private:
    globstash_terms given{};
    condition wanted;
};

/** A value and its revision. */
struct reading {
    std::string value;
    revision_t revision;
};

/** One variable of a list. */
struct entry {
    std::string key;
    /** Not with GLOBSTASH_KEYS_ONLY. */
    std::optional<std::string> value;
    revision_t revision;
    /** All that is known, as globstash.h tells it; its pointers lead nowhere. */
    globstash_entry metadata;
};

/** One change of one variable. */
struct event {
    /** GLOBSTASH_CHANGE_SET, or another: then it is gone. */
    int change;
    std::string key;
    /** The new value, or the last one if it is known. */
    std::optional<std::string> value;
    revision_t revision;
    /** With GLOBSTASH_METADATA, else GLOBSTASH_NO_UID. */
    std::uint32_t writer_uid;
    std::int64_t writer_pid;

    bool is_set() const noexcept { return change == GLOBSTASH_CHANGE_SET; }
};

/** How far a watch has come. Another one, also of another program, goes on there: stash::resume(). */
struct position {
    revision_t revision = 0;
    /** The instance of the service in which it has this number: letters and digits. */
    std::string instance;
};

/** Several changes at once, all of them or none: stash.apply(batch().erase("a").set("b", "1")). */
class batch {
public:
    /** Only if this variable is like this before all changes; else it is errc::condition. */
    batch &check(std::string_view key, condition before)
    {
        step &added = add(GLOBSTASH_DO_CHECK, key);
        added.before = std::move(before);
        return *this;
    }

    batch &set(std::string_view key, std::string_view value)
    {
        add(GLOBSTASH_DO_SET, key).text = value;
        return *this;
    }

    /** The same for this time, at least one millisecond. */
    batch &set(std::string_view key, std::string_view value, milliseconds ttl)
    {
        step &added = add(GLOBSTASH_DO_SET, key);
        added.text = value;
        // Nothing at all would be no end.
        added.ttl_ms = ttl.count() ? ttl.count() : -1;
        return *this;
    }

    /** Also if it is not there. */
    batch &erase(std::string_view key)
    {
        add(GLOBSTASH_DO_DELETE, key);
        return *this;
    }

    batch &increment(std::string_view key, std::string_view by = "1")
    {
        add(GLOBSTASH_DO_INCREMENT, key).text = detail::no_nul(by);
        return *this;
    }

    /** As C has it, while this lives and stays as it is. */
    std::vector<globstash_step> c() const
    {
        std::vector<globstash_step> all;
        all.reserve(steps.size());
        for (const step &one : steps) {
            globstash_step it{};
            it.kind = one.kind;
            it.key = one.key.c_str();
            it.only_if = one.before.c();
            it.ttl_ms = one.ttl_ms;
            if (one.kind == GLOBSTASH_DO_SET) {
                it.data = one.text.data();
                it.length = one.text.size();
            } else if (one.kind == GLOBSTASH_DO_INCREMENT) {
                it.by = one.text.c_str();
            }
            all.push_back(it);
        }
        return all;
    }

private:
    struct step {
        int kind;
        std::string key;
        condition before;
        /** The value, or the number. */
        std::string text;
        std::int64_t ttl_ms;
    };

    step &add(int kind, std::string_view key)
    {
        steps.push_back({kind, std::string(detail::no_nul(key)), condition(), std::string(), 0});
        return steps.back();
    }

    std::vector<step> steps;
};

/** One variable, to be read again and again: some nanoseconds, where memory is shared. */
class variable {
public:
    /** Whether it has changed since the last call of this function or get(). */
    bool changed()
    {
        return detail::thrown([&](std::error_code &code) { return changed(code); });
    }

    bool changed(std::error_code &code)
    {
        int changed = globstash_variable_changed(handle.get());
        return detail::succeeded(changed, code) && changed;
    }

    /** The value, which stays where it is until the next call; nothing if it is not defined. */
    std::optional<std::string_view> get()
    {
        return detail::thrown([&](std::error_code &code) { return get(code); });
    }

    std::optional<std::string_view> get(std::error_code &code)
    {
        const char *value = nullptr;
        ssize_t length = globstash_variable_get(handle.get(), &value);
        if (!detail::succeeded(length, code) || !revision())
            return std::nullopt;
        return std::string_view(value, static_cast<std::size_t>(length));
    }

    /** The revision that the last changed() or get() has seen. */
    revision_t revision() const noexcept { return globstash_variable_revision(handle.get()); }

private:
    friend class stash;
    struct closer {
        void operator()(globstash_variable *it) const noexcept { globstash_variable_close(it); }
    };
    explicit variable(globstash_variable *opened) : handle(opened) {}
    std::unique_ptr<globstash_variable, closer> handle;
};

/** Variables, one after the other: for (const auto &entry : stash.list("player/")). */
class list {
public:
    /** The next one; nothing at the end. */
    std::optional<entry> next()
    {
        return detail::thrown([&](std::error_code &code) { return next(code); });
    }

    std::optional<entry> next(std::error_code &code)
    {
        globstash_entry it;
        int told = globstash_list_next(handle.get(), &it);
        if (!detail::succeeded(told, code) || !told)
            return std::nullopt;
        entry next{it.key, detail::text(it.value, it.length), it.revision, it};
        next.metadata.key = next.metadata.value = nullptr;
        return next;
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const entry *;
        using reference = const entry &;

        iterator() = default;
        explicit iterator(list &from) : of(&from) { ++*this; }
        reference operator*() const noexcept { return *it; }
        pointer operator->() const noexcept { return &*it; }
        iterator &operator++()
        {
            it = of->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        // All that can be told of an iterator of this kind is whether it is at the end.
        bool operator==(const iterator &other) const noexcept
        {
            return it.has_value() == other.it.has_value();
        }
        bool operator!=(const iterator &other) const noexcept { return !(*this == other); }

    private:
        list *of = nullptr;
        std::optional<entry> it;
    };

    /** Once. */
    iterator begin() { return iterator(*this); }
    iterator end() { return {}; }

private:
    friend class stash;
    struct closer {
        void operator()(globstash_list *it) const noexcept { globstash_list_close(it); }
    };
    explicit list(globstash_list *opened) : handle(opened) {}
    std::unique_ptr<globstash_list, closer> handle;
};

/** What happens to variables. */
class watch {
public:
    /** To wait for with poll(2) and its like, when next() has nothing more. Stays the same. */
    int fd() const noexcept { return globstash_watch_fd(handle.get()); }

    /** The next change, if there is one already. */
    std::optional<event> next()
    {
        return detail::thrown([&](std::error_code &code) { return next(code); });
    }

    std::optional<event> next(std::error_code &code)
    {
        globstash_event it;
        return told(globstash_watch_next(handle.get(), &it), it, code);
    }

    /** The next change, however long that takes; nothing if it does not come in time. */
    std::optional<event> wait(milliseconds timeout = forever)
    {
        return detail::thrown([&](std::error_code &code) { return wait(timeout, code); });
    }

    std::optional<event> wait(milliseconds timeout, std::error_code &code)
    {
        globstash_event it;
        return told(globstash_watch_wait(handle.get(), &it, detail::limit(timeout)), it, code);
    }

    /** Whether what was told adds up to the present state. */
    bool is_up_to_date() const noexcept { return globstash_watch_is_up_to_date(handle.get()); }

    /** Up to where everything was told that this has given. */
    globstash::position position() const
    {
        return detail::thrown([&](std::error_code &code) { return position(code); });
    }

    globstash::position position(std::error_code &code) const
    {
        globstash_position it;
        if (!detail::succeeded(globstash_watch_position(handle.get(), &it), code))
            return {};
        return {it.revision, it.instance};
    }

    /** How many changes were left out because newer ones took their place. */
    std::uint64_t skipped() const noexcept { return globstash_watch_skipped(handle.get()); }

private:
    friend class stash;
    struct closer {
        void operator()(globstash_watch *it) const noexcept { globstash_watch_close(it); }
    };
    explicit watch(globstash_watch *opened) : handle(opened) {}

    static std::optional<event> told(int number, const globstash_event &it, std::error_code &code)
    {
        if (!detail::succeeded(number, code) || !number)
            return std::nullopt;
        return event{it.change,   it.key,        detail::text(it.value, it.length),
                     it.revision, it.writer_uid, it.writer_pid};
    }

    std::unique_ptr<globstash_watch, closer> handle;
};

/** The way to a service. It can be copied; copies are the same. */
class stash {
public:
    /** That of the whole process, which connects by itself with the first call. */
    stash() = default;

    // It is copied also where others are moved: what is left would be that of the whole process, and go
    // on with other variables.
    stash(const stash &) = default;
    stash &operator=(const stash &) = default;

    /** To the service at an address, which may take so long to answer; 0: five seconds. */
    explicit stash(std::string_view address, milliseconds timeout = milliseconds(0), unsigned flags = 0)
    {
        *this = *detail::thrown(
            [&](std::error_code &code) { return open(address, timeout, flags, code); });
    }

    /** The same; nothing if it fails. */
    static std::optional<stash> open(std::string_view address, milliseconds timeout, unsigned flags,
                                     std::error_code &code)
    {
        return taken(globstash_open(detail::c_string(address), timeout.count(), flags), code);
    }

    /** To the user's own service. */
    static stash user(milliseconds timeout = milliseconds(0), unsigned flags = 0)
    {
        return *detail::thrown([&](std::error_code &code) { return user(timeout, flags, code); });
    }

    static std::optional<stash> user(milliseconds timeout, unsigned flags, std::error_code &code)
    {
        return taken(globstash_open_user(timeout.count(), flags), code);
    }

    /** The value of a variable; nothing if it is not defined. */
    std::optional<std::string> get(std::string_view key) const
    {
        return detail::thrown([&](std::error_code &code) { return get(key, code); });
    }

    std::optional<std::string> get(std::string_view key, std::error_code &code) const
    {
        auto found = read(key, code);
        return found ? std::optional(std::move(found->value)) : std::nullopt;
    }

    /** The same with the revision. */
    std::optional<reading> read(std::string_view key) const
    {
        return detail::thrown([&](std::error_code &code) { return read(key, code); });
    }

    std::optional<reading> read(std::string_view key, std::error_code &code) const
    {
        detail::c_string name(key);
        reading found{};
        bool done = detail::read(found.value, code, [&](char *room, std::size_t size) {
            return globstash_get_at(c(), name, room, size, &found.revision);
        });
        return done && found.revision ? std::optional(std::move(found)) : std::nullopt;
    }

    /** Defines a variable, or replaces its value; returns the revision of the change. */
    revision_t set(std::string_view key, std::string_view value, const terms &on = {}) const
    {
        return detail::thrown([&](std::error_code &code) { return set(key, value, on, code); });
    }

    revision_t set(std::string_view key, std::string_view value, std::error_code &code) const
    {
        return set(key, value, terms(), code);
    }

    /** With errc::condition it returns the revision that the variable has. */
    revision_t set(std::string_view key, std::string_view value, const terms &on,
                   std::error_code &code) const
    {
        revision_t revision = 0;
        globstash_terms given = on.c();
        detail::succeeded(globstash_set_at(c(), detail::c_string(key), value.data(), value.size(),
                                           &given, &revision),
                          code);
        return revision;
    }

    /** Deletes a variable, if it is as it must be; returns whether it was there. */
    bool erase(std::string_view key, const condition &only_if = {}) const
    {
        return detail::thrown([&](std::error_code &code) { return erase(key, only_if, code); });
    }

    bool erase(std::string_view key, std::error_code &code) const { return erase(key, condition(), code); }

    bool erase(std::string_view key, const condition &only_if, std::error_code &code) const
    {
        globstash_condition wanted = only_if.c();
        int erased = globstash_delete_at(c(), detail::c_string(key), &wanted, nullptr);
        return detail::succeeded(erased, code) && erased;
    }

    /** Deletes all variables that match; returns how many there were. */
    std::int64_t erase_matching(std::string_view pattern) const
    {
        return detail::thrown([&](std::error_code &code) { return erase_matching(pattern, code); });
    }

    std::int64_t erase_matching(std::string_view pattern, std::error_code &code) const
    {
        std::int64_t count = globstash_delete_matching(c(), detail::c_string(pattern));
        return detail::succeeded(count, code) ? count : 0;
    }

    /** Whether a variable is defined. */
    bool exists(std::string_view key) const
    {
        return detail::thrown([&](std::error_code &code) { return exists(key, code); });
    }

    bool exists(std::string_view key, std::error_code &code) const
    {
        int defined = globstash_exists_at(c(), detail::c_string(key), nullptr);
        return detail::succeeded(defined, code) && defined;
    }

    /** Gives a variable so long to live from now on; returns whether it is defined. */
    bool expire(std::string_view key, milliseconds ttl = forever) const
    {
        return detail::thrown([&](std::error_code &code) { return expire(key, ttl, code); });
    }

    bool expire(std::string_view key, milliseconds ttl, std::error_code &code) const
    {
        int defined = globstash_expire_at(c(), detail::c_string(key), detail::limit(ttl));
        return detail::succeeded(defined, code) && defined;
    }

    /** Adds to the number that a variable holds; returns the sum, such as "3" or "0.25". */
    std::string increment(std::string_view key, std::string_view by = "1") const
    {
        return detail::thrown([&](std::error_code &code) { return increment(key, by, code); });
    }

    std::string increment(std::string_view key, std::string_view by, std::error_code &code) const
    {
        char sum[64];
        ssize_t length = globstash_increment_at(c(), detail::c_string(key), detail::c_string(by),
                                                nullptr, nullptr, sum, sizeof sum, nullptr);
        return detail::succeeded(length, code) ? std::string(sum) : std::string();
    }

    /** Waits until a variable is defined; nothing if that was not in time. */
    std::optional<std::string> wait(std::string_view key, milliseconds timeout = forever) const
    {
        return detail::thrown([&](std::error_code &code) { return wait(key, timeout, code); });
    }

    std::optional<std::string> wait(std::string_view key, milliseconds timeout,
                                    std::error_code &code) const
    {
        auto found = wait_until(key, condition::defined(), timeout, code);
        if (code == errc::timed_out)
            code.clear();
        return found ? std::optional(std::move(found->value)) : std::nullopt;
    }

    /** Waits until a variable is as wanted; nothing if it is not defined then. Throws errc::timed_out. */
    std::optional<reading> wait_until(std::string_view key, const condition &wanted,
                                      milliseconds timeout = forever) const
    {
        return detail::thrown(
            [&](std::error_code &code) { return wait_until(key, wanted, timeout, code); });
    }

    std::optional<reading> wait_until(std::string_view key, const condition &wanted,
                                      milliseconds timeout, std::error_code &code) const
    {
        // A wait is not asked for twice: by then the variable may be another one.
        std::string room(std::size_t(1) << 10, '\0');
        detail::c_string name(key);
        globstash_condition until = wanted.c();
        reading found{};
        ssize_t length = globstash_wait_at(c(), name, &until, detail::limit(timeout), &room[0],
                                           room.size(), &found.revision);
        if (!detail::succeeded(length, code) || !found.revision)
            return std::nullopt;
        if (static_cast<std::size_t>(length) >= room.size())
            return read(key, code);
        room.resize(static_cast<std::size_t>(length));
        found.value = std::move(room);
        return found;
    }

    /** The variables that match a pattern, in the order of their keys; flags as in globstash.h. */
    globstash::list list(std::string_view pattern = "**", unsigned flags = 0) const
    {
        return detail::thrown([&](std::error_code &code) { return list(pattern, flags, code); });
    }

    globstash::list list(std::string_view pattern, unsigned flags, std::error_code &code) const
    {
        globstash::list opened(globstash_list_open(c(), detail::c_string(pattern), flags));
        detail::succeeded(opened.handle.get(), code);
        return opened;
    }

    /** Exactly what there is at one moment. */
    globstash::list scan(std::string_view pattern = "**") const
    {
        return detail::thrown([&](std::error_code &code) { return scan(pattern, code); });
    }

    globstash::list scan(std::string_view pattern, std::error_code &code) const
    {
        globstash::list opened(globstash_scan_open(c(), detail::c_string(pattern)));
        detail::succeeded(opened.handle.get(), code);
        return opened;
    }

    /** One variable, to be read again and again. */
    globstash::variable variable(std::string_view key) const
    {
        return detail::thrown([&](std::error_code &code) { return variable(key, code); });
    }

    globstash::variable variable(std::string_view key, std::error_code &code) const
    {
        globstash::variable opened(globstash_variable_open(c(), detail::c_string(key)));
        detail::succeeded(opened.handle.get(), code);
        return opened;
    }

    /** What happens to variables that match a pattern, from the present state on. */
    globstash::watch watch(std::string_view pattern = "**", unsigned flags = 0) const
    {
        return detail::thrown([&](std::error_code &code) { return watch(pattern, flags, code); });
    }

    globstash::watch watch(std::string_view pattern, unsigned flags, std::error_code &code) const
    {
        globstash::watch opened(globstash_watch_open(c(), detail::c_string(pattern), flags));
        detail::succeeded(opened.handle.get(), code);
        return opened;
    }

    /**
     * The same from where an earlier watch of this pattern was. Of these keys, which were there at that time,
     * is told that they are gone even if the service does not remember it any more.
     */
    globstash::watch resume(const position &from, std::string_view pattern = "**", unsigned flags = 0,
                            const std::vector<std::string> &keys = {}) const
    {
        return detail::thrown(
            [&](std::error_code &code) { return resume(from, pattern, flags, keys, code); });
    }

    globstash::watch resume(const position &from, std::string_view pattern, unsigned flags,
                            const std::vector<std::string> &keys, std::error_code &code) const
    {
        globstash_position at{};
        at.revision = from.revision;
        if (from.instance.size() < sizeof at.instance)
            from.instance.copy(at.instance, sizeof at.instance);
        else
            // Without an end it is refused.
            std::memset(at.instance, 'x', sizeof at.instance);
        std::vector<std::string> names;
        std::vector<const char *> known;
        names.reserve(keys.size());
        for (const std::string &key : keys)
            known.push_back(names.emplace_back(detail::no_nul(key)).c_str());
        globstash::watch opened(globstash_watch_resume(c(), detail::c_string(pattern), flags, &at,
                                                       known.data(), known.size()));
        detail::succeeded(opened.handle.get(), code);
        return opened;
    }

    /** Makes all changes of a batch, or none; returns their revision. */
    revision_t apply(const batch &changes) const
    {
        return detail::thrown([&](std::error_code &code) { return apply(changes, code); });
    }

    /** With errc::condition it returns the revision that the variable has which is not as it had to be. */
    revision_t apply(const batch &changes, std::error_code &code) const
    {
        revision_t revision = 0;
        std::vector<globstash_step> steps = changes.c();
        detail::succeeded(globstash_apply(c(), steps.data(), steps.size(), &revision), code);
        return revision;
    }

    /** Whether reading needs no system call. */
    bool is_mapped() const { return globstash_is_mapped(c()) > 0; }

    /** Whether the service is there; if not, what is read is what it left. */
    bool is_served() const { return globstash_is_served(c()) > 0; }

    /** For functions of C: belongs to this. */
    globstash_stash *c() const noexcept { return handle ? handle.get() : GLOBSTASH_DEFAULT; }

private:
    static std::optional<stash> taken(globstash_stash *opened, std::error_code &code)
    {
        if (!detail::succeeded(opened, code))
            return std::nullopt;
        stash own;
        own.handle.reset(opened, [](globstash_stash *it) { globstash_close(it); });
        return own;
    }

    std::shared_ptr<globstash_stash> handle;
};

/* The short forms, which use the handle of the whole process. */

template <typename... A> std::optional<std::string> get(std::string_view key, A &&...rest)
{
    return stash().get(key, std::forward<A>(rest)...);
}

template <typename... A>
revision_t set(std::string_view key, std::string_view value, A &&...rest)
{
    return stash().set(key, value, std::forward<A>(rest)...);
}

template <typename... A> bool erase(std::string_view key, A &&...rest)
{
    return stash().erase(key, std::forward<A>(rest)...);
}

template <typename... A> bool exists(std::string_view key, A &&...rest)
{
    return stash().exists(key, std::forward<A>(rest)...);
}

template <typename... A> std::string increment(std::string_view key, A &&...rest)
{
    return stash().increment(key, std::forward<A>(rest)...);
}

template <typename... A> std::optional<std::string> wait(std::string_view key, A &&...rest)
{
    return stash().wait(key, std::forward<A>(rest)...);
}

} // namespace globstash

#endif
