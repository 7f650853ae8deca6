//! The laws of numbers, held against an independent computation on strings of digits.

use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

#[test]
fn reads_and_writes_as_aws_does() {
    #[rustfmt::skip]
    let cases = [
        ("0", "0"), ("-0", "0"), ("0e125", "0"), ("0e-130", "0"), ("0.000", "0"), ("+3", "3"), (".123", "0.123"), ("5.", "5"),
        ("0001.23", "1.23"), ("1e+5", "100000"), ("-17e5", "-1700000"), ("-17.4E2", "-1740"), ("1.500", "1.5"),
        ("123e-5", "0.00123"), ("1e-3", "0.001"), ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ];
    for (text, expect) in cases {
        assert_eq!(number(text).to_string(), expect, "{text}");
    }
    assert_eq!(number("1e125").to_string(), format!("1{}", "0".repeat(125)));
    assert_eq!(number("1e-130").to_string(), format!("0.{}1", "0".repeat(129)));
}

#[test]
fn refuses_what_aws_refuses() {
    let nine39 = "9".repeat(39);
    #[rustfmt::skip]
    let cases = [
        ("", "The parameter cannot be converted to a numeric value"),
        ("dog", "The parameter cannot be converted to a numeric value: dog"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("Infinity", "The parameter cannot be converted to a numeric value: Infinity"),
        (" 1", "The parameter cannot be converted to a numeric value:  1"),
        ("1 ", "The parameter cannot be converted to a numeric value: 1 "),
        ("1e", "The parameter cannot be converted to a numeric value: 1e"),
        ("--1", "The parameter cannot be converted to a numeric value: --1"),
        (".", "The parameter cannot be converted to a numeric value: ."),
        ("1.2.3", "The parameter cannot be converted to a numeric value: 1.2.3"),
        ("1_0", "The parameter cannot be converted to a numeric value: 1_0"),
        ("1e9223372036854775808", "The parameter cannot be converted to a numeric value: 1e9223372036854775808"),
        ("1e126", OVERFLOW), ("-11e125", OVERFLOW), ("1e99999999999", OVERFLOW), ("1e9223372036854775807", OVERFLOW),
        ("10e9223372036854775807", OVERFLOW), ("0e126", OVERFLOW), ("1e-131", UNDERFLOW), ("0.9e-130", UNDERFLOW),
        ("1e-99999999999", UNDERFLOW), ("0e-131", UNDERFLOW), ("0.01e-9223372036854775808", UNDERFLOW),
        (nine39.as_str(), PRECISION), ("3.14159265358979323846264338327950288419", PRECISION),
    ];
    for (text, expect) in cases {
        assert_eq!(Number::parse(text).unwrap_err().to_string(), expect, "{text}");
    }
}

#[test]
fn sizes_count_pairs_of_digits() {
    #[rustfmt::skip]
    let cases = [
        ("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1234", 3), ("12345678901234567890123456789012345678", 20), ("0042", 2),
        ("100", 2), ("1010", 3), ("0.0000001", 2), ("1E125", 2), ("1E-100", 2), ("1.5", 3), ("15", 2), ("1.2", 3),
        ("1.200", 3), ("1.234", 4), ("3.14159", 5), ("123456", 4), ("100.5", 4), ("0.15", 2), ("-42", 3), ("-0", 1),
    ];
    for (text, expect) in cases {
        assert_eq!(number(text).size_bytes(), expect, "{text}");
    }
    assert_eq!(number(&format!("-{}", "9".repeat(38))).size_bytes(), 21);
}

#[test]
fn adds_exactly_or_refuses() {
    let sum = |a: &str, b: &str| number(a).checked_add(number(b)).map(|n| n.to_string()).map_err(|e| e.to_string());
    assert_eq!(sum("1", "10000000000000000000000").unwrap(), "10000000000000000000001");
    assert_eq!(sum("0.1", "0.2").unwrap(), "0.3");
    assert_eq!(sum("5", "-5").unwrap(), "0");
    assert_eq!(sum("1e38", "-1").unwrap(), "9".repeat(38));
    assert_eq!(sum(&"9".repeat(38), "1").unwrap(), format!("1{}", "0".repeat(38)));
    assert_eq!(sum("1e50", "1").unwrap_err(), OVERFLOW);
    assert_eq!(sum("1e50", "-1").unwrap_err(), OVERFLOW);
    assert_eq!(sum("9e125", "9e125").unwrap_err(), OVERFLOW);
    assert_eq!(sum("2e38", "-1").unwrap_err(), OVERFLOW);
    assert_eq!(sum("-1e-130", "1e-130").unwrap(), "0");
}

#[test]
fn whole_numbers() {
    assert_eq!(number("9223372036854775807").to_i64(), Some(i64::MAX));
    assert_eq!(number("-9223372036854775808").to_i64(), Some(i64::MIN));
    assert_eq!(number("9223372036854775808").to_i64(), None);
    assert_eq!(number("1.5").to_i64(), None);
    assert_eq!(number("1e125").to_i64(), None);
    assert_eq!(Number::from(-1200), number("-12e2"));
}

/// The independent computation: a decimal as a sign and digits around a point that stands 300 places from the right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decimal(bool, Vec<u8>);

const PLACES: usize = 600;
const POINT: i64 = 300;

impl Decimal {
    fn of(negative: bool, digits: &[u8], exponent: i64) -> Decimal {
        let mut all = vec![0; PLACES];
        for (place, digit) in digits.iter().rev().enumerate() {
            all[(POINT + exponent + place as i64) as usize] = *digit;
        }
        let negative = negative && all.iter().any(|d| *d != 0);
        Decimal(negative, all)
    }

    fn magnitude_cmp(&self, other: &Decimal) -> std::cmp::Ordering {
        self.1.iter().rev().cmp(other.1.iter().rev())
    }

    fn cmp(&self, other: &Decimal) -> std::cmp::Ordering {
        match (self.0, other.0) {
            (false, true) => std::cmp::Ordering::Greater,
            (true, false) => std::cmp::Ordering::Less,
            (false, false) => self.magnitude_cmp(other),
            (true, true) => other.magnitude_cmp(self),
        }
    }

    fn add(&self, other: &Decimal) -> Decimal {
        if self.0 == other.0 {
            let mut carry = 0;
            let digits = self.1.iter().zip(&other.1).map(|(a, b)| {
                let sum = a + b + carry;
                carry = sum / 10;
                sum % 10
            });
            return Decimal(self.0, digits.collect());
        }
        let (large, small) = if self.magnitude_cmp(other).is_ge() { (self, other) } else { (other, self) };
        let mut borrow = 0;
        let digits: Vec<u8> = large
            .1
            .iter()
            .zip(&small.1)
            .map(|(a, b)| {
                let (low, taken) = if *a >= b + borrow { (a - b - borrow, 0) } else { (a + 10 - b - borrow, 1) };
                borrow = taken;
                low
            })
            .collect();
        let negative = large.0 && digits.iter().any(|d| *d != 0);
        Decimal(negative, digits)
    }

    /// First and last place that is not zero, by exponent.
    fn span(&self) -> Option<(i64, i64)> {
        let last = self.1.iter().position(|d| *d != 0)? as i64 - POINT;
        let first = self.1.iter().rposition(|d| *d != 0)? as i64 - POINT;
        Some((first, last))
    }

    fn fits(&self) -> bool {
        self.span().is_none_or(|(first, last)| (-130..=125).contains(&first) && first - last < 38)
    }

    fn text(&self) -> String {
        let digits: String = self.1.iter().rev().map(|d| (b'0' + d) as char).collect();
        let (whole, fraction) = digits.split_at(PLACES - POINT as usize);
        let text = format!("{}.{}", whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let text = text.strip_suffix('.').unwrap_or(&text);
        let text = if text.starts_with('.') || text.is_empty() { format!("0{text}") } else { text.to_owned() };
        if self.0 { format!("-{text}") } else { text }
    }
}

/// A number, near others as often as not, with the same of the independent computation.
fn numbers() -> impl Strategy<Value = (Number, Decimal)> {
    let exponent = prop_oneof![-5i64..5, -36i64..40, -130i64..88];
    (any::<bool>(), proptest::collection::vec(0u8..10, 1..=38), exponent).prop_filter_map(
        "in range",
        |(negative, digits, exponent)| {
            let decimal = Decimal::of(negative, &digits, exponent);
            let text: String = digits.iter().map(|d| (b'0' + d) as char).collect();
            let text = format!("{}{text}e{exponent}", if negative { "-" } else { "" });
            decimal.fits().then(|| (Number::parse(&text).unwrap(), decimal))
        },
    )
}

fn encoded(number: Number) -> Vec<u8> {
    let mut out = Vec::new();
    number.encode_ordered(&mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn writes_what_it_read((number, decimal) in numbers()) {
        prop_assert_eq!(number.to_string(), decimal.text());
        prop_assert_eq!(Number::parse(&number.to_string()).unwrap(), number);
    }

    #[test]
    fn order_is_that_of_the_bytes((a, da) in numbers(), (b, db) in numbers()) {
        prop_assert_eq!(a.cmp(&b), da.cmp(&db));
        prop_assert_eq!(encoded(a).cmp(&encoded(b)), da.cmp(&db));
        if a != b {
            prop_assert!(!encoded(a).starts_with(&encoded(b)));
        }
    }

    #[test]
    fn bytes_read_back((number, _) in numbers(), tail in any::<Vec<u8>>()) {
        let mut bytes = encoded(number);
        bytes.extend(&tail);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(Number::decode_ordered(&mut rest).unwrap(), number);
        prop_assert_eq!(rest, tail);
    }

    #[test]
    fn sums_agree((a, da) in numbers(), (b, db) in numbers()) {
        let expect = da.add(&db);
        match a.checked_add(b) {
            Ok(sum) => prop_assert_eq!(sum.to_string(), expect.text()),
            Err(_) => prop_assert!(!expect.fits()),
        }
        if let Ok(sum) = a.checked_add(b) {
            prop_assert_eq!(sum.checked_sub(b).unwrap(), a);
            prop_assert_eq!(b.checked_add(a).unwrap(), sum);
        }
    }

    #[test]
    fn no_text_and_no_bytes_make_it_panic(text in ".{0,60}", near in "[-+]?[0-9.]{0,50}(e[-+]?[0-9]{0,25})?", bytes in any::<Vec<u8>>()) {
        let _ = Number::parse(&text);
        let _ = Number::parse(&near);
        let mut rest = bytes.as_slice();
        if let Ok(number) = Number::decode_ordered(&mut rest) {
            prop_assert_eq!(encoded(number), &bytes[..bytes.len() - rest.len()]);
        }
    }
}
