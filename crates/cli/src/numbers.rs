//! Numbers on the command line: ranges are checked where a value is read, so that every later sum and every conversion
//! to float32, in which all is computed, is exact enough.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Largest count. Two of them multiplied, or a few added, are a `usize` still.
pub const MAX_COUNT: usize = 1_000_000_000;

type Parsed<T> = Result<T, String>;

/// A whole number from 1.
///
/// # Errors
/// For anything else.
pub fn at_least_one(text: &str) -> Parsed<usize> {
    match count(text) {
        Ok(0) => Err("must be at least 1".into()),
        Ok(n) => Ok(n),
        Err(_) => Err(format!(
            "must be at least 1: expected a whole number up to {MAX_COUNT}"
        )),
    }
}

/// [`at_least_one`], as a type.
///
/// # Errors
/// For anything else.
pub fn not_zero(text: &str) -> Parsed<NonZeroUsize> {
    NonZeroUsize::new(at_least_one(text)?).ok_or("must be at least 1".into())
}

/// A whole number from 0.
///
/// # Errors
/// For anything else.
pub fn count(text: &str) -> Parsed<usize> {
    let parsed = text.parse().ok().filter(|n| *n <= MAX_COUNT);
    parsed.ok_or(format!("expected a whole number from 0 to {MAX_COUNT}"))
}

/// A size in bytes: a number with a unit, decimal or binary.
///
/// # Errors
/// For anything else.
pub fn size(text: &str) -> Parsed<usize> {
    const UNITS: [(&str, f64); 7] = [
        ("KiB", 1024.0),
        ("MiB", 1048576.0),
        ("GiB", 1073741824.0),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
    ];
    let of = |(unit, bytes): &(&str, f64)| {
        let (number, rest) = text.split_at_checked(text.len().checked_sub(unit.len())?)?;
        let number: f64 = number.trim().parse().ok()?;
        let size = number * bytes;
        let is_size = rest.eq_ignore_ascii_case(unit) && (1.0..1e15).contains(&size);
        is_size.then_some(size as usize)
    };
    let expected = "expected a size such as 8GB, 512MB or 6.5GiB";
    UNITS.iter().find_map(of).ok_or(expected.into())
}

/// A size in words.
pub fn gigabytes(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1_000_000_000 => format!("{:.2} GB", bytes as f64 / 1e9),
        bytes if bytes >= 100_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        bytes => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}

/// A seed.
///
/// # Errors
/// For anything but a whole number of 64 bits.
pub fn seed(text: &str) -> Parsed<u64> {
    let parsed = text.parse().ok();
    parsed.ok_or(format!("must be a whole number from 0 to {}", u64::MAX))
}

/// A number whose float32 is finite, and zero only if it is zero itself.
///
/// # Errors
/// For anything else.
pub fn finite(text: &str) -> Parsed<f64> {
    let is_in_range = |x: &f64| {
        *x == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&x.abs())
    };
    let parsed = text.parse().ok().filter(is_in_range);
    parsed.ok_or(
        "must be a finite number, of at most 3.4e38 and, unless it is 0, at least 1.2e-38 in size"
            .into(),
    )
}

/// [`finite`], and not negative.
///
/// # Errors
/// For anything else.
pub fn not_negative(text: &str) -> Parsed<f64> {
    let parsed = finite(text).ok().filter(|x| *x >= 0.0);
    parsed.ok_or("must be 0, or a number from 1.2e-38 to 3.4e38".into())
}

/// [`finite`], and above 0.
///
/// # Errors
/// For anything else.
pub fn positive(text: &str) -> Parsed<f64> {
    let parsed = finite(text).ok().filter(|x| *x > 0.0);
    parsed.ok_or("must be a number from 1.2e-38 to 3.4e38".into())
}

/// Passes over the rows: above 0, and of no more steps than [`MAX_COUNT`] where a pass has as few.
///
/// # Errors
/// For anything else.
pub fn epochs(text: &str) -> Parsed<f64> {
    let is_in_range = |x: &f64| *x > 0.0 && *x <= 1e6;
    let parsed = text.parse().ok().filter(is_in_range);
    parsed.ok_or("must be a number above 0, and at most 1000000".into())
}

/// A number, not negative, that may be beyond float32: what it does to the parameters is looked at after every update.
///
/// # Errors
/// For anything else.
pub fn rate(text: &str) -> Parsed<f64> {
    let parsed = text
        .parse()
        .ok()
        .filter(|x: &f64| x.is_finite() && *x >= 0.0);
    parsed.ok_or("must be a number, 0 or more".into())
}

/// [`rate`], and above 0.
///
/// # Errors
/// For anything else.
pub fn rate_above_zero(text: &str) -> Parsed<f64> {
    let parsed = rate(text).ok().filter(|x| *x > 0.0);
    parsed.ok_or("must be a number above 0".into())
}

/// A time in seconds, from a millisecond to a day.
///
/// # Errors
/// For anything else.
pub fn seconds(text: &str) -> Parsed<Duration> {
    let parsed = text.parse().ok();
    let parsed = parsed.filter(|x: &f64| (1e-3..=86_400.0).contains(x));
    let seconds = parsed.map(Duration::from_secs_f64);
    seconds.ok_or("must be a number of seconds from 0.001 to 86400".into())
}

/// A share, from 0 to 1.
///
/// # Errors
/// For anything else.
pub fn share(text: &str) -> Parsed<f64> {
    let parsed = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    parsed.ok_or("must be a number from 0 to 1".into())
}

/// A share below 1, also in float32.
///
/// # Errors
/// For anything else.
pub fn share_below_one(text: &str) -> Parsed<f64> {
    let parsed = share(text).ok().filter(|x| (*x as f32) < 1.0);
    parsed.ok_or("must be in [0, 1), also as a float32".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_room_for_sums() {
        assert_eq!(count("0"), Ok(0));
        assert_eq!(at_least_one("1000000000"), Ok(MAX_COUNT));
        for wrong in [
            "",
            "-1",
            "1.5",
            "1000000001",
            "18446744073709551615",
            "99999999999999999999",
            "nan",
        ] {
            assert!(count(wrong).is_err(), "{wrong}");
            assert!(at_least_one(wrong).is_err(), "{wrong}");
        }
        assert!(at_least_one("0").is_err());
    }

    #[test]
    fn numbers_are_numbers_in_float32_too() {
        assert_eq!(finite("-2.5"), Ok(-2.5));
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(positive("1e-8"), Ok(1e-8));
        for wrong in [
            "", "x", "nan", "inf", "-inf", "1e39", "-1e39", "1e308", "1e999", "1e-320", "1e-45",
            "-1e-39",
        ] {
            assert!(finite(wrong).is_err(), "{wrong}");
        }
        assert!(not_negative("-1").is_err());
        assert!(positive("0").is_err() && positive("-0.0").is_err());
    }

    #[test]
    fn shares_end_at_one() {
        assert_eq!((share("1"), share_below_one("0.999")), (Ok(1.0), Ok(0.999)));
        for wrong in ["-0.1", "1.1", "2", "nan", "inf"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        // 1 in float32, where the bias correction would divide by 0.
        for wrong in ["1", "1.0", "0.99999999999"] {
            assert!(share_below_one(wrong).is_err(), "{wrong}");
        }
    }
}
