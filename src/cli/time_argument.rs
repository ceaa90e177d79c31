//! Points in time as arguments.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

/// Reads a point in time: RFC 3339, a day in UTC, or an age such as `2h`.
pub fn parse(text: &str) -> Result<OffsetDateTime, String> {
    let day = || Some(Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?.midnight().assume_utc());
    let age = || {
        let age = Duration::try_from(humantime::parse_duration(text).ok()?).ok()?;
        OffsetDateTime::now_utc().checked_sub(age)
    };
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(day).or_else(age);
    // Near the year 9999 a local time may have no equivalent in UTC, which databases store.
    time.and_then(|time| time.checked_to_offset(UtcOffset::UTC))
        .ok_or_else(|| "a time like 2026-11-22T08:00:00Z, a day like 2026-11-22, or an age like 2h or 7d".to_owned())
}
