//! Increment.

use serde_json::json;

use crate::scene::{ALICE, BOB, Scene, invalid_parameter, no, revision};

proofs! {
    numbers_are_added_to {
        "Increment": "Add to the number that a variable holds, and return the sum.",
        "Increment": "A variable that is not defined counts as 0.",
        "Increment.key": "The key.",
        "Increment.by": "The number to add, such as -1 or 0.1.",
        "Increment.by": "Defaults to 1.",
        "Increment().value": "The sum.",
        "Increment().revision": "The revision of this change.",
    }
    a_number_is_what_the_interface_says {
        "Increment": "A number is an optional '-', digits, and optionally '.' and digits, such as 3, -12 or 0.25, with at most 18 significant digits and 18 decimals; leading zeros are accepted.",
        "Increment": "An argument that is no such number is InvalidParameter, a value that is none NotNumeric.",
    }
    sums_are_exact_and_kept_between_limits {
        "Increment": "The sum is exact, clamped before overflow is judged, has no superfluous zeros and is never '-0'.",
        "Increment.minimum": "If the sum would be less than this, it is this.",
        "Increment.minimum": "A minimum above the maximum is InvalidParameter.",
        "Increment.maximum": "If the sum would be more than this, it is this.",
    }
    all_else_stays {
        "Increment": "Time to live, process, protection and owner stay.",
    }
}

fn numbers_are_added_to(scene: &Scene) {
    for (n, (by, sum)) in [
        (None, "1"),
        (None, "2"),
        (Some("-1"), "1"),
        (Some("0.1"), "1.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let told = scene.ask("Increment", json!({ "key": "a", "by": by }));
        assert_eq!(
            (&told["value"], revision(&told)),
            (&json!(sum), n as u64 + 1)
        );
        assert_eq!(scene.value("a").as_deref(), Some(sum));
    }
}

fn a_number_is_what_the_interface_says(scene: &Scene) {
    let small = "0.000000000000000001";
    let numbers = [
        "3",
        "-12",
        "0.25",
        "0",
        "-0",
        "00",
        "007",
        "-00.50",
        "999999999999999999",
        "-999999999999999999",
        small,
        "000000000000000000000000001",
        "123456789.123456789",
    ];
    for number in numbers {
        scene.set("a", number);
        let told = scene.call("Increment", json!({ "key": "a", "by": "0" }));
        assert!(told.is_ok(), "{number}: {told:?}");
        scene.ask(
            "Increment",
            json!({ "key": format!("by {number}"), "by": number }),
        );
    }
    let none = [
        "",
        "-",
        "+1",
        "1.",
        ".5",
        "-.5",
        "1e3",
        "0x10",
        " 1",
        "1 ",
        "1\n",
        "1,5",
        "1_000",
        "--1",
        "1.2.3",
        "٣",
        "NaN",
        "inf",
        "1000000000000000001",
        "0.0000000000000000001",
        "1234567890.123456789",
    ];
    for text in none {
        scene.set("a", text);
        let refusal = scene.refuse("Increment", json!({ "key": "a" }));
        assert_eq!(refusal, no("NotNumeric", json!({ "key": "a" })), "{text:?}");
        for name in ["by", "minimum", "maximum"] {
            let mut parameters = json!({ "key": "b" });
            parameters[name] = json!(text);
            let refusal = scene.refuse("Increment", parameters);
            assert_eq!(refusal, invalid_parameter(name), "{text:?}");
        }
    }
    scene.ask("Set", json!({ "key": "a", "data": "/w==" }));
    assert_eq!(
        scene.refuse("Increment", json!({ "key": "a" })).name,
        "NotNumeric"
    );
    assert_eq!(scene.value("b"), None);
}

fn sums_are_exact_and_kept_between_limits(scene: &Scene) {
    let sum = |value: &str, by: &str, minimum: Option<&str>, maximum: Option<&str>| {
        scene.set("a", value);
        let parameters = json!({ "key": "a", "by": by, "minimum": minimum, "maximum": maximum });
        let told = scene
            .call("Increment", parameters)
            .map(|mut told| told["value"].take());
        told.map_err(|refusal| refusal.name)
    };
    let most = "999999999999999999";
    for (value, by, minimum, maximum, expected) in [
        ("0.1", "0.2", None, None, "0.3"),
        (
            "0.000000000000000001",
            "0.999999999999999999",
            None,
            None,
            "1",
        ),
        ("1.50", "0.500", None, None, "2"),
        ("1.10", "0", None, None, "1.1"),
        ("007", "0", None, None, "7"),
        ("1", "-1", None, None, "0"),
        ("-0", "-0", None, None, "0"),
        ("-0.5", "0.5", None, None, "0"),
        ("5", "-9", Some("0"), None, "0"),
        ("5", "9", None, Some("10"), "10"),
        ("5", "1", Some("0"), Some("10"), "6"),
        ("5", "1", Some("8"), Some("10"), "8"),
        ("5", "1", Some("3"), Some("3.0"), "3"),
        ("5", "-9", Some("-0"), None, "0"),
        (most, "1", None, Some("5"), "5"),
        ("-999999999999999999", "-1", Some("-7"), None, "-7"),
        ("0.000000000000000001", most, None, Some(most), most),
    ] {
        let told = sum(value, by, minimum, maximum);
        assert_eq!(
            told,
            Ok(json!(expected)),
            "{value} {by} {minimum:?} {maximum:?}"
        );
    }
    assert_eq!(sum(most, "1", None, None), Err("NumberOverflow".to_owned()));
    assert_eq!(
        sum("0.000000000000000001", "1", None, None),
        Err("NumberOverflow".to_owned())
    );
    let refusal = scene.refuse(
        "Increment",
        json!({ "key": "a", "minimum": "2", "maximum": "1" }),
    );
    assert_eq!(refusal, invalid_parameter("minimum"));
    (0..10).for_each(|_| drop(scene.ask("Increment", json!({ "key": "tenths", "by": "0.1" }))));
    assert_eq!(scene.value("tenths").as_deref(), Some("1"));
}

fn all_else_stays(scene: &Scene) {
    let (alice, own) = (scene.user(ALICE), std::process::id());
    let full = json!({ "key": "a", "value": "1", "ttlUSec": 3_600_000_000_u64, "pid": own, "protected": true });
    alice.ask("Set", full);
    let kept = || {
        let entry = scene.entry("a");
        ["expiresUSec", "pid", "protected", "ownerUid"].map(|name| entry[name].clone())
    };
    let before = kept();
    alice.ask("Increment", json!({ "key": "a" }));
    scene.ask("Increment", json!({ "key": "a" }));
    let after = kept();
    assert_eq!(before[1..], after[1..]);
    // The time is told by the calendar, which is exact to some ms beside the clock that counts.
    let difference = before[0]
        .as_u64()
        .expect("a time")
        .abs_diff(after[0].as_u64().expect("a time"));
    assert!(difference < 1_000_000, "{before:?} {after:?}");
    assert_eq!(scene.value("a").as_deref(), Some("3"));
    let refusal = scene.user(BOB).refuse("Increment", json!({ "key": "a" }));
    assert_eq!(refusal, no("PermissionDenied", json!({ "key": "a" })));
}
