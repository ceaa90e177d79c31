//! Reads times.

use std::ops::RangeInclusive;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::json::Json;
use super::path::Path;
use crate::contract::{DeadLetterCode, Faults};

/// The years that a time may have, in UTC. Earlier ones are mistakes: the day zero of Unix or of a spreadsheet, or a number
/// that was taken for a date. Nobody waits for later ones.
const YEARS: RangeInclusive<i32> = 2000..=2200;

/// The length of a date such as 2026-12-31.
const DATE: usize = 10;

/// Reads a time in RFC 3339.
pub fn time(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<OffsetDateTime> {
    let code = DeadLetterCode::InvalidField;
    let Json::Text(text) = json else {
        let hint = "write date, time and offset, such as \"2026-12-31T18:00:00+01:00\"";
        return faults.add(code, path, format!("a time is text, and this is {json}"), hint);
    };
    let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) else {
        let (detail, hint) = explain(text);
        return faults.add(code, path, detail, hint);
    };
    let year = at.checked_to_offset(UtcOffset::UTC).map(OffsetDateTime::year);
    if !year.is_some_and(|year| YEARS.contains(&year)) {
        let detail = format!("{json} is outside the years {} to {}", YEARS.start(), YEARS.end());
        return faults.add(code, path, detail, "correct the year, or leave the field out");
    }
    Some(at)
}

/// Explains what a time lacks.
fn explain(text: &str) -> (String, String) {
    let day = format_description!("[year]-[month]-[day]");
    let minute = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let second = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let with_t = text.replacen(' ', "T", 1);
    if Date::parse(text, day).is_ok() {
        let detail = format!("\"{text}\" is a day without a time and an offset");
        return (detail, format!("write \"{text}T18:00:00+01:00\", or the time and offset that are meant"));
    }
    if PrimitiveDateTime::parse(&with_t, second).is_ok() {
        let detail = format!("\"{text}\" has no offset from UTC");
        return (detail, format!("write \"{with_t}Z\" for UTC, or \"{with_t}+01:00\""));
    }
    if PrimitiveDateTime::parse(&with_t, minute).is_ok() {
        let detail = format!("\"{text}\" has no seconds and no offset from UTC");
        return (detail, format!("write \"{with_t}:00Z\" for UTC, or \"{with_t}:00+01:00\""));
    }
    if OffsetDateTime::parse(&with_t, &Rfc3339).is_ok() {
        return (format!("\"{text}\" has a space in place of the T"), format!("write \"{with_t}\""));
    }
    let hint = "write date, time and offset, such as \"2026-12-31T18:00:00+01:00\"".to_owned();
    match text.get(..DATE).filter(|date| has_shape_of_date(date)) {
        Some(date) if Date::parse(date, day).is_err() => (format!("the day {date} does not exist"), hint),
        Some(_) => (format!("the time of day or the offset of \"{text}\" cannot be read"), hint),
        None => (format!("\"{text}\" is not a time"), hint),
    }
}

fn has_shape_of_date(text: &str) -> bool {
    text.bytes().zip(*b"dddd-dd-dd").all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        shape => byte == shape,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hint_of_a_time_can_be_followed() {
        for text in
            ["2026-12-31", "2026-12-31T18:00", "2026-12-31 18:00:00", "2026-12-31T18:00:00", "31.12.2026", "2026-02-30"]
        {
            let (_, hint) = explain(text);
            let written = hint.split('"').nth(1).expect("a time in quotes");
            assert!(OffsetDateTime::parse(written, &Rfc3339).is_ok(), "{text}: {hint}");
        }
    }
}
