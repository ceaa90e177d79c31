//! Why a row cannot have a date or time, and how to fix it.

/// The years around a run in which times are likely. Another one is more likely a typing mistake.
pub const LIKELY_YEARS: i64 = 10;

/// Why a row cannot have this date or time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFault {
    /// It is only a number.
    Number,
    /// It is a time without a date.
    TimeOnly,
    /// The calendar or the clock has no such date or time.
    Impossible,
    /// The year has two digits.
    TwoDigitYear,
    /// Day and month may be swapped.
    DayOrMonth,
    /// It has another form.
    Unreadable,
    /// The time zone is missing.
    NoZone,
    /// This instant is past.
    Past(String),
    /// This instant is too far in the future.
    TooFar(String),
}

impl TimeFault {
    /// Says what is wrong with a text.
    pub fn explain(&self, text: &str) -> String {
        match self {
            TimeFault::Number => format!("{text:?} is a number, not a date"),
            TimeFault::TimeOnly => format!("{text:?} is a time without a date"),
            TimeFault::Impossible => format!("there is no such date or time: {text:?}"),
            TimeFault::TwoDigitYear => format!("the year of {text:?} must have four digits"),
            TimeFault::DayOrMonth => format!("{text:?} does not say which number is the day and which the month"),
            TimeFault::Unreadable => format!("{text:?} is no date or time of a known form"),
            TimeFault::NoZone => format!("{text:?} does not say in which time zone"),
            TimeFault::Past(at) => format!("{text:?} is read as {at}, which is past"),
            TimeFault::TooFar(at) => {
                format!("{text:?} is read as {at}, which is more than {LIKELY_YEARS} years ahead")
            }
        }
    }

    /// Says how to fix it.
    pub fn hint(&self) -> &'static str {
        match self {
            TimeFault::NoZone => {
                "give the time zone of the whole file: --time-zone Europe/Berlin; or write an offset: \
                 2026-12-31T18:00:00+01:00"
            }
            TimeFault::Past(_) => "correct the date; a user whose cell is empty leaves at once",
            TimeFault::TooFar(_) => "correct the year",
            TimeFault::Number
            | TimeFault::TimeOnly
            | TimeFault::Impossible
            | TimeFault::TwoDigitYear
            | TimeFault::DayOrMonth
            | TimeFault::Unreadable => "write it like 2026-12-31, 31.12.2026 or 2026-12-31 18:00",
        }
    }
}
