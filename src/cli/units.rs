//! Sizes and spans of time, as people read and write them.

use std::time::Duration;

/// A size in binary units: `0 B`, `1.2 KiB`, `256 MiB`. One decimal at most, for what is below 10.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    // In u128 ten times the largest number has room.
    let mut unit = 0;
    while unit + 1 < UNITS.len() && rounded(bytes, 10 * unit, 1) >= 1024 {
        unit += 1;
    }
    let tenths = rounded(bytes, 10 * unit, 10);
    match (tenths / 10, tenths % 10) {
        (whole @ 0..10, decimal @ 1..) => format!("{whole}.{decimal} {}", UNITS[unit]),
        _ => format!("{} {}", rounded(bytes, 10 * unit, 1), UNITS[unit]),
    }
}

/// `bytes * factor / 2^shift`, to the nearest number.
fn rounded(bytes: u64, shift: usize, factor: u128) -> u128 {
    let half = (1 << shift) >> 1;
    (u128::from(bytes) * factor + half) >> shift
}

/// A span of time in the two largest units that it has, as systemd writes them: `45s`, `3h`,
/// `2d 5h`. What is smaller is cut off.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let (large, small) = match seconds {
        86400.. => ((days, "d"), (hours % 24, "h")),
        3600.. => ((hours, "h"), (minutes % 60, "min")),
        60.. => ((minutes, "min"), (seconds % 60, "s")),
        _ => ((seconds, "s"), (0, "")),
    };
    match (large, small) {
        ((large, unit), (0, _)) => format!("{large}{unit}"),
        ((large, unit), (small, smaller)) => format!("{large}{unit} {small}{smaller}"),
    }
}

/// Reads a span of time in systemd's syntax: numbers with units, `1h 30min` or `2.5s`, which add
/// up; a number without a unit is seconds. What is smaller than 1 µs is cut off.
pub(super) fn parse_span(words: &str) -> Result<Duration, &'static str> {
    sum_of_spans(words).ok_or("a time is such as 30s, 5min, 1h 30min or 500ms")
}

fn sum_of_spans(words: &str) -> Option<Duration> {
    let mut rest = words.trim();
    let mut sum = Duration::ZERO;
    loop {
        let (number, after) = split(rest, |char| char.is_ascii_digit() || char == '.');
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        sum = sum.checked_add(of_unit(number, microseconds(unit)?)?)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// The characters that begin a text and are of a kind, and the others.
fn split(text: &str, is_of_kind: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !is_of_kind(char)).unwrap_or(text.len()))
}

/// A decimal number of units.
fn of_unit(number: &str, unit: u64) -> Option<Duration> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let mut micros = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut unit = unit;
    if decimals.is_empty() {
        return None;
    }
    for digit in decimals.chars() {
        unit /= 10;
        micros = micros.checked_add(u64::from(digit.to_digit(10)?) * unit)?;
    }
    Some(Duration::from_micros(micros))
}

/// How many µs a unit has, by the names that systemd.time(7) gives. There are no months and years.
fn microseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "usec" | "us" | "µs" | "μs" => 1,
        "msec" | "ms" => 1_000,
        "" | "seconds" | "second" | "sec" | "s" => 1_000_000,
        "minutes" | "minute" | "min" | "m" => 60_000_000,
        "hours" | "hour" | "hr" | "h" => 3_600_000_000,
        "days" | "day" | "d" => 86_400_000_000,
        "weeks" | "week" | "w" => 604_800_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1229, "1.2 KiB"),
            (10_189, "10 KiB"),
            (10_188, "9.9 KiB"),
            (10_752, "11 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (1 << 20, "1 MiB"),
            (256 << 20, "256 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (seconds, shown) in [
            (0, "0s"),
            (45, "45s"),
            (60, "1min"),
            (200, "3min 20s"),
            (3 * 3600 + 59, "3h"),
            (3 * 3600 + 60, "3h 1min"),
            (53 * 3600, "2d 5h"),
            (48 * 3600 + 3599, "2d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn times_are_written_as_for_systemd() {
        for (words, span) in [
            ("30", Duration::from_secs(30)),
            ("30s", Duration::from_secs(30)),
            ("0", Duration::ZERO),
            ("5min", Duration::from_secs(300)),
            ("1h 30min", Duration::from_secs(5400)),
            ("1h30min", Duration::from_secs(5400)),
            (" 2 days 4.5 hours ", Duration::from_secs(189_000)),
            ("500ms", Duration::from_millis(500)),
            ("2.5s", Duration::from_millis(2500)),
            ("0.0000019", Duration::from_micros(1)),
            ("1s 1us", Duration::from_micros(1_000_001)),
        ] {
            assert_eq!(parse_span(words), Ok(span), "{words:?}");
        }
        for words in [
            "",
            " ",
            "s",
            "5x",
            "-5",
            "1.",
            ".5",
            "1.2.3",
            "5 % 3",
            "5min h",
            "infinity",
            "99999999999999999999",
            "9999999999999w",
        ] {
            assert!(parse_span(words).is_err(), "{words:?}");
        }
    }
}
