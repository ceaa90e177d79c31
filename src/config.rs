//! Settings: the embedded, documented defaults; a file over them; the environment over that. Checked whole, all faults at
//! once, before anything starts.

mod check;
mod sections;

use std::path::Path;

use anyhow::{Context, Result, bail};
use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

use self::check::{Faults, check_database, check_http, check_limits, check_telemetry, check_worker};
use self::sections::{DatabaseSection, HttpSection};
pub use self::sections::{Http, Log, LogFormat, Otlp, Telemetry};
use crate::broker;
use crate::stages::Limits;
use crate::store;
use crate::worker;

/// The defaults, with what each setting is for.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// Everything that can be set.
pub struct Settings {
    /// The name of an embedded catalog, or a file.
    pub catalog: String,
    /// The database.
    pub database: store::Settings,
    /// The broker.
    pub broker: broker::Settings,
    /// How much a worker does at a time, and how hard.
    pub worker: worker::Settings,
    /// Sizes and times of the stages.
    pub limits: Limits,
    /// Where a worker tells how it is.
    pub http: Http,
    /// What is logged.
    pub log: Log,
    /// Where spans go.
    pub telemetry: Telemetry,
}

const SECTIONS: [&str; 8] = ["catalog", "database", "broker", "worker", "limits", "http", "log", "telemetry"];

/// Reads the settings.
pub fn load(file: Option<&Path>) -> Result<Settings> {
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        check_toml(file)?;
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    let environment = Environment::with_prefix("HANDOVER").prefix_separator("_").separator("__").try_parsing(true);
    let ours = std::env::vars().filter(|(name, _)| is_ours(name)).collect();
    let config = builder.add_source(environment.source(Some(ours))).build();
    let config = config.with_context(|| match file {
        Some(file) => format!("the configuration {} cannot be read", file.display()),
        None => "the configuration cannot be read".to_owned(),
    })?;
    let mut faults = Faults(Vec::new());
    let settings = read(&config, &mut faults);
    match settings {
        Some(settings) if faults.0.is_empty() => Ok(settings),
        _ => bail!("{}", faults.all()),
    }
}

/// A parser shows the line that it does not understand, and that may hold a password: here it only says which.
fn check_toml(file: &Path) -> Result<()> {
    let unreadable = || format!("the configuration {} cannot be read", file.display());
    let text = std::fs::read_to_string(file).with_context(unreadable)?;
    let Err(error) = toml::from_str::<toml::Table>(&text) else { return Ok(()) };
    let place = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
    bail!("{}: line {line} is no TOML: {}", unreadable(), error.message())
}

/// Whether a variable is a setting: others begin with HANDOVER_ too (the tests' servers, for one).
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("HANDOVER_") else { return false };
    let section = rest.split("__").next().unwrap_or_default().to_lowercase();
    rest.eq_ignore_ascii_case("catalog") || (rest.contains("__") && SECTIONS.contains(&section.as_str()))
}

fn read(config: &Config, faults: &mut Faults) -> Option<Settings> {
    if let Ok(all) = config.clone().try_deserialize::<std::collections::HashMap<String, serde_json::Value>>() {
        for name in all.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
            faults.add(format!("`{name}` is no section: there are {}", SECTIONS.join(", ")));
        }
    }
    let catalog: Option<String> = section(config, "catalog", faults);
    let database: Option<DatabaseSection> = section(config, "database", faults);
    let broker: Option<broker::Section> = section(config, "broker", faults);
    let worker: Option<worker::Settings> = section(config, "worker", faults);
    let limits: Option<Limits> = section(config, "limits", faults);
    let http: Option<HttpSection> = section(config, "http", faults);
    let log: Option<Log> = section(config, "log", faults);
    let telemetry: Option<Telemetry> = section(config, "telemetry", faults);
    let http = http.map(|http| check_http(&http, faults));
    if let Some(limits) = &limits {
        check_limits(limits, faults);
    }
    if let Some(worker) = &worker {
        check_worker(worker, faults);
    }
    if let Some(telemetry) = &telemetry {
        check_telemetry(telemetry, faults);
    }
    Some(Settings {
        catalog: catalog?,
        database: check_database(database?, faults),
        broker: broker::Settings::check(broker?)
            .map_err(|all| all.into_iter().for_each(|fault| faults.add(fault)))
            .ok()?,
        worker: worker?,
        limits: limits?,
        http: http?,
        log: log?,
        telemetry: telemetry?,
    })
}

fn section<T: DeserializeOwned>(config: &Config, name: &str, faults: &mut Faults) -> Option<T> {
    config.get::<T>(name).map_err(|error| faults.add(format!("[{name}]: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_whole() {
        let config = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)).build().expect("TOML");
        let mut faults = Faults(Vec::new());
        assert!(read(&config, &mut faults).is_some(), "{}", faults.all());
        assert!(faults.0.is_empty(), "{}", faults.all());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let wrong = "colour = 1\n[database]\nurl = \"mysql://x\"\n[broker]\nurl = \"http://x\"\n[limits]\nwindow = 0\n[worker]\ngrace = \"soon\"\n[http]\nlisten = \"x\"\n[telemetry.otlp]\nendpoint = \"collector\"\n";
        let sources = [DEFAULTS, wrong].map(|text| File::from_str(text, FileFormat::Toml));
        let config = sources.into_iter().fold(Config::builder(), |builder, source| builder.add_source(source));
        let mut faults = Faults(Vec::new());
        read(&config.build().expect("TOML"), &mut faults);
        let all = faults.all();
        for part in [
            "colour",
            "database.url",
            "broker.url",
            "limits.window",
            "[worker]",
            "http.listen",
            "telemetry.otlp.endpoint",
        ] {
            assert!(all.contains(part), "{part} is missing in: {all}");
        }
    }

    #[test]
    fn only_settings_are_taken_from_the_environment() {
        assert!(is_ours("HANDOVER_DATABASE__URL"));
        assert!(is_ours("HANDOVER_CATALOG"));
        assert!(!is_ours("HANDOVER_TEST_POSTGRES_URL"));
    }
}
