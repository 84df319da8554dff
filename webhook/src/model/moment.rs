//! Points in time, as written in manifests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// A second in UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(i64);

impl Moment {
    /// The current time of the clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// Parses RFC 3339, the format of `creationTimestamp`: `2026-12-31T09:30:00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|moment| Self(moment.unix_timestamp()))
    }

    /// Parses the end of a period: a moment, or a day without a time (`2026-12-31`). A day ends when the next one
    /// begins in UTC.
    pub fn parse_end(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let next = day(text)?.next_day()?;
            Some(Self(next.midnight().assume_utc().unix_timestamp()))
        })
    }

    /// The time that has passed since then. None if it is in the future.
    pub fn age(self, now: Self) -> Option<Duration> {
        u64::try_from(now.0.checked_sub(self.0)?).ok().map(Duration::from_secs)
    }
}

/// `2026-12-31`
fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<u16>().ok())?
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    parts.next().is_none().then(|| Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_until_it_ends() {
        let end = Moment::parse_end("2026-12-31").unwrap();
        assert_eq!(end, Moment::parse("2027-01-01T00:00:00Z").unwrap());
        assert_eq!(Moment::parse_end("2026-12-31T10:00:00+02:00"), Moment::parse("2026-12-31T08:00:00Z"));
        for text in ["", "2026", "2026-13-01", "2026-02-30", "26-01-01", "2026-1-1", "2026-01-01-01", "+026-01-01"] {
            assert_eq!(Moment::parse_end(text), None, "{text}");
        }
    }

    #[test]
    fn ages() {
        let (then, now) = (Moment(100), Moment(160));
        assert_eq!(then.age(now), Some(Duration::from_secs(60)));
        assert_eq!(now.age(then), None);
    }
}
