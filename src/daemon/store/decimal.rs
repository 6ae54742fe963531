//! Decimal numbers: what Increment reads, adds and writes.
//!
//! Digits are counted as [`Decimal`] writes them, without superfluous zeros: from the first that
//! is not 0 to the last. `000.50` is `0.5` and has one, `1000` has four, `1.05` has three.
//!
//! Nothing is ever rounded: a sum with too many digits is an [`Overflow`].

use std::fmt;

/// Most digits of a number: as many as always fit in an `i64`.
const DIGITS: u32 = 18;
/// Most digits after the point.
const DECIMALS: usize = 18;

/// An exact decimal number, counted in units of its last possible decimal.
///
/// The largest, 18 digits before the point, is less than 10^36 units; an `i128` holds 10^38.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

/// The sum needs more digits than a number may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Decimal {
    /// What a variable that is not defined counts as.
    pub(crate) const ZERO: Decimal = Decimal(0);
    /// What is added if the caller does not say.
    pub(crate) const ONE: Decimal = Decimal(10_i128.pow(DECIMALS as u32));

    /// The number that a value is, if it is one.
    pub(crate) fn of(value: &[u8]) -> Option<Decimal> {
        std::str::from_utf8(value).ok().and_then(Decimal::parse)
    }

    /// Reads an optional '-', digits, and optionally '.' and digits; `None` if `text` is anything
    /// else, or has too many digits.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let sign = &text[..text.len() - unsigned.len()];
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        if !is_digits(whole) || !is_digits(decimals) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > DECIMALS {
            return None;
        }
        let units = format!("{sign}{whole}{decimals:0<DECIMALS$}");
        Decimal(units.parse().ok()?).fitting()
    }

    /// Adds `by`. A sum beyond `minimum` or `maximum` becomes that, however many digits it has.
    /// A `minimum` above the `maximum` is for the caller to refuse.
    pub(crate) fn sum(
        self,
        by: Decimal,
        minimum: Option<Decimal>,
        maximum: Option<Decimal>,
    ) -> Result<Decimal, Overflow> {
        let sum = Decimal(self.0 + by.0);
        let sum = minimum.map_or(sum, |minimum| sum.max(minimum));
        let sum = maximum.map_or(sum, |maximum| sum.min(maximum));
        sum.fitting().ok_or(Overflow)
    }

    /// This number, unless it has too many digits.
    fn fitting(self) -> Option<Decimal> {
        (self.canonical().0 < 10_u128.pow(DIGITS)).then_some(self)
    }

    /// The digits without superfluous zeros, and how many of them are decimals.
    fn canonical(self) -> (u128, usize) {
        let (mut digits, mut decimals) = (self.0.unsigned_abs(), DECIMALS);
        while decimals > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            decimals -= 1;
        }
        (digits, decimals)
    }
}

/// Writes the number without superfluous zeros, and 0 without a sign.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, decimals) = self.canonical();
        let one = 10_u128.pow(decimals as u32);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", digits / one)?;
        if decimals > 0 {
            write!(f, ".{:0decimals$}", digits % one)?;
        }
        Ok(())
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn a_number_is_written_without_superfluous_zeros() {
        let pairs = "007=7 100=100 -0.250=-0.25 5.000=5 -0=0 -0.00=0 -12=-12 000.50=0.5 \
                     0.000000000000000001=0.000000000000000001 \
                     -999999999999999999.0000000000000000000=-999999999999999999";
        for pair in pairs.split(' ') {
            let (text, canonical) = pair.split_once('=').unwrap();
            assert_eq!(number(text).to_string(), canonical);
        }
        assert_eq!((number("0"), number("1")), (Decimal::ZERO, Decimal::ONE));
    }

    #[test]
    fn what_is_written_otherwise_or_too_long_is_no_number() {
        let otherwise = "|-|--1|.|.5|5.|-.5|1.-5|1..2|1.2.3|+1|1e3|0x1|1_0|1,5| 1|1 |1\n|1\0|٣";
        let long = "1000000000000000000|0.0000000000000000001|1.000000000000000001";
        for text in otherwise.split('|').chain(long.split('|')) {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(1 << 20)), None);
    }

    #[test]
    fn ten_times_a_tenth_is_one() {
        let add = |sum: Decimal, _| sum.sum(number("0.1"), None, None).unwrap();
        assert_eq!((0..10).fold(Decimal::ZERO, add), Decimal::ONE);
    }

    #[test]
    fn a_sum_is_clamped_before_overflow_is_judged() {
        let (least, most) = (number("-999999999999999999"), number("999999999999999999"));
        assert_eq!(most.sum(most, None, None), Err(Overflow));
        assert_eq!(most.sum(most, None, Some(most)), Ok(most));
        assert_eq!(least.sum(least, Some(least), None), Ok(least));
        assert_eq!(least.sum(least, None, Some(most)), Err(Overflow));
        let grain = number("0.000000000000000001");
        assert_eq!(grain.sum(Decimal::ONE, None, None), Err(Overflow));
        assert_eq!(grain.sum(Decimal::ONE, None, Some(grain)), Ok(grain));
    }

    /// The digits of a number that is not negative: 22 before the point, 20 after it.
    fn columns(text: &str) -> Vec<u8> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole:0>22}{decimals:0<20}").into_bytes()
    }

    /// The sum as found at school, column by column; `None` if it has too many digits.
    fn school(a: &str, b: &str) -> Option<String> {
        let (mut sum, mut carry) = (columns(a), 0);
        for (digit, other) in sum.iter_mut().zip(columns(b)).rev() {
            let column = (*digit - b'0') + (other - b'0') + carry;
            (*digit, carry) = (b'0' + column % 10, column / 10);
        }
        sum.insert(22, b'.');
        let sum = String::from_utf8(sum).unwrap();
        let sum = sum.trim_matches('0').trim_end_matches('.');
        let (whole, decimals) = sum.split_once('.').unwrap_or((sum, ""));
        let digits = whole.to_owned() + decimals;
        let fits = digits.trim_start_matches('0').len() <= 18 && decimals.len() <= 18;
        let zero = if whole.is_empty() { "0" } else { "" };
        fits.then(|| format!("{zero}{sum}"))
    }

    /// Numbers with many carries and zeros, some too long.
    const TEXT: &str = r"[0-9]{1,9}(\.[0-9]{1,9})?|[09]{1,20}|[019]{1,9}\.[09]{1,20}";

    proptest! {
        #[test]
        fn numbers_are_read_added_and_ordered_as_at_school(a in TEXT, b in TEXT) {
            prop_assert_eq!(Decimal::parse(&a).map(|a| a.to_string()), school(&a, "0"));
            let (Some(x), Some(y)) = (Decimal::parse(&a), Decimal::parse(&b)) else {
                return Ok(());
            };
            let (minus_x, minus_y) = (number(&format!("-{a}")), number(&format!("-{b}")));
            let sign = if x == Decimal::ZERO { "" } else { "-" };
            prop_assert_eq!(minus_x.to_string(), format!("{sign}{x}"));
            prop_assert_eq!(x.cmp(&y), columns(&a).cmp(&columns(&b)));
            prop_assert_eq!(minus_y.cmp(&minus_x), x.cmp(&y));
            prop_assert!(minus_x <= y);

            let sum = x.sum(y, None, None);
            prop_assert_eq!(sum, y.sum(x, None, None));
            prop_assert_eq!(sum, x.sum(y, Some(x), None));
            prop_assert_eq!(Ok(x), x.sum(y, None, Some(x)));
            prop_assert_eq!(Ok(minus_x), minus_x.sum(minus_y, Some(minus_x), None));
            prop_assert_eq!(sum.ok().map(|sum| sum.to_string()), school(&a, &b));
            if let Ok(sum) = sum {
                prop_assert_eq!(sum.sum(minus_y, None, None), Ok(x));
                let zero = minus_x.sum(minus_y, None, None).unwrap().sum(sum, None, None);
                prop_assert_eq!(zero, Ok(Decimal::ZERO));
            }
        }
    }
}
