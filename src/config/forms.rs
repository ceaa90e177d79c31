//! The form of each setting. Values are checked before they are deserialized, so that a fault names the setting, its variable,
//! what was found and what is allowed.

use serde_json::{Map, Value};

use super::defaults::{names, variable};
use super::faults::Faults;
use crate::broker::are_principals;
use crate::contract::{most_similar, printable};
use crate::http::{PublicUrl, is_host_name, listed};
use crate::worker::throttle::Pace;

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Any text.
    Text,
    /// Any text. It may hold a password, so faults do not repeat it.
    Secret,
    /// A whole number up to a maximum.
    Number(u64),
    /// A duration.
    Duration,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// One of some words, or a share of the time.
    Pace(&'static [&'static str]),
    /// An address with a port, or nothing.
    Address,
    /// Names of hosts, separated by commas.
    Hosts,
    /// IP addresses, separated by commas.
    Addresses,
    /// The URL under which browsers reach the server, or empty.
    PublicUrl,
    /// A table of RabbitMQ users, with the principal of each.
    Principals,
}

const MOST: u64 = i64::MAX as u64;
const MOST_I32: u64 = i32::MAX as u64;
const MOST_U32: u64 = u32::MAX as u64;

/// The form of every setting.
const FORMS: [(&str, Form); 51] = [
    ("catalog", Form::Text),
    ("database.url", Form::Secret),
    ("database.max_connections", Form::Number(MOST_U32)),
    ("database.lock_timeout", Form::Duration),
    ("database.statement_timeout", Form::Duration),
    ("database.idle_in_transaction_timeout", Form::Duration),
    ("database.acquire_timeout", Form::Duration),
    ("database.time_zone", Form::Text),
    ("broker.url", Form::Secret),
    ("broker.ca_file", Form::Text),
    ("broker.cert_file", Form::Text),
    ("broker.key_file", Form::Text),
    ("broker.prefix", Form::Text),
    ("broker.publish_timeout", Form::Duration),
    ("broker.connect_timeout", Form::Duration),
    ("broker.heartbeat", Form::Duration),
    ("broker.principals", Form::Principals),
    ("worker.planners", Form::Number(MOST)),
    ("worker.movers", Form::Number(MOST)),
    ("worker.pace", Form::Pace(&["full", "default", "gentle"])),
    ("worker.relay_batch", Form::Number(MOST)),
    ("worker.poll", Form::Duration),
    ("worker.sweep_every", Form::Duration),
    ("worker.grace", Form::Duration),
    ("limits.group", Form::Number(MOST)),
    ("limits.chunk_rows", Form::Number(MOST)),
    ("limits.chunk_time", Form::Duration),
    ("limits.chunks_per_cut", Form::Number(MOST)),
    ("limits.window", Form::Number(MOST)),
    ("limits.chunk_attempts", Form::Number(MOST_I32)),
    ("limits.deferrals", Form::Number(MOST_U32)),
    ("limits.late_passes", Form::Number(MOST_I32)),
    ("limits.stalled_after", Form::Duration),
    ("limits.recount_for", Form::Duration),
    ("limits.recount_every", Form::Duration),
    ("limits.keep_events", Form::Duration),
    ("scim.settle", Form::Duration),
    ("scim.breaker_least", Form::Number(MOST)),
    ("scim.breaker_percent", Form::Number(100)),
    ("events.assigned", Form::OneOf(&["true", "false"])),
    ("http.listen", Form::Address),
    ("http.hosts", Form::Hosts),
    ("api.listen", Form::Address),
    ("api.hosts", Form::Hosts),
    ("api.trusted_proxies", Form::Addresses),
    ("api.tls_certificate", Form::Text),
    ("api.tls_key", Form::Text),
    ("api.public_url", Form::PublicUrl),
    ("log.filter", Form::Text),
    ("log.format", Form::OneOf(&["text", "json", "auto"])),
    ("telemetry.otlp.endpoint", Form::Secret),
];

/// Checks the names and the forms of all settings. `sections`: the sections that exist.
pub fn check(settings: &Map<String, Value>, sections: &[&str], faults: &mut Faults) {
    for (section, value) in settings {
        if !sections.contains(&section.as_str()) {
            faults.add(format!("unknown section `{}`: known are {}", printable(section), sections.join(", ")));
            continue;
        }
        check_value(section, value, faults);
    }
}

/// Checks a setting, or every setting of a section.
fn check_value(name: &str, value: &Value, faults: &mut Faults) {
    if let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) {
        let fault = (!form.accepts(value)).then(|| form.fault(name, value));
        fault.into_iter().for_each(|fault| faults.add(fault));
        return;
    }
    let names = names();
    if names.iter().any(|known| known == name) {
        // Without a form, its type decides alone.
        return;
    }
    let is_section = names.iter().any(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    match value.as_object() {
        Some(fields) if is_section => {
            fields.iter().for_each(|(field, value)| check_value(&format!("{name}.{field}"), value, faults));
        }
        None if is_section => {
            faults.add(format!("`{name}` is a section, not a value: write [{name}], and its settings below"));
        }
        Some(_) | None => faults.add(unknown(name, &names)),
    }
}

fn unknown(name: &str, names: &[String]) -> String {
    let section = name.rsplit_once('.').map_or("", |(section, _)| section);
    let known = names.iter().filter_map(|known| known.strip_prefix(section)?.strip_prefix('.'));
    let known: Vec<&str> = known.filter(|known| !known.contains('.')).collect();
    let written = name.rsplit('.').next().unwrap_or(name);
    let hint = match most_similar(written, known.iter().copied()) {
        Some(likely) => format!("did you mean `{section}.{likely}`?"),
        None => format!("[{section}] has {}", known.join(", ")),
    };
    format!("`{}` is no setting: {hint}", printable(name))
}

impl Form {
    fn accepts(self, value: &Value) -> bool {
        if self == Form::Principals {
            return are_principals(value);
        }
        let Some(text) = scalar(value) else { return false };
        match self {
            Form::Principals => false,
            Form::Text | Form::Secret => true,
            Form::Number(most) => text.parse::<u64>().is_ok_and(|number| number <= most),
            Form::Duration => humantime::parse_duration(&text).is_ok(),
            Form::OneOf(words) => words.contains(&text.as_str()),
            Form::Pace(_) => serde_json::from_value::<Pace>(value.clone()).is_ok(),
            Form::Address => text.is_empty() || text.parse::<std::net::SocketAddr>().is_ok(),
            Form::Hosts => listed(&text).all(is_host_name),
            Form::Addresses => listed(&text).all(|part| part.parse::<std::net::IpAddr>().is_ok()),
            Form::PublicUrl => text.is_empty() || PublicUrl::read(&text).is_some(),
        }
    }

    fn fault(self, name: &str, value: &Value) -> String {
        let found = match (self, value) {
            // A URL may hold a password.
            (Form::Secret | Form::PublicUrl, _) => String::new(),
            (_, Value::Array(_)) => " is a list".to_owned(),
            (_, Value::Object(_)) => " is a table".to_owned(),
            (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => format!(" is {value}"),
        };
        let variable = variable(name);
        printable(&format!("`{name}` ({variable}){found}: it must be {}{}", self.allowed(), self.likely(value)))
    }

    fn allowed(self) -> String {
        match self {
            Form::Text | Form::Secret => "a text".to_owned(),
            Form::Number(most) => format!("a whole number, at most {most}"),
            Form::Duration => "a duration such as 500ms, 30s, 5m or 1h".to_owned(),
            Form::OneOf(words) => format!("one of {}", words.join(", ")),
            Form::Pace(words) => format!("one of {}, or a share of the time from 0.01 to 1", words.join(", ")),
            Form::Address => {
                "an address and a port (127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464), or empty for no server".to_owned()
            }
            Form::Hosts => "names of hosts without ports, separated by commas".to_owned(),
            Form::Addresses => "IP addresses, separated by commas".to_owned(),
            Form::PublicUrl => "https://HOST without a path, or http:// with localhost or 127.0.0.1".to_owned(),
            Form::Principals => {
                "a table of RabbitMQ users, such as { crm-app = { service = \"crm\", org = \"1\" }, hr = { user = \"7\", org = \"1\" } }"
                    .to_owned()
            }
        }
    }

    fn likely(self, value: &Value) -> String {
        match (self, value) {
            (Form::OneOf(words) | Form::Pace(words), Value::String(written)) => {
                let likely = most_similar(written, words.iter().copied());
                likely.map_or(String::new(), |likely| format!("; did you mean {likely}?"))
            }
            (Form::OneOf(_) | Form::Pace(_), _)
            | (
                Form::Text
                | Form::Secret
                | Form::Number(_)
                | Form::Duration
                | Form::Address
                | Form::Hosts
                | Form::Addresses
                | Form::PublicUrl
                | Form::Principals,
                _,
            ) => String::new(),
        }
    }
}

/// Returns a scalar as text. The environment cannot say of which type a value is.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_form() {
        assert_eq!(FORMS.map(|(name, _)| name.to_owned()).to_vec(), names());
    }
}
