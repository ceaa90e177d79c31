//! When a user leaves and returns, as a form says it.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::bulk::times::{Clock, Meaning, Zone};
use crate::http::api::call::internal;
use crate::http::console::fields::Fields;
use crate::http::problem::{Problem, Result};

/// The zone of times in a form that names none.
const UTC: &str = "UTC";

/// When a user leaves and returns, as it is written.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The start; at once if it is empty.
    pub starts: String,
    /// The return; none if it is empty.
    pub returns: String,
    /// The zone of both.
    pub zone: String,
}

/// When a user leaves and returns.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    /// The start; at once if there is none.
    pub starts: Option<OffsetDateTime>,
    /// The return.
    pub returns: Option<OffsetDateTime>,
}

impl Times {
    /// Reads a form.
    pub fn read(form: &Fields) -> Times {
        let field = |name: &str| form.get(name).unwrap_or_default().to_owned();
        Times { starts: field("starts"), returns: field("returns"), zone: field("time_zone") }
    }

    /// Returns the fields that hold the times in another form.
    pub fn fields(&self) -> impl Iterator<Item = (String, String)> {
        let all = [("starts", &self.starts), ("returns", &self.returns), ("time_zone", &self.zone)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value.clone()))
    }

    /// Returns the instants that are meant.
    pub fn instants(&self) -> Result<Instants> {
        Ok(Instants {
            starts: self.instant("starts", &self.starts, Meaning::Leaving)?,
            returns: self.instant("returns", &self.returns, Meaning::Returning)?,
        })
    }

    fn instant(&self, field: &str, text: &str, meaning: Meaning) -> Result<Option<OffsetDateTime>> {
        if text.is_empty() {
            return Ok(None);
        }
        let zone = if self.zone.is_empty() { UTC } else { &self.zone };
        let zone: Zone = zone.parse().map_err(|fault: String| Problem::parameter("time_zone", fault))?;
        let clock = Clock::now(Some(zone));
        let read = clock.read(text, meaning).and_then(|moment| clock.check(&moment).map_or(Ok(moment.utc), Err));
        read.map(Some).map_err(|fault| Problem::parameter(field, fault.explain(text)).hint(fault.hint()))
    }
}

impl Instants {
    /// Writes the instants into a request.
    pub fn write(self, body: &mut Value) -> Result<()> {
        for (field, at) in [("effective_at", self.starts), ("return_at", self.returns)] {
            if let Some(at) = at {
                body[field] = json!(at.format(&Rfc3339).map_err(|error| internal(&error))?);
            }
        }
        Ok(())
    }
}
