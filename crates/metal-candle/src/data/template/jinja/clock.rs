//! `strftime_now`: the current date and time in UTC. Python gives local time; the time zone of the
//! machine is none of a library's business.

use std::time::{SystemTime, UNIX_EPOCH};

use super::error::{Error, Result};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The current time by a format of `strftime`.
pub(super) fn formatted_now(format: &str) -> Result<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    formatted(now.as_secs(), now.subsec_micros(), format)
}

/// Time `secs` seconds after the beginning of 1970, in the locale "C".
fn formatted(secs: u64, micros: u32, format: &str) -> Result<String> {
    let time = Time::new(secs, micros);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            // glibc: no leading zeros.
            Some('-') => {
                let field = time.field(chars.next(), format)?;
                let bare = field.trim_start_matches(['0', ' ']);
                out.push_str(if bare.is_empty() { "0" } else { bare });
            }
            c => out.push_str(&time.field(c, format)?),
        }
    }
    Ok(out)
}

struct Time {
    year: u64,
    month: usize,
    day: u64,
    /// Day of the year, from 1.
    year_day: u64,
    /// Days since the beginning of 1970.
    days: u64,
    /// Seconds of the day.
    secs: u64,
    micros: u32,
}

impl Time {
    fn new(secs: u64, micros: u32) -> Self {
        let days = secs / 86_400;
        let (mut year, mut rest) = (1970, days);
        while rest >= year_length(year) {
            rest -= year_length(year);
            year += 1;
        }
        let year_day = rest + 1;
        let mut month = 0;
        while rest >= month_length(year, month) {
            rest -= month_length(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: rest + 1,
            year_day,
            days,
            secs: secs % 86_400,
            micros,
        }
    }

    fn field(&self, directive: Option<char>, format: &str) -> Result<String> {
        let (month, weekday) = (MONTHS[self.month], DAYS[(self.days % 7) as usize]);
        let (hour, minute, second) = (self.secs / 3600, self.secs / 60 % 60, self.secs % 60);
        Ok(match directive {
            Some('Y') => self.year.to_string(),
            Some('y') => format!("{:02}", self.year % 100),
            Some('m') => format!("{:02}", self.month + 1),
            Some('B') => month.to_owned(),
            Some('b' | 'h') => month[..3].to_owned(),
            Some('d') => format!("{:02}", self.day),
            Some('e') => format!("{:2}", self.day),
            Some('j') => format!("{:03}", self.year_day),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('f') => format!("{:06}", self.micros),
            Some('F') => format!("{}-{:02}-{:02}", self.year, self.month + 1, self.day),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('Z' | 'z') => String::new(),
            Some('%') => "%".to_owned(),
            _ => return Err(Error::unsupported(format!("the date format '{format}'"))),
        })
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_length(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_length(year: u64, month: usize) -> u64 {
    const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    LENGTHS[month] + u64::from(month == 1 && is_leap(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Python's `datetime.fromtimestamp(secs, timezone.utc).strftime`.
    #[test]
    fn dates_are_those_of_python() {
        let all = "%Y %y %m %B %b %d %e %j %A %a %H %I %p %M %S %f %F %T %R %% %-d %-m %-I";
        for (secs, expected) in [
            (
                951_782_399,
                "2000 00 02 February Feb 28 28 059 Monday Mon 23 11 PM 59 59 000007 2000-02-28 23:59:59 23:59 % 28 2 11",
            ),
            (
                951_782_400,
                "2000 00 02 February Feb 29 29 060 Tuesday Tue 00 12 AM 00 00 000007 2000-02-29 00:00:00 00:00 % 29 2 12",
            ),
            (
                4_102_444_800,
                "2100 00 01 January Jan 01  1 001 Friday Fri 00 12 AM 00 00 000007 2100-01-01 00:00:00 00:00 % 1 1 12",
            ),
        ] {
            assert_eq!(formatted(secs, 7, all).unwrap(), expected);
        }
        assert!(formatted(0, 0, "%c").is_err());
    }
}
