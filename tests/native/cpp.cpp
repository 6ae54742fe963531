// Every call of the C++ header, and both ways to fail.
#include <globstash.hpp>

#include <cassert>
#include <iostream>
#include <thread>
#include <vector>

#include <poll.h>

using namespace std::chrono_literals;
using globstash::condition;
using globstash::errc;

#define CHECK(what)                                                                      \
    do {                                                                                 \
        if (!(what)) {                                                                   \
            std::cerr << __FILE__ << ':' << __LINE__ << ": not so: " << #what << '\n';    \
            std::exit(1);                                                                \
        }                                                                                \
    } while (0)

// What stands behind a call that must throw.
static constexpr bool it_throws = false;

static void values()
{
    using namespace std::string_literals;
    using namespace std::string_view_literals;
    CHECK(!globstash::get("none"));
    auto revision = globstash::set("player/volume", "0.5");
    CHECK(globstash::get("player/volume") == "0.5");
    CHECK(globstash::exists("player/volume"));
    auto read = globstash::stash().read("player/volume");
    CHECK(read && read->value == "0.5" && read->revision == revision);
    // A view into the middle of something else.
    CHECK(globstash::get("xplayer/volumex"sv.substr(1, 13)) == "0.5");
    globstash::set("empty", "");
    CHECK(globstash::get("empty") == "");
    globstash::set("binary", "a\0\xff"sv);
    CHECK(globstash::get("binary") == "a\0\xff"s);
    std::string large(1 << 20, 'x');
    large[77] = '\0';
    globstash::set("large", large);
    CHECK(globstash::get("large") == large);
    CHECK(globstash::erase("player/volume") && !globstash::erase("player/volume"));
    CHECK(globstash::increment("sum") == "1" && globstash::increment("sum", "-0.5") == "0.5");
}

static void failures()
{
    try {
        globstash::get("a=b");
        CHECK(it_throws);
    } catch (const globstash::error &error) {
        CHECK(error.code() == errc::key && error.code() == std::errc::invalid_argument);
        CHECK(std::string(error.what()).find("'a=b' cannot be a key") == 0);
        CHECK(error.code().category().name() == std::string("globstash"));
        CHECK(error.code().message() == "not a key");
    }
    try {
        globstash::stash("unix:/none/such");
        CHECK(it_throws);
    } catch (const std::system_error &error) {
        CHECK(error.code() == errc::unreachable);
    }
    std::error_code code;
    CHECK(!globstash::get("a=b", code) && code == errc::key);
    CHECK(!globstash::get("none", code) && !code);
    CHECK(globstash::set("a=b", "", code) == 0 && code == errc::key);
    CHECK(globstash::set("", "", code) == 0 && code == errc::key);
    CHECK(!globstash::exists(std::string_view("no\0ne", 5), code) && code == errc::key);
    CHECK(!globstash::get(std::string(1000, 'k'), code) && code == errc::key);
    CHECK(!globstash::erase("a=b", code) && code == errc::key);
    CHECK(!globstash::stash::open("unix:/none/such", 0ms, 0, code) && code == errc::unreachable);
    globstash::terms past;
    past.ttl(-1ms);
    CHECK(globstash::set("a", "", past, code) == 0 && code == errc::argument);
    past.ttl(0ms);
    CHECK(globstash::set("a", "", past, code) == 0 && code == errc::argument);
    // What fork() returns if it fails stood for the calling process.
    CHECK(globstash::set("a", "", globstash::terms().process(-1), code) == 0);
    CHECK(code == errc::argument);
}

// What is meant for one service must not go to another, which may be everybody's.
static void a_handle_is_never_that_of_the_whole_process_by_accident()
{
    globstash::stash stash(std::getenv("GLOBSTASH_ADDRESS"));
    globstash::stash moved = std::move(stash);
    CHECK(stash.c() != GLOBSTASH_DEFAULT && moved.c() == stash.c());
    globstash::stash assigned;
    assigned = std::move(moved);
    CHECK(moved.c() != GLOBSTASH_DEFAULT && assigned.c() == stash.c());
}

// A NUL inside ended them, so that another pattern was meant, and then one that matches nothing.
static void a_nul_is_refused_wherever_c_would_take_it_for_the_end()
{
    std::string_view nul("a\0b", 3);
    std::error_code code;
    CHECK(globstash::stash().erase_matching(nul, code) == 0 && code == errc::pattern);
    globstash::stash().list(nul, 0, code);
    CHECK(code == errc::pattern);
    globstash::stash().increment("sum", nul, code);
    CHECK(code == errc::argument);
    CHECK(!globstash::stash::open(nul, 0ms, 0, code) && code == errc::address);
}

// A deadline minus the present time is negative when it has passed: that waited for ever.
static void a_time_that_has_passed_is_no_time()
{
    auto watch = globstash::stash().watch("never");
    CHECK(!watch.wait(-1ms) && !globstash::wait("never", -1ms));
    globstash::set("late", "");
    CHECK(globstash::stash().expire("late", -1ms) && !globstash::exists("late"));
    globstash::set("late", "", globstash::terms().ttl(1h));
    CHECK(globstash::stash().expire("late") && globstash::erase("late"));
}

static void conditions()
{
    globstash::terms first = globstash::terms().ttl(1h).only_if(condition::undefined());
    auto revision = globstash::set("lock", "me", first);
    std::error_code code;
    CHECK(globstash::set("lock", "you", first, code) == revision && code == errc::condition);
    globstash::terms mine;
    mine.only_if(condition::value("me")).own_process().protect();
    revision = globstash::set("lock", "again", mine);
    CHECK(!globstash::erase("lock", condition::revision(revision - 1), code));
    CHECK(code == errc::condition);
    CHECK(globstash::stash().expire("lock", 1h) && !globstash::stash().expire("none"));
    CHECK(globstash::erase("lock", condition::revision(revision)));
}

static void many()
{
    globstash::stash stash(std::getenv("GLOBSTASH_ADDRESS"), 30s);
    globstash::stash same = stash;
    CHECK(same.is_served());
    for (auto key : {"list/a", "list/b", "list/c"})
        same.set(key, key);
    std::vector<std::string> keys;
    for (const auto &entry : stash.list("list/*")) {
        CHECK(entry.value == entry.key);
        keys.push_back(entry.key);
    }
    CHECK((keys == std::vector<std::string>{"list/a", "list/b", "list/c"}));
    auto scan = stash.scan("list/");
    CHECK(scan.next()->key == "list/a" && scan.next() && scan.next() && !scan.next());
    auto first = stash.list("list/", GLOBSTASH_KEYS_ONLY | GLOBSTASH_METADATA).next();
    CHECK(first && !first->value && first->metadata.modified_usec > 0);
    CHECK(stash.erase_matching("list/") == 3);
    std::error_code code;
    auto none = stash.list("[", 0, code);
    CHECK(code == errc::pattern);
    CHECK(!none.next(code) && code == errc::argument);
}

static void variables_and_watches()
{
    globstash::stash stash;
    auto mode = stash.variable("mode");
    CHECK(!mode.changed() && !mode.get() && mode.revision() == 0);
    auto revision = stash.set("mode", "auto");
    CHECK(mode.changed() && mode.get() == "auto" && mode.revision() == revision);
    auto moved = std::move(mode);
    CHECK(moved.get() == "auto");

    auto watch = stash.watch("mode");
    std::thread other([] { globstash::set("mode", "manual"); });
    auto event = watch.wait(60s);
    CHECK(event && event->is_set() && event->key == "mode");
    while (event && event->value != "manual") {
        pollfd ready{watch.fd(), POLLIN, 0};
        while (!(event = watch.next()))
            CHECK(poll(&ready, 1, 60000) > 0);
    }
    other.join();
    CHECK(watch.is_up_to_date() && watch.skipped() <= 1);
    CHECK(!watch.wait(1ms));
    globstash::erase("mode");
    event = watch.wait(60s);
    CHECK(event && !event->is_set() && event->value == "manual");
}

static void batches()
{
    using namespace std::string_literals;
    using namespace std::string_view_literals;
    globstash::stash stash;
    stash.set("queue/1", "wash up");
    // Longer than a string has room for in itself, and while the batch grows.
    globstash::batch take;
    take.check("queue/1", condition::value("wash up")).erase("queue/1");
    for (int i = 0; i < 40; i++)
        take.set("taken/" + std::string(100, 'k') + std::to_string(i), "a\0b"sv);
    take.set("taken/for a while", "x", 1h).increment("count").increment("count", "0.5");
    globstash::batch same = take;
    auto revision = stash.apply(take);
    CHECK(stash.get("taken/" + std::string(100, 'k') + "39") == "a\0b"s);
    CHECK(stash.get("count") == "1.5" && !stash.exists("queue/1"));
    CHECK(stash.read("taken/for a while")->revision == revision);
    std::error_code code;
    CHECK(stash.apply(same, code) == 0 && code == errc::condition);
    CHECK(std::string(globstash_error_text()).find("queue/1 is not defined") == 0);
    CHECK(stash.get("count") == "1.5");
    try {
        stash.apply(same);
        CHECK(it_throws);
    } catch (const globstash::error &error) {
        CHECK(error.code() == errc::condition && error.key() == "queue/1");
    }
    CHECK(stash.apply(globstash::batch().set("a", "").set("a\0b"sv, ""), code) == 0);
    CHECK(code == errc::key && !stash.exists("a"));
    stash.apply(globstash::batch().set("a", "", 0ms), code);
    CHECK(code == errc::argument && !stash.exists("a"));
    stash.apply(globstash::batch().increment("count", "1\0"sv), code);
    CHECK(code == errc::argument && stash.get("count") == "1.5");
    CHECK(stash.apply(globstash::batch(), code) >= revision && !code);
}

static void a_watch_goes_on_where_another_was()
{
    globstash::stash stash;
    std::optional<globstash::watch> watch = stash.resume({}, "job/");
    auto revision = stash.set("job/1", "begun");
    auto event = watch->wait(60s);
    CHECK(event && event->key == "job/1" && watch->is_up_to_date());
    globstash::position position = watch->position();
    CHECK(position.revision == revision && position.instance.size() == 32);
    watch.reset();
    stash.set("job/2", "begun");
    stash.erase("job/1");
    watch = stash.resume(position, "job/", GLOBSTASH_KEYS_ONLY, {"job/1"});
    event = watch->wait(60s);
    CHECK(event && event->key == "job/2" && !event->value);
    event = watch->wait(60s);
    CHECK(event && event->key == "job/1" && !event->is_set());
    CHECK(watch->is_up_to_date() && watch->position().revision == revision + 2);
    std::error_code code;
    position.instance = std::string(100, 'x');
    stash.resume(position, "job/", 0, {}, code);
    CHECK(code == errc::argument);
    stash.resume({}, "job/", 0, {std::string("a\0b", 3)}, code);
    CHECK(code == errc::key);
}

static void waits()
{
    CHECK(!globstash::wait("never", 1ms));
    std::thread other([] { globstash::set("soon", std::string(5000, 's')); });
    CHECK(globstash::wait("soon") == std::string(5000, 's'));
    other.join();
    auto seen = globstash::stash().read("soon")->revision;
    std::thread third([] { globstash::erase("soon"); });
    CHECK(!globstash::stash().wait_until("soon", condition::changed_from(seen), 60s));
    third.join();
    std::error_code code;
    globstash::stash().wait_until("soon", condition::defined(), 1ms, code);
    CHECK(code == errc::timed_out && code == std::errc::timed_out);
}

int main()
{
    values();
    failures();
    conditions();
    many();
    variables_and_watches();
    batches();
    a_watch_goes_on_where_another_was();
    waits();
    a_handle_is_never_that_of_the_whole_process_by_accident();
    a_nul_is_refused_wherever_c_would_take_it_for_the_end();
    a_time_that_has_passed_is_no_time();
}
