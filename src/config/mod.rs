//! The settings: embedded defaults, overridden by a file, overridden by the environment. Every fault is reported at once,
//! before anything starts.
//!
//! Each section is a type of the module that it configures. `config/default.toml` documents every key.

mod check;
mod defaults;
mod faults;
mod forms;
mod logging;
mod variables;

use std::path::Path;

use anyhow::{Context, Result, bail};
use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

use self::check::{check_database, check_limits, check_scim, check_telemetry, check_worker};
pub use self::defaults::{DEFAULTS, names, template};
use self::faults::Faults;
pub use self::logging::{Log, LogFormat, Otlp, Telemetry};
pub use self::variables::{Variables, WrongVariables};
use crate::stages::{EventSettings, Limits, ScimLimits};
use crate::{broker, http, store, worker};

/// The settings.
pub struct Settings {
    /// The name of an embedded catalog, or a file.
    pub catalog: String,
    /// The database.
    pub database: store::Settings,
    /// The broker.
    pub broker: broker::Settings,
    /// The worker's capacity and pace.
    pub worker: worker::Settings,
    /// The sizes and time limits of the stages.
    pub limits: Limits,
    /// The events that are published.
    pub events: EventSettings,
    /// The HTTP server for operators.
    pub http: http::Settings,
    /// The HTTP API.
    pub api: http::ApiSettings,
    /// The log.
    pub log: Log,
    /// The export of traces.
    pub telemetry: Telemetry,
}

const SECTIONS: [&str; 11] =
    ["catalog", "database", "broker", "worker", "limits", "scim", "events", "http", "api", "log", "telemetry"];

/// Loads the settings from a file and from the environment.
pub fn load(file: Option<&Path>, variables: &Variables) -> Result<Settings> {
    let text = file.map(read_toml).transpose()?;
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(text) = &text {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    let environment = Environment::with_prefix("HANDOVER").prefix_separator("_").separator("__").try_parsing(true);
    let config = builder.add_source(environment.source(Some(variables.settings.clone()))).build();
    let config = config.with_context(|| match file {
        Some(file) => unreadable(file),
        None => "the configuration cannot be read".to_owned(),
    })?;
    checked(&config)
}

/// Checks a text of settings.
pub fn check_text(text: &str) -> Result<()> {
    let sources = [DEFAULTS, text].map(|text| File::from_str(text, FileFormat::Toml));
    let builder = sources.into_iter().fold(Config::builder(), |builder, source| builder.add_source(source));
    checked(&builder.build().context("the configuration cannot be read")?).map(drop)
}

fn checked(config: &Config) -> Result<Settings> {
    let mut faults = Faults::default();
    match read(config, &mut faults) {
        Some(settings) if faults.is_empty() => Ok(settings),
        Some(_) | None => bail!("{}", faults.message()),
    }
}

fn unreadable(file: &Path) -> String {
    format!("the configuration {} cannot be read", file.display())
}

/// Reads a file once, since it may be a pipe, and checks its syntax. The TOML parser's own message quotes the faulty line,
/// which may hold a password.
fn read_toml(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| unreadable(file))?;
    let Err(error) = toml::from_str::<toml::Table>(&text) else { return Ok(text) };
    let place = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
    bail!("{}: line {line} is no TOML: {}", unreadable(file), error.message())
}

/// Reads every section before it returns, so that all faults are found.
fn read(config: &Config, faults: &mut Faults) -> Option<Settings> {
    if let Ok(all) = config.clone().try_deserialize::<serde_json::Map<String, serde_json::Value>>() {
        forms::check(&all, &SECTIONS, faults);
    }
    let catalog: Option<String> = section(config, "catalog", faults);
    let database: Option<store::Settings> = section(config, "database", faults);
    let broker: Option<broker::Section> = section(config, "broker", faults);
    let worker: Option<worker::Settings> = section(config, "worker", faults);
    let limits: Option<Limits> = section(config, "limits", faults);
    let scim: Option<ScimLimits> = section(config, "scim", faults);
    let events: Option<EventSettings> = section(config, "events", faults);
    let http: Option<http::Settings> = section(config, "http", faults);
    let api: Option<http::ApiSettings> = section(config, "api", faults);
    let log: Option<Log> = section(config, "log", faults);
    let telemetry: Option<Telemetry> = section(config, "telemetry", faults);
    database.iter().for_each(|database| check_database(database, faults));
    worker.iter().for_each(|worker| check_worker(worker, faults));
    limits.iter().for_each(|limits| check_limits(limits, faults));
    scim.iter().for_each(|scim| check_scim(scim, faults));
    api.iter().filter_map(http::ApiSettings::fault).for_each(|fault| faults.add(fault));
    telemetry.iter().for_each(|telemetry| check_telemetry(telemetry, faults));
    let broker = broker.and_then(|section| {
        let checked = broker::Settings::check(section);
        checked.map_err(|found| found.into_iter().for_each(|fault| faults.add(fault))).ok()
    });
    Some(Settings {
        catalog: catalog?,
        database: database?,
        broker: broker?,
        worker: worker?,
        limits: Limits { scim: scim?, ..limits? },
        events: events?,
        http: http?,
        api: api?,
        log: log?,
        telemetry: telemetry?,
    })
}

/// Reads a section. Its values have their forms, unless a fault says otherwise.
fn section<T: DeserializeOwned>(config: &Config, name: &str, faults: &mut Faults) -> Option<T> {
    match config.get::<T>(name) {
        Ok(section) => Some(section),
        Err(_) if faults.concern(name) => None,
        Err(error) => {
            faults.add(format!("[{name}]: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn embedded_defaults_are_complete() {
        let config = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)).build().expect("TOML");
        let mut faults = Faults::default();
        assert!(read(&config, &mut faults).is_some(), "{}", faults.message());
        assert!(faults.is_empty(), "{}", faults.message());
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let wrong = "colour = 1\n[database]\nurl = \"mysql://x\"\n[broker]\nurl = \"http://x\"\n[limits]\nwindow = 0\n[worker]\ngrace = \"soon\"\n[http]\nlisten = \"x\"\n[telemetry.otlp]\nendpoint = \"collector\"\n";
        let sources = [DEFAULTS, wrong].map(|text| File::from_str(text, FileFormat::Toml));
        let config = sources.into_iter().fold(Config::builder(), |builder, source| builder.add_source(source));
        let mut faults = Faults::default();
        read(&config.build().expect("TOML"), &mut faults);
        let all = faults.message();
        for part in [
            "colour",
            "database.url",
            "broker.url",
            "limits.window",
            "worker.grace",
            "http.listen",
            "telemetry.otlp.endpoint",
        ] {
            assert!(all.contains(part), "{part} is missing in: {all}");
        }
    }

    /// Returns the fault of a section's own type.
    fn refusal(section: &str, config: &Config) -> Option<String> {
        let refused = match section {
            "database" => config.get::<store::Settings>(section).err(),
            "broker" => config.get::<broker::Section>(section).err(),
            "worker" => config.get::<worker::Settings>(section).err(),
            "limits" => config.get::<Limits>(section).err(),
            "scim" => config.get::<ScimLimits>(section).err(),
            "events" => config.get::<EventSettings>(section).err(),
            "http" => config.get::<http::Settings>(section).err(),
            "api" => config.get::<http::ApiSettings>(section).err(),
            "log" => config.get::<Log>(section).err(),
            "telemetry" => config.get::<Telemetry>(section).err(),
            other => config.get::<Otlp>(other).err(),
        };
        refused.map(|error| error.to_string())
    }

    #[test]
    fn faults_of_values_are_in_our_words() {
        for name in names() {
            for wrong in ["[1]", "{ a = 1 }", "\"5 s3cret bananas\""] {
                let (section, field) = name.rsplit_once('.').unwrap_or(("", &name));
                let head = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
                let text = format!("{head}{field} = {wrong}\n");
                let sources = [DEFAULTS, text.as_str()].map(|text| File::from_str(text, FileFormat::Toml));
                let config = sources.into_iter().fold(Config::builder(), |builder, source| builder.add_source(source));
                let mut faults = Faults::default();
                read(&config.build().expect("TOML"), &mut faults);
                let all = faults.message();
                for word in ["expected", "invalid type", "variant", "constructor", "for key"] {
                    assert!(!all.contains(word), "{name} = {wrong}: {all}");
                }
                let of_text = [
                    "catalog",
                    "url",
                    "_file",
                    "prefix",
                    "time_zone",
                    "tls_certificate",
                    "tls_key",
                    "filter",
                    "endpoint",
                ];
                let is_text = wrong.contains("bananas") && of_text.iter().any(|end| name.ends_with(end));
                assert!(is_text || all.contains(&format!("`{name}` ({}", defaults::variable(&name))), "{name}: {all}");
                assert!(!name.ends_with("url") || !all.contains("s3cret"), "{all}");
            }
        }
    }

    /// Returns the fields that a section has, from the fault of an unknown one.
    fn fields(section: &str) -> BTreeSet<String> {
        let unknown = format!("[{section}]\nxyzzy = 1\n");
        let sources = [DEFAULTS, unknown.as_str()].map(|text| File::from_str(text, FileFormat::Toml));
        let config = sources.into_iter().fold(Config::builder(), |builder, source| builder.add_source(source));
        let message = refusal(section, &config.build().expect("TOML")).unwrap_or_default();
        let (_, expected) = message.split_once("expected").unwrap_or_else(|| panic!("{section}: {message}"));
        let (expected, _) = expected.split_once(" for key").unwrap_or((expected, ""));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn names_are_the_fields_of_every_section() {
        let names = names();
        let sections = names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect::<BTreeSet<&str>>();
        assert_eq!(sections.len(), SECTIONS.len() - 1, "all but the catalog, which is no section: {sections:?}");
        for section in sections {
            let of_section = |name: &String| name.strip_prefix(section)?.strip_prefix('.').map(str::to_owned);
            assert_eq!(names.iter().filter_map(of_section).collect::<BTreeSet<_>>(), fields(section), "{section}");
        }
        assert_eq!(fields("telemetry"), ["otlp".to_owned()].into());
        assert!(names.contains(&"catalog".to_owned()));
    }
}
