//! The specification as examples, a naive matcher to agree with, and what patterns may cost.

mod reference;

use std::hint::black_box;
use std::time::Instant;

use proptest::prelude::*;

use super::program::STEPS;
use super::*;

fn compile(pattern: &str) -> Result<Patterns, Reason> {
    Patterns::compile(&[pattern]).map_err(|error| error.reason)
}

#[track_caller]
fn says(pattern: &str, matching: &[&str], others: &[&str]) {
    let patterns = compile(pattern).unwrap();
    for key in matching {
        assert!(patterns.matches(key), "{pattern:?} should match {key:?}");
        let held = patterns.ranges().iter().any(|range| range.holds(key));
        assert!(held, "the ranges of {pattern:?} should hold {key:?}");
    }
    for key in others {
        assert!(!patterns.matches(key), "{pattern:?} matched {key:?}");
    }
}

#[track_caller]
fn refuses(pattern: &str, reason: Reason) {
    assert_eq!(compile(pattern).err(), Some(reason), "{pattern:?}");
}

#[test]
fn a_pattern_without_special_characters_is_one_key() {
    says(
        "player/volume",
        &["player/volume"],
        &["player/volumes", "player", "player/volume/left"],
    );
    says("a b", &["a b"], &["a", "b"]);
    says("ключ", &["ключ"], &["клю", "ключи"]);
}

#[test]
fn star_and_question_mark_do_not_match_a_slash() {
    says(
        "player/*",
        &["player/volume", "player/"],
        &["player/left/volume", "player", "players"],
    );
    says("*", &["a", "a.b.c", "é"], &["a/", "/", "a/b"]);
    says("a*z", &["az", "a.z", "azzz"], &["a/z", "a", "z"]);
    says("a?c", &["abc", "a?c"], &["a/c", "ac", "abbc"]);
    says("*/*", &["a/b", "/", "a/"], &["a", "a/b/c"]);
}

#[test]
fn two_stars_match_slashes() {
    says("**", &["a", "/", "a/b/c"], &[]);
    says("a/**", &["a/", "a/b", "a/b/c"], &["a", "b/a/"]);
    says("a**b", &["ab", "a/b", "a/x/b"], &["a", "a/x/"]);
    says("**/x", &["/x", "a/x", "a/b/x"], &["x", "a/xx"]);
    says("a/**/b", &["a//b", "a/x/b", "a/x/y/b"], &["a/b"]);
    says("***", &["a", "a/b"], &[]);
    says("*****/x", &["a/b/x"], &["x"]);
}

#[test]
fn brackets_are_sets_and_ranges() {
    says("[a-c]", &["a", "b", "c"], &["d", "-", "ab"]);
    says("[a-cx-z_]", &["b", "y", "_"], &["m"]);
    says("v[0-9].[0-9]", &["v1.2"], &["v1.", "v12", "va.b"]);
    says("[а-я]", &["ж"], &["z", "Ж"]);
    says("[z-zb-db-cc-f]", &["z", "b", "f"], &["a", "g", "y"]);
}

#[test]
fn brackets_are_negated_by_either_mark() {
    says("[!a-c]", &["d", "é", "!"], &["a", "b", ""]);
    says("[^a-c]", &["d", "é", "^"], &["a", "b", ""]);
    says("[a!]", &["a", "!"], &["b"]);
    says("[!!]", &["a"], &["!"]);
}

#[test]
fn a_bracket_that_comes_first_in_brackets_is_literal() {
    says("[]]", &["]"], &["[]", "[]]"]);
    says("[]a]", &["]", "a"], &["[", "b"]);
    says("[!]a]", &["b"], &["]", "a"]);
    says("[]-a]", &["]", "^", "_", "`", "a"], &["b", "-"]);
    says("a]", &["a]"], &[]);
}

#[test]
fn brackets_never_match_a_slash() {
    says("a[/]b", &[], &["a/b", "a[/]b"]);
    says("a[b/]c", &["abc"], &["a/c"]);
    says("a[.-0]c", &["a.c", "a0c"], &["a/c"]);
    says("a[!b]c", &["axc"], &["a/c"]);
}

#[test]
fn a_hyphen_at_the_edge_of_brackets_is_literal() {
    says("[-a]", &["-", "a"], &["b"]);
    says("[a-]", &["-", "a"], &["b"]);
    says("[!-]", &["a"], &["-"]);
    says("[--0]", &["-", ".", "0"], &["1", "a"]);
    says("[a-c-e]", &["b", "-", "e"], &["d"]);
}

#[test]
fn named_classes_are_only_characters() {
    says("[[:digit:]]", &["d]", "[]", ":]"], &["1", "1]"]);
}

#[test]
fn a_backslash_takes_the_next_character_literally() {
    says(r"\*", &["*"], &["a", r"\*"]);
    says(r"a\?\[\{\\", &[r"a?[{\"], &["ab[{"]);
    says(r"\a", &["a"], &[r"\a"]);
    says(r"{a\,b,c\}}", &["a,b", "c}"], &["a", "b", "c"]);
}

#[test]
fn a_backslash_works_in_brackets() {
    says(r"[\]]", &["]"], &[r"\", r"\]"]);
    says(r"[a\-c]", &["a", "-", "c"], &["b"]);
    says(r"[\!a]", &["!", "a"], &["b"]);
    says(r"[\a-\c]", &["b"], &["d"]);
    says(r"[\\]", &[r"\"], &[]);
}

#[test]
fn braces_are_alternatives() {
    says(
        "{one,two}",
        &["one", "two"],
        &["onetwo", "one,two", "three"],
    );
    says("a{b,c}d", &["abd", "acd"], &["ad", "abcd"]);
    says("{a,b,c,d}?", &["ax", "bx", "cx", "dx"], &["a", "ex"]);
    says("{a,b}{c,d}", &["ac", "ad", "bc", "bd"], &["ab", "cd"]);
    says("{a*,?b}c", &["ac", "axyc", "xbc"], &["a/c", "xc"]);
    says("{,a}b", &["b", "ab"], &["a"]);
    says("x{a,a}", &["xa"], &["xaa"]);
}

#[test]
fn braces_nest() {
    says(
        "{a,b{c,d{e,f}}}",
        &["a", "bc", "bde", "bdf"],
        &["b", "bd", "e"],
    );
    says("{{a,b},c}", &["a", "b", "c"], &["{a"]);
}

#[test]
fn braces_without_a_comma_are_literal() {
    says("{a}", &["{a}"], &["a"]);
    says("{}", &["{}"], &[]);
    says("{{a,b}}", &["{a}", "{b}"], &["a"]);
    says("{{a},b}", &["{a}", "b"], &["a"]);
    says("{*}", &["{}", "{x}"], &["x"]);
    says(r"{a\,b}", &["{a,b}"], &["a"]);
    says("{1..3}", &["{1..3}"], &["1", "2"]);
}

#[test]
fn what_closes_or_parts_nothing_is_literal() {
    says("a}", &["a}"], &[]);
    says("a,b", &["a,b"], &["a"]);
    says("}{a,b},", &["}a,", "}b,"], &[]);
}

#[test]
fn brackets_bind_before_braces() {
    says("[{]", &["{"], &[]);
    says("{a,[,}]}", &["a", ",", "}"], &["[", "[,}]"]);
    says("[{a,b}]", &["{", "a", ",", "}"], &["[a]", "[b]"]);
    refuses("{[,}]", Reason::UnclosedBrace);
    refuses("{a,[}", Reason::UnclosedBracket);
}

#[test]
fn a_last_slash_means_everything_below() {
    says(
        "player/",
        &["player/volume", "player/left/volume", "player//"],
        &["player/", "player", "players"],
    );
    says("/", &["/a", "//"], &["/", "a"]);
    says("*/", &["a/b", "a/b/c", "/b"], &["a/", "a"]);
    says("**/", &["a/b", "a/b/", "/b"], &["a/", "a"]);
    says("//", &["//a"], &["//", "/a"]);
}

#[test]
fn a_last_slash_in_braces_is_that_of_the_expanded_pattern() {
    says("{a/,b}", &["a/x", "a/x/y", "b"], &["a/", "a", "b/x"]);
    says("{a/,b}c", &["a/c", "bc"], &["a/x", "a/cc"]);
    says("{a,b}/", &["a/x", "b/x"], &["a/", "a"]);
    says("a/{,b}", &["a/b", "a/x"], &["a/", "a"]);
    says(r"{a/,a\/}", &["a/", "a/x"], &["a"]);
}

#[test]
fn an_escaped_last_slash_is_only_a_character() {
    says(r"a\/", &["a/"], &["a/b", "a"]);
    says(r"a\/b", &["a/b"], &["a"]);
}

#[test]
fn stars_that_meet_by_expansion_are_two_stars() {
    says("{*,a}*", &["x/y", "ab"], &[]);
    says("*{,a}*", &["x/y"], &[]);
    says("{x,y}{*,c}{*,d}-", &["xa/b-", "ycd-", "yca-"], &["xa/b"]);
    says("{b,*}a*", &["ba", "xay"], &["x/ay", "ba/y"]);
}

#[test]
fn an_empty_pattern_matches_nothing() {
    says("", &[], &["", "a", "/"]);
    says("{,}", &[], &["", "a"]);
    says("{,a}", &["a"], &["", "aa"]);
    assert_eq!(compile("").unwrap().ranges(), []);
}

#[test]
fn no_patterns_are_all_keys_and_an_empty_list_is_none() {
    assert!(Patterns::all().matches("a/b"));
    assert_eq!(Patterns::all().ranges(), [KeyRange::prefix("")]);
    let none = Patterns::compile::<&str>(&[]).unwrap();
    assert!(!none.matches("a"));
    assert_eq!(none.ranges(), []);
}

#[test]
fn one_matching_pattern_of_several_is_enough() {
    let patterns = Patterns::compile(&["a", "b*", "c?d"]).unwrap();
    for (key, expected) in [("a", true), ("bb", true), ("cxd", true), ("d", false)] {
        assert_eq!(patterns.matches(key), expected, "{key:?}");
    }
}

#[test]
fn a_star_matches_a_leading_dot() {
    says("*", &[".hidden"], &[]);
    says("a/*", &["a/.b"], &[]);
}

#[test]
fn matching_is_by_characters() {
    says("?", &["a", "é", "本", "🦀"], &["éa", "e\u{301}"]);
    says("??", &["日本"], &["本"]);
    says("*本*", &["日本語"], &["日語"]);
    says("[!a]", &["🦀"], &["🦀🦀"]);
    says("{é,è}?", &["éa", "è本"], &["é"]);
}

#[test]
fn the_longest_key_can_match() {
    let key = "é".repeat(127) + "x";
    let end = "é".repeat(120) + "*x";
    says("*x", &[&key], &[]);
    says("**?", &[&key], &[]);
    says(&end, &[&key], &[]);
    says("*é", &[], &[&key]);
    says("**", &[], &[&(key.clone() + "y")]);
}

#[test]
fn what_is_not_closed_or_runs_backwards_is_refused() {
    for pattern in ["[", "a[b", "[]", "[!]", "[^]", r"[\]", "[a-", "{[}"] {
        refuses(pattern, Reason::UnclosedBracket);
    }
    for pattern in ["{", "a{b", "{a,b", "{a,{b}", "{{a,b}", r"{a\}"] {
        refuses(pattern, Reason::UnclosedBrace);
    }
    for pattern in [r"\", r"a\", r"\\\", r"[a\"] {
        refuses(pattern, Reason::LastBackslash);
    }
    refuses("[z-a]", Reason::BackwardsRange('z', 'a'));
    refuses(r"[a-\]]", Reason::BackwardsRange('a', ']'));
    refuses("{a,[b-cz-y]}", Reason::BackwardsRange('z', 'y'));
}

#[test]
fn a_pattern_has_at_most_1024_bytes() {
    assert!(compile(&"a".repeat(1024)).is_ok());
    refuses(&"a".repeat(1025), Reason::TooLong(1025));
    refuses(&"é".repeat(513), Reason::TooLong(1026));
}

#[test]
fn a_pattern_has_at_most_64_alternatives() {
    let list = |n: usize| format!("{{{}}}", ["a"].repeat(n).join(","));
    assert!(compile(&list(64)).is_ok());
    assert!(compile(&"{a,b}".repeat(6)).is_ok());
    assert!(compile(&(list(32) + &list(2))).is_ok());
    assert!(compile(&"{a}".repeat(300)).is_ok());
    refuses(&list(65), Reason::TooManyAlternatives);
    refuses(&"{a,b}".repeat(7), Reason::TooManyAlternatives);
    refuses(&(list(33) + &list(2)), Reason::TooManyAlternatives);
    refuses(&"{a,b}".repeat(200), Reason::TooManyAlternatives);
    refuses(&format!("{{{},b}}", list(64)), Reason::TooManyAlternatives);
}

#[test]
fn an_error_says_which_pattern_is_wrong_and_why() {
    let error = Patterns::compile(&["a", "b[", "c["]).unwrap_err();
    assert_eq!(error.index, 1);
    assert_eq!(
        error.to_string(),
        r"a bracket is not closed, write \[ for the character"
    );
    let error = Patterns::compile(&["[z-a]"]).unwrap_err();
    assert_eq!(error.to_string(), "the range 'z-a' runs backwards");
}

#[test]
fn ranges_are_the_literal_beginnings() {
    let key = KeyRange::key;
    let prefix = KeyRange::prefix;
    let ranges = |patterns: &[&str]| Patterns::compile(patterns).unwrap().ranges;
    assert_eq!(ranges(&["a/b"]), [key("a/b")]);
    assert_eq!(ranges(&[r"a\*"]), [key("a*")]);
    assert_eq!(ranges(&["a/"]), [prefix("a/")]);
    assert_eq!(ranges(&[r"a\/"]), [key("a/")]);
    assert_eq!(ranges(&["a/*.b"]), [prefix("a/")]);
    assert_eq!(ranges(&["*a"]), [prefix("")]);
    assert_eq!(
        ranges(&["{c,a}{x,y*}"]),
        [key("ax"), prefix("ay"), key("cx"), prefix("cy")]
    );
    assert_eq!(ranges(&["é/?", "{a}"]), [key("{a}"), prefix("é/")]);
}

#[test]
fn ranges_are_merged_and_sorted() {
    let key = KeyRange::key;
    let prefix = KeyRange::prefix;
    let ranges = |patterns: &[&str]| Patterns::compile(patterns).unwrap().ranges;
    assert_eq!(
        ranges(&["b", "a", "b", "a/"]),
        [key("a"), prefix("a/"), key("b")]
    );
    assert_eq!(ranges(&["ab", "abc*", "a", "a*"]), [prefix("a")]);
    assert_eq!(ranges(&["x", "**", "y/"]), [prefix("")]);
    assert_eq!(ranges(&["a", "a0", "a*b"]), [prefix("a")]);
}

#[test]
fn ranges_take_a_bounded_amount_of_memory() {
    let pattern = "{,a}".repeat(6) + &"b".repeat(1000);
    let ranges = compile(&pattern).unwrap().ranges;
    assert!(
        ranges
            .iter()
            .map(|range| range.start().len())
            .sum::<usize>()
            <= 4096
    );
}

/// What is likely to be special, next to a few characters of each length.
fn pattern() -> impl Strategy<Value = String> {
    let noise = proptest::string::string_regex(r"[ab/*?\[\]!\-{},\\]{0,12}").unwrap();
    let leaf = prop_oneof![
        4 => "[ab/é]{1,2}",
        3 => "[*]{1,3}",
        1 => "/?",
        2 => Just("?".to_string()),
        1 => r"\\[ab/*?\[\]{},\\]",
        2 => r"\[[!^]?\]?[ab/é*?\[{},-]{1,3}\]",
    ];
    let sequence = |part| prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat());
    let nested = sequence(leaf.boxed()).prop_recursive(3, 24, 4, move |inner| {
        let braces = prop::collection::vec(inner.clone(), 1..4)
            .prop_map(|parts| format!("{{{}}}", parts.join(",")));
        sequence(prop_oneof![inner, braces].boxed())
    });
    prop_oneof![noise, nested]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ab/é]{1,7}", 1 => r"[ab/é*?\[\]{},\\!-]{1,7}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn patterns_mean_what_they_expand_to(
        // Something fixed in front moves the rest over the edges of words.
        len in prop::sample::select(&[0, 0, 60, 124, 188][..]),
        pattern in pattern(),
        keys in prop::collection::vec(key(), 16),
    ) {
        let front = "x".repeat(len);
        let pattern = front.clone() + &pattern;
        let compiled = compile(&pattern).ok();
        for key in keys {
            let key = front.clone() + &key;
            let matches = compiled.as_ref().map(|compiled| compiled.matches(&key));
            prop_assert_eq!(matches, reference::matches(&pattern, &key), "{:?}", key);
        }
    }

    #[test]
    fn ranges_hold_every_match_and_are_in_order(
        patterns in prop::collection::vec(pattern(), 0..4),
        mut keys in prop::collection::vec(key(), 32),
    ) {
        let valid: Vec<_> = patterns.iter().filter(|p| compile(p).is_ok()).collect();
        let compiled = Patterns::compile(&valid).unwrap();
        keys.extend(compiled.ranges().iter().map(|range| range.start().to_string()));
        for key in &keys {
            let holding = compiled.ranges().iter().filter(|range| range.holds(key)).count();
            prop_assert!(holding <= 1, "{:?} is in several ranges", key);
            prop_assert!(holding == 1 || !compiled.matches(key), "{:?} is in no range", key);
        }
        for pair in compiled.ranges().windows(2) {
            prop_assert!(pair[0].is_before(pair[1].start()));
        }
    }

    #[test]
    fn a_walk_over_the_ranges_finds_every_match(
        pattern in "[ab/]{0,2}[*?]?[ab/]{0,2}",
        mut keys in prop::collection::vec("[ab/]{1,4}", 0..64),
        after in "[ab/]{0,3}",
    ) {
        keys.sort();
        keys.dedup();
        let patterns = compile(&pattern).unwrap();
        let ranges = patterns.ranges();
        let mut found = Vec::new();
        for range in &ranges[ranges.partition_point(|r| r.is_before(&after))..] {
            let start = range.start().max(&after);
            let from = keys.partition_point(|key| **key < *start);
            found.extend(keys[from..].iter().take_while(|key| range.holds(key)));
        }
        found.retain(|key| patterns.matches(key));
        let all = keys.iter().filter(|key| **key >= after && patterns.matches(key));
        prop_assert_eq!(found, all.collect::<Vec<_>>());
    }

    #[test]
    fn no_match_takes_more_steps_than_its_cost(
        patterns in prop::collection::vec(pattern(), 0..4),
        key in key(),
    ) {
        let valid: Vec<_> = patterns.iter().filter(|p| compile(p).is_ok()).collect();
        let compiled = Patterns::compile(&valid).unwrap();
        prop_assert!(steps(&compiled, &key) <= compiled.cost());
    }
}

fn steps(patterns: &Patterns, key: &str) -> usize {
    STEPS.set(0);
    black_box(patterns.matches(key));
    STEPS.get()
}

/// Patterns of 1024 bytes or little less which are hard for some matcher.
fn hostile() -> Vec<(&'static str, String)> {
    let nest = |open: &str, close: &str| open.repeat(60) + "a" + &close.repeat(60);
    vec![
        ("*a*a", "*a".repeat(511) + "*b"),
        ("**a**a", "**a".repeat(341)),
        ("*[a]*[a]", "*[a]".repeat(256)),
        ("*[!b-y]", "*[!b-y]".repeat(146)),
        ("[ab…]", format!("*[{}]*b", "ac".repeat(509))),
        ("*?*?", "*?".repeat(511) + "b"),
        ("{a,*}", "{a,*}".repeat(6) + &"*a".repeat(497)),
        ("{*{*{*", nest("{*,*a", "}")),
        ("{a,{a,{a,", nest("{a,", "}")),
        ("{{{", nest("{", "}*")),
        ("{,a}bbb", "{,a}".repeat(6) + &"b".repeat(1000)),
        ("{,a}*", "{,a}*".repeat(6) + &"*a*b".repeat(248)),
    ]
}

#[test]
fn hostile_patterns_cost_as_much_as_they_are_long() {
    let keys = [
        "a".repeat(255),
        "ab".repeat(127),
        "a/".repeat(127),
        "é".repeat(127),
    ];
    for (name, pattern) in hostile() {
        let one = compile(&pattern).unwrap();
        let brackets = pattern.matches('[').count();
        assert!(one.cost() <= pattern.len() + brackets * KEY_MAX, "{name}");
        let count = (BRACKETS_MAX / brackets.max(1)).min(PATTERNS_MAX);
        let most = Patterns::compile(&vec![pattern; count]).unwrap();
        assert_eq!(most.cost(), count * one.cost(), "{name}");
        for key in &keys {
            assert!(steps(&most, key) <= most.cost(), "{name} {key}");
        }
    }
}

#[test]
fn a_call_can_have_256_pairs_of_brackets_in_all() {
    let half = "[a]".repeat(BRACKETS_MAX / 2);
    assert!(Patterns::compile(&[&half, &half]).is_ok());
    let refused = Patterns::compile(&[&half, &half, &"[a]".to_owned()]).unwrap_err();
    assert_eq!(
        (refused.index, refused.reason),
        (2, Reason::TooManyBrackets)
    );
}

#[test]
fn a_thousand_open_braces_are_refused_and_as_many_pairs_are_literal() {
    refuses(&"{".repeat(1024), Reason::UnclosedBrace);
    refuses(&"{,".repeat(512), Reason::UnclosedBrace);
    refuses(&"[".repeat(1024), Reason::UnclosedBracket);
    let pairs = "{".repeat(100) + &"}".repeat(100);
    says(&pairs, &[&pairs], &["{}"]);
    assert!(compile(&("{".repeat(512) + &"}".repeat(512))).is_ok());
    let deep = "{a,".repeat(63) + "b" + &"}".repeat(63);
    says(&deep, &["a", "b"], &["c"]);
    refuses(
        &("{a,".repeat(64) + "b" + &"}".repeat(64)),
        Reason::TooManyAlternatives,
    );
}

/// Prints what a key costs: `cargo test --release -- --ignored --nocapture nanoseconds`.
#[test]
#[ignore = "a measurement, for people"]
fn nanoseconds_per_key() {
    let measure = |name: &str, patterns: &[String], key: &str| {
        let begin = Instant::now();
        let patterns = Patterns::compile(patterns).unwrap();
        let compiling = begin.elapsed().as_micros();
        let rounds = 20_000_000 / (patterns.cost() + 200);
        let begin = Instant::now();
        for _ in 0..rounds {
            black_box(black_box(&patterns).matches(black_box(key)));
        }
        let nanoseconds = begin.elapsed().as_nanos() as usize / rounds;
        let cost = patterns.cost();
        println!("{name:>22} {nanoseconds:>8} ns, cost {cost:>7}, compiled in {compiling:>4} µs");
    };
    let key = "player/left/volume";
    for pattern in [
        key,
        "other/",
        "player/",
        "player/**",
        "player/left/*",
        "player/*/volume",
        "**/volume",
        "*.log",
        "{player,mixer}/*/volume",
        "player/left/[a-z]*",
    ] {
        measure(pattern, &[pattern.to_string()], key);
    }
    let long = "a".repeat(255);
    for (name, pattern) in hostile() {
        measure(name, std::slice::from_ref(&pattern), &long);
        measure("64 times", &vec![pattern; 64], &long);
    }
}
