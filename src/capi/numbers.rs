//! Decimal numbers as C has them.

/// The number without its decimals; `None` if it is none, or too large.
pub(super) fn whole(decimal: &str) -> Option<i64> {
    let digits = decimal.split_once('.').map_or(decimal, |(whole, _)| whole);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_left_out() {
        for (decimal, number) in [("3", 3), ("-12.75", -12), ("0.25", 0), ("-0.5", 0)] {
            assert_eq!(whole(decimal), Some(number), "{decimal}");
        }
        assert_eq!(whole("999999999999999999"), Some(999_999_999_999_999_999));
        for none in ["", "x", "9999999999999999999"] {
            assert_eq!(whole(none), None, "{none}");
        }
    }
}
