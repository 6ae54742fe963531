//! Patterns, by what List finds with them.

use serde_json::json;

use crate::scene::{Scene, invalid_parameter};

proofs! {
    globs_are_those_of_a_shell {
        "io.globstash": "A pattern is a shell glob: '*' and '?' do not match '/', '**' does, '[a-z]', '[!a-z]' (also written '[^a-z]') and '{one,two}' work as in a shell, a backslash takes the next character literally, and a pattern that ends in '/' matches everything below it, that is at least one character more.",
    }
    matching_is_by_characters {
        "io.globstash": "Matching is by characters.",
    }
    brackets_are_as_said {
        "io.globstash": "Brackets never match '/'; a ']' that comes first in brackets is literal.",
    }
    braces_are_as_said {
        "io.globstash": "Braces mean the patterns that they expand to, and nest; braces without a comma are literal.",
        "io.globstash": "Brackets bind before braces.",
    }
    what_is_easily_taken_for_granted_is_as_said {
        "io.globstash": "'*' matches a leading dot; '**/x' does not match 'x'; there are no named classes and no '{1..3}'; an empty pattern matches nothing.",
        "io.globstash": "An escaped '/' at the end is only a character.",
    }
    what_is_malformed_is_refused {
        "io.globstash": "An unclosed bracket or brace, a range that runs backwards and a last backslash are InvalidPattern.",
    }
    a_pattern_has_limits {
        "io.globstash": "A pattern has at most 1024 bytes and 64 alternatives after expansion, a call at most 64 patterns (more: InvalidParameter 'patterns') with 256 pairs of brackets in all.",
    }
    no_patterns_are_all_or_nothing {
        "io.globstash": "Where patterns may be left out that means all variables; an empty list of patterns matches nothing.",
    }
}

/// Of these keys and no others, these patterns find what is said.
fn expect(scene: &Scene, keys: &[&str], cases: &[(&str, &[&str])]) {
    for key in keys {
        scene.set(key, "");
    }
    for (pattern, found) in cases {
        let mut found = found.to_vec();
        found.sort_unstable();
        assert_eq!(scene.matching(pattern), found, "{pattern}");
    }
    scene.ask("Delete", json!({ "patterns": ["**"] }));
}

fn globs_are_those_of_a_shell(scene: &Scene) {
    let keys = [
        "a",
        "b",
        "ab",
        "a/b",
        "a/b/c",
        "a/",
        "*",
        "{one,two}",
        "one",
        "two",
        "B",
    ];
    expect(
        scene,
        &keys,
        &[
            ("*", &["*", "B", "a", "ab", "b", "one", "two", "{one,two}"]),
            ("?", &["*", "B", "a", "b"]),
            ("a?", &["ab"]),
            ("a?b", &[]),
            ("a*b", &["ab"]),
            ("a**b", &["ab", "a/b"]),
            ("**", &keys),
            ("[a-z]", &["a", "b"]),
            ("[!a-z]", &["*", "B"]),
            ("[^a-z]", &["*", "B"]),
            ("{one,two}", &["one", "two"]),
            (r"\*", &["*"]),
            (r"\a", &["a"]),
            (r"\{one,two}", &["{one,two}"]),
            ("a/", &["a/b", "a/b/c"]),
            ("a/*", &["a/", "a/b"]),
        ],
    );
}

fn matching_is_by_characters(scene: &Scene) {
    expect(
        scene,
        &["é", "日本", "x", "xy", "z🌍"],
        &[
            ("?", &["x", "é"]),
            ("??", &["xy", "日本", "z🌍"]),
            ("[à-ü]", &["é"]),
            ("[!x]", &["é"]),
            ("z[🌌-🌏]", &["z🌍"]),
        ],
    );
}

fn brackets_are_as_said(scene: &Scene) {
    expect(
        scene,
        &["a/b", "a.b", "a]b", "a!b", "a-b"],
        &[
            ("a[/]b", &[]),
            ("a[.-0]b", &["a.b"]),
            ("a[!x]b", &["a.b", "a]b", "a!b", "a-b"]),
            ("a[]]b", &["a]b"]),
            ("a[].]b", &["a.b", "a]b"]),
            ("a[!]]b", &["a.b", "a!b", "a-b"]),
            ("a[.!]b", &["a.b", "a!b"]),
            ("a[.-]b", &["a.b", "a-b"]),
        ],
    );
}

fn braces_are_as_said(scene: &Scene) {
    expect(
        scene,
        &["a", "ab", "ac", "abd", "{a}", "{}", "x,y", "x", "a/b"],
        &[
            ("a{,b,c}", &["a", "ab", "ac"]),
            ("a{b{,d},c}", &["ab", "abd", "ac"]),
            ("{a,x}*", &["a", "ab", "abd", "ac", "x", "x,y"]),
            ("{a}", &["{a}"]),
            ("{}", &["{}"]),
            // As two patterns, the first would match below "a" and the second nothing.
            ("{a/,q}", &["a/b"]),
            ("x{[,]y,}", &["x", "x,y"]),
            ("{x,a[{,}]}", &["x"]),
        ],
    );
}

fn what_is_easily_taken_for_granted_is_as_said(scene: &Scene) {
    expect(
        scene,
        &[".x", "x", "d/x", "1", "{1..3}", ":", "a/", "a/b"],
        &[
            ("*x", &[".x", "x"]),
            ("?x", &[".x"]),
            ("**/x", &["d/x"]),
            ("[[:digit:]]", &[]),
            ("{1..3}", &["{1..3}"]),
            ("", &[]),
            (r"a\/", &["a/"]),
            ("a/", &["a/b"]),
        ],
    );
}

fn what_is_malformed_is_refused(scene: &Scene) {
    scene.set("a", "1");
    for pattern in [
        "[", "[a", "[]", "[!]", "a{b", "{a,{b}", "[z-a]", "a\\", "{a,b\\",
    ] {
        let patterns = json!({ "patterns": ["ok", pattern] });
        let refusals = [
            scene.refuse("Delete", patterns.clone()),
            scene.list(patterns).expect_err("it is none"),
        ];
        for refusal in refusals {
            let told = (&*refusal.name, refusal.parameters["pattern"].as_str());
            assert_eq!(told, ("InvalidPattern", Some(pattern)));
        }
    }
    assert!(scene.value("a").is_some());
}

fn a_pattern_has_limits(scene: &Scene) {
    let brackets = |count: usize| "[a]".repeat(count);
    let braces = |count: usize| format!("{{{}}}", vec!["a"; count].join(","));
    let twice = |count: usize| format!("{}{}", braces(2), braces(count));
    for pattern in ["x".repeat(1024), brackets(256), braces(64), twice(32)] {
        assert_eq!(scene.matching(&pattern), [""; 0]);
    }
    for pattern in ["x".repeat(1025), brackets(257), braces(65), twice(33)] {
        let refusal = scene.list(json!({ "patterns": [pattern] }));
        assert_eq!(refusal.expect_err("too much").name, "InvalidPattern");
    }
    let list = |patterns: Vec<String>| scene.list(json!({ "patterns": patterns }));
    assert_eq!(list(vec!["x".to_owned(); 64]), Ok(vec![]));
    let refusal = list(vec!["x".to_owned(); 65]).expect_err("one too many");
    assert_eq!(refusal, invalid_parameter("patterns"));
    assert_eq!(list(vec![brackets(64); 4]), Ok(vec![]));
    let refusal = list(vec![brackets(64), brackets(193)]).expect_err("one too many");
    assert_eq!(refusal.name, "InvalidPattern");
}

fn no_patterns_are_all_or_nothing(scene: &Scene) {
    scene.set("a/b", "1");
    scene.set(".c", "1");
    let count = |parameters| scene.list(parameters).expect("a list").len();
    assert_eq!(count(json!({})), 2);
    assert_eq!(count(json!({ "patterns": null })), 2);
    assert_eq!(count(json!({ "patterns": [] })), 0);
    assert_eq!(scene.watch(json!({ "initial": true })).catch_up().len(), 2);
    let none = json!({ "patterns": [], "initial": true });
    assert_eq!(scene.watch(none).catch_up().len(), 0);
    assert_eq!(scene.ask("Delete", json!({ "patterns": [] }))["count"], 0);
}
