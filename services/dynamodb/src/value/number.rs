//! DynamoDB's number: 38 significant decimal digits, magnitudes from 1E-130 to 9.99…E+125, exact.
//! Source: "Supported data types and naming rules", section Number, of the DynamoDB Developer Guide.

use std::fmt;

use super::{Corrupt, Invalid};

const DIGITS_MAX: u32 = 38;
const EXPONENT_MAX: i32 = 125;
const EXPONENT_MIN: i32 = -130;
/// The least mantissa: a one and 37 zeros.
const MANTISSA_ONE: u128 = 10u128.pow(DIGITS_MAX - 1);

const OVERFLOW: &str = "Number overflow. Attempting to store a number with magnitude larger than supported range";
const UNDERFLOW: &str = "Number underflow. Attempting to store a number with magnitude smaller than supported range";
const PRECISION: &str = "Attempting to store more than 38 significant digits in a Number";

/// The fields are in the order in which they decide a comparison, each with the sign of the number, so that the
/// derived order is the numeric one. The mantissa has 38 digits, the first not zero; the exponent is that of the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    sign: i8,
    exponent: i16,
    mantissa: i128,
}

/// Sign, coefficient and exponent of the coefficient's last digit.
type Parts = (bool, u128, i32);

impl Number {
    pub const ZERO: Number = Number { sign: 0, exponent: 0, mantissa: 0 };

    /// As AWS reads it: an optional sign, digits with at most one point, an optional exponent; no spaces.
    pub fn parse(text: &str) -> Result<Number, Invalid> {
        let not_numeric = || Invalid::new(format!("The parameter cannot be converted to a numeric value: {text}"));
        if text.is_empty() {
            return Err(Invalid::new("The parameter cannot be converted to a numeric value"));
        }
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, parse_exponent(exponent).ok_or_else(not_numeric)?),
            None => (text, 0),
        };
        let negative = digits.starts_with('-');
        let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(not_numeric());
        }
        // A zero has the magnitude of its last digit.
        let first = digits.iter().position(|b| *b != b'0').unwrap_or(digits.len() - 1);
        let last = digits.iter().rposition(|b| *b != b'0').unwrap_or(first);
        let magnitude = exponent.saturating_add(whole.len() as i64 - 1 - first as i64);
        if magnitude > i64::from(EXPONENT_MAX) {
            return Err(Invalid::new(OVERFLOW));
        }
        if magnitude < i64::from(EXPONENT_MIN) {
            return Err(Invalid::new(UNDERFLOW));
        }
        let digits = &digits[first..=last];
        if digits.len() > DIGITS_MAX as usize {
            return Err(Invalid::new(PRECISION));
        }
        let coefficient = digits.iter().fold(0u128, |sum, b| sum * 10 + u128::from(b - b'0'));
        Number::from_parts(negative, coefficient, magnitude as i32 + 1 - digits.len() as i32).map_err(Invalid::new)
    }

    /// AWS's message where the number is out of range or has more than 38 significant digits, which AWS calls an
    /// overflow as well.
    fn from_parts(negative: bool, coefficient: u128, exponent: i32) -> Result<Number, &'static str> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        let length = coefficient.ilog10() + 1;
        let first = exponent + length as i32 - 1;
        if first > EXPONENT_MAX {
            return Err(OVERFLOW);
        }
        if first < EXPONENT_MIN {
            return Err(UNDERFLOW);
        }
        let mantissa = if length <= DIGITS_MAX {
            coefficient * 10u128.pow(DIGITS_MAX - length)
        } else {
            let surplus = 10u128.pow(length - DIGITS_MAX);
            if !coefficient.is_multiple_of(surplus) {
                return Err(OVERFLOW);
            }
            coefficient / surplus
        };
        let sign = if negative { -1 } else { 1 };
        Ok(Number { sign, exponent: i16::from(sign) * first as i16, mantissa: i128::from(sign) * mantissa as i128 })
    }

    /// The exponent of the first digit.
    fn magnitude(self) -> i32 {
        i32::from(self.exponent) * i32::from(self.sign)
    }

    /// The coefficient without trailing zeros.
    fn parts(self) -> Parts {
        let mut coefficient = self.mantissa.unsigned_abs();
        let mut exponent = self.magnitude() + 1 - DIGITS_MAX as i32;
        for step in [16u32, 8, 4, 2, 1] {
            let power = 10u128.pow(step);
            while coefficient != 0 && coefficient.is_multiple_of(power) {
                coefficient /= power;
                exponent += step as i32;
            }
        }
        (self.sign < 0, coefficient, exponent)
    }

    fn significant_digits(self) -> u32 {
        let (_, coefficient, _) = self.parts();
        coefficient.checked_ilog10().map_or(1, |log| log + 1)
    }

    #[must_use]
    pub fn negated(self) -> Number {
        Number { sign: -self.sign, exponent: -self.exponent, mantissa: -self.mantissa }
    }

    pub fn is_zero(self) -> bool {
        self.sign == 0
    }

    /// Exact. A sum that needs more than 38 digits is refused with AWS's message for an overflow, as AWS does.
    pub fn checked_add(self, other: Number) -> Result<Number, Invalid> {
        if self.is_zero() || other.is_zero() {
            return Ok(if self.is_zero() { other } else { self });
        }
        add(self, other).map_err(Invalid::new)
    }

    pub fn checked_sub(self, other: Number) -> Result<Number, Invalid> {
        self.checked_add(other.negated())
    }

    /// One byte for each pair of digits, counted from the decimal point, one for the exponent, one for a minus.
    pub fn size_bytes(self) -> usize {
        if self.is_zero() {
            return 1;
        }
        // Pairs do not straddle the point: an even exponent leaves the first digit alone in its pair.
        let alone = u32::from(self.magnitude().rem_euclid(2) == 0);
        let pairs = (self.significant_digits() + alone).div_ceil(2);
        1 + pairs as usize + usize::from(self.sign < 0)
    }

    /// Bytes whose order is the numeric one, and of which none is the beginning of another's:
    /// sign, exponent, pairs of digits, an end. Those of negative numbers are complemented.
    pub fn encode_ordered(self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(1);
            return;
        }
        let flip = if self.sign < 0 { 0xff } else { 0 };
        out.push(if self.sign < 0 { 0 } else { 2 });
        out.push((self.magnitude() - EXPONENT_MIN) as u8 ^ flip);
        let mut rest = self.mantissa.unsigned_abs();
        let mut unit = MANTISSA_ONE / 10;
        while rest != 0 {
            out.push(((rest / unit) as u8 + 1) ^ flip);
            rest %= unit;
            unit /= 100;
        }
        out.push(flip);
    }

    /// Reads one number off the front of `bytes`.
    pub fn decode_ordered(bytes: &mut &[u8]) -> Result<Number, Corrupt> {
        let mut next = || {
            let (first, rest) = bytes.split_first().ok_or(Corrupt("a number ends early"))?;
            *bytes = rest;
            Ok(*first)
        };
        let negative = match next()? {
            0 => true,
            1 => return Ok(Number::ZERO),
            2 => false,
            _ => return Err(Corrupt("a number has no sign")),
        };
        let flip = if negative { 0xff } else { 0 };
        let magnitude = i32::from(next()? ^ flip) + EXPONENT_MIN;
        let mut coefficient = 0u128;
        let mut pairs = 0;
        loop {
            match next()? ^ flip {
                0 => break,
                byte @ 1..=100 if pairs < DIGITS_MAX / 2 => {
                    coefficient = coefficient * 100 + u128::from(byte - 1);
                    pairs += 1;
                }
                _ => return Err(Corrupt("a number has a wrong digit")),
            }
        }
        let mantissa = coefficient * 100u128.pow(DIGITS_MAX / 2 - pairs);
        if mantissa < MANTISSA_ONE || coefficient.is_multiple_of(100) {
            return Err(Corrupt("a number is not in its shortest form"));
        }
        Number::from_parts(negative, mantissa, magnitude + 1 - DIGITS_MAX as i32)
            .map_err(|_| Corrupt("a number is out of range"))
    }

    /// The whole number, where it is one and fits.
    pub fn to_i64(self) -> Option<i64> {
        let (negative, coefficient, exponent) = self.parts();
        let magnitude = coefficient.checked_mul(10u128.checked_pow(u32::try_from(exponent).ok()?)?)?;
        let magnitude = i128::try_from(magnitude).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }
}

/// The sum of two numbers that are not zero.
fn add(a: Number, b: Number) -> Result<Number, &'static str> {
    let (high, low) = if a.magnitude() >= b.magnitude() { (a, b) } else { (b, a) };
    let (high_negative, high_coefficient, high_exponent) = high.parts();
    let (low_negative, low_coefficient, low_exponent) = low.parts();
    let exponent = high_exponent.min(low_exponent);
    // What does not fit into 128 bits when written down to the last digit of both has more than 38 digits, and so
    // has the sum: the first digits can only cancel where they are a one.
    let align = |coefficient: u128, own: i32| {
        let power = 10u128.checked_pow(own.abs_diff(exponent)).ok_or(OVERFLOW)?;
        coefficient.checked_mul(power).ok_or(OVERFLOW)
    };
    let high_aligned = align(high_coefficient, high_exponent)?;
    let low_aligned = align(low_coefficient, low_exponent)?;
    if high_negative == low_negative {
        return Number::from_parts(high_negative, high_aligned.checked_add(low_aligned).ok_or(OVERFLOW)?, exponent);
    }
    let negative = if high_aligned >= low_aligned { high_negative } else { low_negative };
    Number::from_parts(negative, high_aligned.abs_diff(low_aligned), exponent)
}

/// `None` where it is none, or beyond 64 bits.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl Number {
    /// Sign, significant digits, and the power of ten that they are multiplied by.
    pub fn scientific(self) -> (&'static str, String, i32) {
        if self.is_zero() {
            return ("", "0".to_owned(), 0);
        }
        let (negative, coefficient, exponent) = self.parts();
        (if negative { "-" } else { "" }, coefficient.to_string(), exponent)
    }
}

impl fmt::Display for Number {
    /// As DynamoDB returns it: no exponent, no needless zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, coefficient, exponent) = self.parts();
        if self.is_zero() {
            return f.write_str("0");
        }
        if negative {
            f.write_str("-")?;
        }
        let digits = coefficient.to_string();
        if exponent >= 0 {
            return write!(f, "{digits}{}", "0".repeat(exponent as usize));
        }
        let fraction = exponent.unsigned_abs() as usize;
        match digits.len().checked_sub(fraction) {
            Some(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "0.{}{digits}", "0".repeat(fraction - digits.len())),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Number {
        Number::from_parts(value < 0, u128::from(value.unsigned_abs()), 0).unwrap_or(Number::ZERO)
    }
}

#[cfg(test)]
mod tests;
