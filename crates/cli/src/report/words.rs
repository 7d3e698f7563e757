//! Numbers as a person reads them.

/// Digits in groups of three.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join("\u{202f}")
}

/// A duration.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A figure.
pub fn value(value: f64) -> String {
    match value.abs() {
        size if (100.0..1e6).contains(&size) => format!("{value:.0}"),
        size if (0.01..100.0).contains(&size) || size == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.2e}"),
    }
}

/// A number on an axis whose marks are `step` apart.
pub fn mark(value: f64, step: f64) -> String {
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    let size = value.abs().max(step);
    if size < 1e-3 {
        return match value == 0.0 {
            true => "0".into(),
            false => format!("{value:.1e}"),
        };
    }
    if value.abs() >= 10_000.0 {
        let (value, step) = (value / 1000.0, step / 1000.0);
        return format!("{value:.*}k", decimals(step));
    }
    format!("{value:.*}", decimals(step))
}

/// Digits behind the point that tell marks apart.
fn decimals(step: f64) -> usize {
    (0..6)
        .find(|n| (step * 10f64.powi(*n) + 1e-9).fract() < 1e-6)
        .unwrap_or(6) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(12), grouped(0)), ("12".into(), "0".into()));
        assert_eq!(duration(2.34), "2.3 s");
        assert_eq!(duration(125.0), "2 min 5 s");
        assert_eq!(duration(7325.0), "2 h 2 min");
        let values = [2.3456, 0.0, 1234.5, 1e-5, -1e300].map(value);
        assert_eq!(values, ["2.346", "0.000", "1234", "1.00e-5", "-1.00e300"]);
        assert_eq!(mark(2.5, 0.5), "2.5");
        assert_eq!(mark(2.0, 0.25), "2.00");
        assert_eq!(mark(20_000.0, 5000.0), "20k");
        assert_eq!(mark(2e-5, 1e-5), "2.0e-5");
        assert_eq!(mark(1e-20, 0.5), "0.0");
    }
}
