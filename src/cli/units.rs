//! Sizes and spans of time, for people.

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
}
