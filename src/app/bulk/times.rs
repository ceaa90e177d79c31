//! Reads dates and times as people write them in spreadsheets.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use time::OffsetDateTime;

use super::time_fault::{LIKELY_YEARS, TimeFault};

/// The time zone of dates and times that name none.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The name, as given.
    pub name: String,
    zone: TimeZone,
}

/// The time of a run, and the time zone of what it reads.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The time zone, if the caller names one.
    pub zone: Option<Zone>,
    /// The time of the run.
    pub now: Timestamp,
}

/// An instant that a row names.
#[derive(Debug, Clone)]
pub struct Moment {
    at: ZonedDateTime,
    /// The instant as a request carries it.
    pub utc: OffsetDateTime,
}

/// A date or time, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A day.
    Day(Date),
    /// A time of a day, without an offset.
    Local(DateTime),
    /// A time of a day with its offset.
    Exact(DateTime, Offset),
}

/// The event at a time. It decides which instant of a day is meant, and which of two if a clock was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A user leaves. Nobody loses access before the written day or time is over: a day means its last second.
    Leaving,
    /// A user returns. A day means its first second.
    Returning,
}

impl FromStr for Zone {
    type Err = String;

    /// Reads a zone's name or an offset from UTC.
    fn from_str(name: &str) -> Result<Zone, String> {
        let named = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown());
        let zone = named.or_else(|| Some(read_offset(name)?.to_time_zone())).ok_or_else(|| unknown_zone(name))?;
        Ok(Zone { name: zone.iana_name().unwrap_or(name).to_owned(), zone })
    }
}

fn unknown_zone(name: &str) -> String {
    const SIMILAR: f64 = 0.8;
    let zones = TimeZoneDatabase::bundled();
    let score = |zone: &str| strsim::jaro_winkler(&name.to_lowercase(), &zone.to_lowercase());
    let known = zones.available().map(|zone| zone.as_str().to_owned());
    // `Berlin` is similar to the end of `Europe/Berlin`.
    let scored = known.map(|zone| (zone.rsplit('/').next().map_or(0.0, score).max(score(&zone)), zone));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).filter(|(score, _)| *score > SIMILAR);
    let similar = best.map(|(_, zone)| format!(" (did you mean {zone}?)")).unwrap_or_default();
    format!(
        "there is no time zone {name:?}{similar}; give a name such as Europe/Berlin, UTC, or an offset such as +02:00"
    )
}

impl FromStr for Written {
    type Err = TimeFault;

    /// Reads a day (`2026-12-31`, `2026/12/31`, `31.12.2026`), perhaps with a time (`18:00`, `18:00:00`) and an offset (`Z`,
    /// `+01:00`).
    fn from_str(text: &str) -> Result<Written, TimeFault> {
        let text = text.trim();
        if text.replace(',', ".").parse::<f64>().is_ok() {
            return Err(TimeFault::Number);
        }
        let end = text.find(|c: char| c == 'T' || c == 't' || c.is_whitespace()).unwrap_or(text.len());
        let (day, rest) = text.split_at(end);
        if read_time(day).is_ok() {
            return Err(TimeFault::TimeOnly);
        }
        let date = read_date(day)?;
        let rest = rest.trim_start_matches(['T', 't']).trim();
        if rest.is_empty() {
            return Ok(Written::Day(date));
        }
        let (time, offset) = split_offset(rest);
        let at = DateTime::from_parts(date, read_time(time.trim_end())?);
        match offset {
            None => Ok(Written::Local(at)),
            Some(offset) => read_offset(offset).map(|offset| Written::Exact(at, offset)).ok_or(TimeFault::Unreadable),
        }
    }
}

impl Written {
    /// Returns the instant that is meant, in the zone or with the written offset.
    fn instant(self, meaning: Meaning, zone: Option<&Zone>) -> Result<ZonedDateTime, TimeFault> {
        let needed = || zone.map(|zone| &zone.zone).ok_or(TimeFault::NoZone);
        let instant = match (self, meaning) {
            (Written::Day(day), Meaning::Leaving) => {
                needed()?.to_ambiguous_zoned_datetime(day.at(23, 59, 59, 0)).later()
            }
            (Written::Day(day), Meaning::Returning) => {
                let noon = day.at(12, 0, 0, 0).to_zoned_datetime(needed()?.clone());
                noon.and_then(|noon| noon.start_of_day())
            }
            // An hour that clocks skip or show twice: access ends late and begins early.
            (Written::Local(at), Meaning::Leaving) => needed()?.to_ambiguous_zoned_datetime(at).later(),
            (Written::Local(at), Meaning::Returning) => needed()?.to_ambiguous_zoned_datetime(at).earlier(),
            (Written::Exact(at, offset), Meaning::Leaving | Meaning::Returning) => {
                let zone = zone.map_or_else(|| offset.to_time_zone(), |zone| zone.zone.clone());
                offset.to_timestamp(at).map(|instant| instant.to_zoned_datetime(zone))
            }
        };
        // Only times outside of the calendar's range have no instant.
        instant.map_err(|_| TimeFault::Impossible)
    }
}

impl Clock {
    /// Takes the time for a run.
    pub fn now(zone: Option<Zone>) -> Clock {
        Clock { zone, now: Timestamp::now() }
    }

    /// Reads the date or time in a cell.
    pub fn read(&self, text: &str, meaning: Meaning) -> Result<Moment, TimeFault> {
        let at = text.parse::<Written>()?.instant(meaning, self.zone.as_ref())?;
        let utc = OffsetDateTime::from_unix_timestamp(at.timestamp().as_second());
        Ok(Moment { at, utc: utc.map_err(|_| TimeFault::Impossible)? })
    }

    /// Returns the fault of a time that no new request may name.
    pub fn check(&self, moment: &Moment) -> Option<TimeFault> {
        if moment.at.timestamp() < self.now {
            Some(TimeFault::Past(moment.to_string()))
        } else if !self.is_near(moment) {
            Some(TimeFault::TooFar(moment.to_string()))
        } else {
            None
        }
    }

    /// True if a request may have this time, or may have had it when it was sent.
    pub fn is_near(&self, moment: &Moment) -> bool {
        let now = self.now.to_zoned_datetime(TimeZone::UTC);
        let (earliest, latest) = (now.checked_sub(LIKELY_YEARS.years()), now.checked_add(LIKELY_YEARS.years()));
        let is_late_enough = earliest.is_ok_and(|earliest| moment.at.timestamp() >= earliest.timestamp());
        is_late_enough && latest.is_ok_and(|latest| moment.at.timestamp() <= latest.timestamp())
    }
}

impl fmt::Display for Moment {
    /// Writes the instant with its offset, in seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.strftime("%Y-%m-%dT%H:%M:%S%:z").fmt(f)
    }
}

fn read_date(text: &str) -> Result<Date, TimeFault> {
    let separator = text.chars().find(|c| matches!(c, '-' | '/' | '.')).ok_or(TimeFault::Unreadable)?;
    let parts: Vec<&str> = text.split(separator).collect();
    let [first, second, third] = parts.as_slice() else { return Err(TimeFault::Unreadable) };
    let (year, month, day) = match (digits(first)?, digits(second)?, digits(third)?) {
        (4, 1..=2, 1..=2) => (first, second, third),
        (1..=2, 1..=2, 4) if separator == '.' => (third, second, first),
        (1..=2, 1..=2, 4) => return Err(TimeFault::DayOrMonth),
        (1..=2, 1..=2, 1..=2) => return Err(TimeFault::TwoDigitYear),
        _ => return Err(TimeFault::Unreadable),
    };
    Date::new(number(year)?, number(month)?, number(day)?).map_err(|_| TimeFault::Impossible)
}

/// Reads `18:00`, `18:00:00` or `18:00:00.000`. Fractions of a second are left out.
fn read_time(text: &str) -> Result<Time, TimeFault> {
    let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] if fraction == "0" => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, *second),
        _ => return Err(TimeFault::Unreadable),
    };
    match (digits(hour)?, digits(minute)?, digits(second)?, digits(fraction)?) {
        (1..=2, 2, 2, 1..) => {
            let time = Time::new(number(hour)?, number(minute)?, number(second)?, 0);
            time.map_err(|_| TimeFault::Impossible)
        }
        _ => Err(TimeFault::Unreadable),
    }
}

/// Splits a time from its offset.
fn split_offset(text: &str) -> (&str, Option<&str>) {
    let begin = text.find(['Z', 'z', '+', '-']);
    begin.map_or((text, None), |begin| (&text[..begin], Some(&text[begin..])))
}

/// Reads `Z`, `+02:00`, `+0200` or `+02`.
fn read_offset(text: &str) -> Option<Offset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let written = text.strip_prefix(['+', '-'])?.replace(':', "");
    let (hours, minutes) = match (digits(&written).ok()?, text.contains(':')) {
        (2, false) => (written.as_str(), "00"),
        (4, _) => written.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (number(hours).ok()?, number(minutes).ok()?);
    let fits = hours < 24 && minutes < 60;
    fits.then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()).flatten()
}

/// Returns the number of digits of a text that has no other characters.
fn digits(text: &str) -> Result<usize, TimeFault> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then_some(text.len()).ok_or(TimeFault::Unreadable)
}

fn number<N: FromStr>(digits: &str) -> Result<N, TimeFault> {
    digits.parse().map_err(|_| TimeFault::Impossible)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str) -> Clock {
        Clock { zone: Some(zone.parse().expect("a zone")), now: "2026-11-30T12:00:00Z".parse().expect("a time") }
    }

    fn understood(text: &str, meaning: Meaning, zone: &str) -> Result<String, TimeFault> {
        clock(zone).read(text, meaning).map(|moment| moment.to_string())
    }

    #[test]
    fn written_days_and_times_are_understood() {
        let cases = [
            ("2026-12-31", "2026-12-31T23:59:59+01:00"),
            ("2027-1-3", "2027-01-03T23:59:59+01:00"),
            ("2026/12/31", "2026-12-31T23:59:59+01:00"),
            ("31.12.2026", "2026-12-31T23:59:59+01:00"),
            ("1.7.2027", "2027-07-01T23:59:59+02:00"),
            ("2028-02-29", "2028-02-29T23:59:59+01:00"),
            ("2026-12-31 18:00", "2026-12-31T18:00:00+01:00"),
            ("31.12.2026 18:00:05", "2026-12-31T18:00:05+01:00"),
            ("2026-12-31T18:00", "2026-12-31T18:00:00+01:00"),
            ("2026-12-31 8:00", "2026-12-31T08:00:00+01:00"),
            ("2026-12-31T17:00:00Z", "2026-12-31T18:00:00+01:00"),
            ("2026-12-31t18:00:00.123456-05:00", "2027-01-01T00:00:00+01:00"),
            ("2026-12-31 18:00 +0100", "2026-12-31T18:00:00+01:00"),
            ("\u{a0}2026-12-31 ", "2026-12-31T23:59:59+01:00"),
        ];
        for (text, instant) in cases {
            assert_eq!(understood(text, Meaning::Leaving, "Europe/Berlin"), Ok(instant.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn text_that_is_no_date_is_refused_with_its_fault() {
        let cases = [
            (
                TimeFault::Number,
                ["2027", "202612", "20261231", "46387.75", "46387,75", "-1", "1e400", "NaN", "31.12"].as_slice(),
            ),
            (TimeFault::TimeOnly, &["18:00", "6:00 PM", "18:00:00", "0:00"]),
            (
                TimeFault::Impossible,
                &[
                    "2026-02-30",
                    "2027-02-29",
                    "2026-13-01",
                    "31.11.2026",
                    "2026-12-31 24:00",
                    "2026-12-31 18:60",
                    "0000-00-00",
                ],
            ),
            (TimeFault::TwoDigitYear, &["31.12.26", "26-12-31", "1/2/27"]),
            (TimeFault::DayOrMonth, &["12/31/2026", "31/12/2026", "31-12-2026"]),
            (
                TimeFault::Unreadable,
                &[
                    "tomorrow",
                    "31. Dezember 2026",
                    "2026-12",
                    "2026-12-31 noon",
                    "2026-12-31+01:00",
                    "2026-12-31 18:00 CET",
                    "2026-12-31 18",
                    "2026-W53",
                    "12026-12-31",
                    "2026-012-31",
                    "２０２６-12-31",
                    "2026-12-31 18:00+1",
                    "2026-12-31T18:00:00[Europe/Berlin]",
                ],
            ),
        ];
        for (fault, texts) in cases {
            for text in texts {
                assert_eq!(text.parse::<Written>(), Err(fault.clone()), "{text:?}");
            }
        }
    }

    #[test]
    fn clock_changes_never_end_access_early() {
        let cases = [
            // Clocks skip from 02:00 to 03:00, and show 02:00 to 03:00 twice.
            ("2027-03-28 02:30", "2027-03-28T03:30:00+02:00", "2027-03-28T01:30:00+01:00"),
            ("2027-10-31 02:30", "2027-10-31T02:30:00+01:00", "2027-10-31T02:30:00+02:00"),
            ("2027-03-28", "2027-03-28T23:59:59+02:00", "2027-03-28T00:00:00+01:00"),
            ("2027-10-31", "2027-10-31T23:59:59+01:00", "2027-10-31T00:00:00+02:00"),
        ];
        for (text, leaves, returns) in cases {
            assert_eq!(understood(text, Meaning::Leaving, "Europe/Berlin").as_deref(), Ok(leaves), "{text}");
            assert_eq!(understood(text, Meaning::Returning, "Europe/Berlin").as_deref(), Ok(returns), "{text}");
        }
        // Clocks that change at midnight: the first has no such second, the second has it twice.
        let returns = understood("2019-11-03", Meaning::Returning, "America/Havana");
        assert_eq!(returns.as_deref(), Ok("2019-11-03T00:00:00-04:00"));
        let returns = understood("2018-11-04", Meaning::Returning, "America/Sao_Paulo");
        assert_eq!(returns.as_deref(), Ok("2018-11-04T01:00:00-02:00"));
        let leaves = understood("2018-11-03", Meaning::Leaving, "America/Sao_Paulo");
        assert_eq!(leaves.as_deref(), Ok("2018-11-03T23:59:59-03:00"));
    }

    #[test]
    fn days_need_a_zone_and_offsets_do_not() {
        let clock = Clock { zone: None, now: Timestamp::UNIX_EPOCH };
        let instant = |text: &str| clock.read(text, Meaning::Leaving).map(|moment| moment.to_string());
        assert_eq!(instant("2026-12-31"), Err(TimeFault::NoZone));
        assert_eq!(instant("2026-12-31 18:00"), Err(TimeFault::NoZone));
        assert_eq!(instant("2026-12-31T18:00:00+05:30").as_deref(), Ok("2026-12-31T18:00:00+05:30"));
        assert_eq!(instant("9999-12-31T23:59:59-23:00"), Err(TimeFault::Impossible));
    }

    #[test]
    fn zones_are_names_or_offsets() {
        let name = |zone: &str| zone.parse::<Zone>().map(|zone| zone.name);
        assert_eq!(name("europe/berlin").as_deref(), Ok("Europe/Berlin"));
        assert_eq!(name("UTC").as_deref(), Ok("UTC"));
        assert_eq!(understood("2026-12-31", Meaning::Leaving, "+02:00").as_deref(), Ok("2026-12-31T23:59:59+02:00"));
        assert_eq!(understood("2026-12-31", Meaning::Leaving, "-0330").as_deref(), Ok("2026-12-31T23:59:59-03:30"));
        assert!(name("Berlin").expect_err("no zone").contains("did you mean Europe/Berlin?"));
        for wrong in ["", "CEST", "Mars/Olympus", "+25:00", "+2", "Etc/Unknown"] {
            let fault = name(wrong).expect_err(wrong);
            assert!(fault.contains("Europe/Berlin"), "{fault}");
        }
    }

    #[test]
    fn past_and_distant_times_are_no_new_requests() {
        let clock = clock("Europe/Berlin");
        let fault = |text: &str, meaning| clock.check(&clock.read(text, meaning).expect("a time"));
        // Today ends later, and has begun.
        assert_eq!(fault("2026-11-30", Meaning::Leaving), None);
        assert!(
            matches!(fault("2026-11-30", Meaning::Returning), Some(TimeFault::Past(at)) if at == "2026-11-30T00:00:00+01:00")
        );
        assert!(matches!(fault("2026-11-29", Meaning::Leaving), Some(TimeFault::Past(_))));
        assert!(matches!(fault("2026-11-30 12:59:59", Meaning::Leaving), Some(TimeFault::Past(_))));
        assert_eq!(fault("2026-11-30 13:00", Meaning::Leaving), None);
        assert!(matches!(fault("1905-07-19", Meaning::Leaving), Some(TimeFault::Past(_))));
        assert_eq!(fault("2036-11-29", Meaning::Leaving), None);
        assert!(matches!(fault("2036-12-01", Meaning::Leaving), Some(TimeFault::TooFar(_))));
        assert!(matches!(fault("2206-12-31", Meaning::Leaving), Some(TimeFault::TooFar(_))));
    }
}
