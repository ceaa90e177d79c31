//! The environment: which variables are settings, which are mistaken for one, and which have no effect.
//!
//! A variable that names a setting almost, such as `HANDOVER_DATABASE_URL`, must not be ignored in silence: commands would
//! open another database.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use super::defaults::{names, variable};
use crate::contract::printable;

const PREFIX: &str = "HANDOVER_";

/// The variable that names the file of settings.
const FILE: &str = "HANDOVER_CONFIG";

/// The beginnings of variables for this project's tests and tools.
const OF_TOOLS: [&str; 5] = ["TEST_", "STORM_", "PROPERTY_", "BENCH_", "SERVICES_"];

/// The least similarity of a name that is suggested for another.
const SIMILAR: f64 = 0.77;

/// The variables of the environment that concern Handover.
#[derive(Debug, Default)]
pub struct Variables {
    /// The settings.
    pub settings: HashMap<String, String>,
    /// Variables that are no settings, each with the likely name if there is one.
    pub ignored: Vec<String>,
}

/// Variables that must be corrected before anything is done. The values, which may be secret, are not part of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct WrongVariables(Vec<String>);

impl Variables {
    /// Reads an environment. Fails if a variable names no setting and was plainly meant as one.
    pub fn read(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Variables, WrongVariables> {
        let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
        let settings: Vec<(String, String)> = names().into_iter().map(|name| (variable(&name), name)).collect();
        let set: HashSet<&str> = environment.iter().filter_map(|(name, _)| name.to_str()).collect();
        let mut found = Variables::default();
        let mut wrong = Vec::new();
        for (name, value) in &environment {
            let Some(name) = name.to_str() else { continue };
            match Meaning::of(name, &settings) {
                Meaning::Other => {}
                Meaning::Setting => match value.to_str() {
                    Some(value) => drop(found.settings.insert(name.to_owned(), value.to_owned())),
                    None => wrong.push(format!("{name} is not UTF-8")),
                },
                Meaning::Mistaken(meant) if set.contains(meant) => {
                    found.ignored.push(format!("{} ({meant} is set)", printable(name)));
                }
                Meaning::Mistaken(meant) => {
                    wrong.push(format!("{} is no setting: the name is {meant}", printable(name)));
                }
                Meaning::Unknown(likely) => {
                    let hint = likely.map_or("`config/default.toml` lists all settings".to_owned(), |likely| {
                        format!("did you mean {likely}?")
                    });
                    wrong.push(format!("{} is no setting: {hint}", printable(name)));
                }
                Meaning::Ignored(likely) => {
                    let hint = likely.map_or(String::new(), |likely| format!(" (did you mean {likely}?)"));
                    found.ignored.push(format!("{}{hint}", printable(name)));
                }
            }
        }
        found.ignored.sort();
        wrong.sort();
        if wrong.is_empty() { Ok(found) } else { Err(WrongVariables(wrong)) }
    }
}

/// The meaning of a variable.
#[derive(Debug, PartialEq, Eq)]
enum Meaning<'s> {
    /// It is a setting.
    Setting,
    /// It is this setting, written with other underscores or in another case.
    Mistaken(&'s str),
    /// It has the form of a setting, and there is none of this name; perhaps it is this one.
    Unknown(Option<&'s str>),
    /// It begins as settings do, and others may have set it; perhaps it is this one.
    Ignored(Option<&'s str>),
    /// It does not concern Handover, or only its tests and tools.
    Other,
}

impl Meaning<'_> {
    fn of<'s>(name: &str, settings: &'s [(String, String)]) -> Meaning<'s> {
        if settings.iter().any(|(variable, _)| variable == name) {
            return Meaning::Setting;
        }
        if name == FILE {
            return Meaning::Other;
        }
        let upper = name.to_ascii_uppercase();
        let Some(rest) = upper.strip_prefix(PREFIX) else { return Meaning::Other };
        if OF_TOOLS.iter().any(|tool| rest.starts_with(tool)) {
            return Meaning::Other;
        }
        if let Some((variable, _)) = settings.iter().find(|(variable, _)| is_same(rest, &variable[PREFIX.len()..])) {
            return Meaning::Mistaken(variable);
        }
        match (name.starts_with(PREFIX), rest.contains("__")) {
            (false, _) => Meaning::Other,
            (true, true) => Meaning::Unknown(likely(rest, settings)),
            (true, false) => Meaning::Ignored(likely(rest, settings)),
        }
    }
}

/// True if a name is a setting's but for its underscores, or the section of an address: `DATABASE` for `DATABASE__URL`.
fn is_same(rest: &str, setting: &str) -> bool {
    squeezed(rest) == squeezed(setting) || setting.strip_suffix("__URL") == Some(rest)
}

fn squeezed(name: &str) -> String {
    name.replace('_', "")
}

/// Returns the setting that a name most likely means: one that is spelled much alike, or the only one that ends in it.
fn likely<'s>(rest: &str, settings: &'s [(String, String)]) -> Option<&'s str> {
    let score =
        |variable: &str| strsim::normalized_damerau_levenshtein(&squeezed(rest), &squeezed(&variable[PREFIX.len()..]));
    let scored = settings.iter().map(|(variable, _)| (score(variable), variable.as_str()));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    if let Some((_, variable)) = best.filter(|(score, _)| *score >= SIMILAR) {
        return Some(variable);
    }
    let ending = format!("__{rest}");
    let mut ending = settings.iter().filter(|(variable, _)| variable.ends_with(&ending));
    ending.next().filter(|_| ending.next().is_none()).map(|(variable, _)| variable.as_str())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn read(names: &[&str]) -> Result<Variables, WrongVariables> {
        Variables::read(names.iter().map(|name| (OsString::from(name), OsString::from("s3cret"))))
    }

    #[test]
    fn settings_are_read_and_strangers_left_alone() {
        let of_tools = ["HANDOVER_CONFIG", "HANDOVER_TEST_POSTGRES_URL", "HANDOVER_STORM_SEED", "HANDOVER_TEST_A__B"];
        let strangers = ["PATH", "XHANDOVER_DATABASE_URL", "handover_of_somebody", "handover_x__y", "HANDOVER"];
        let settings = [
            "HANDOVER_CATALOG",
            "HANDOVER_DATABASE__URL",
            "HANDOVER_TELEMETRY__OTLP__ENDPOINT",
            "HANDOVER_BROKER__CA_FILE",
        ];
        let found = read(&[&of_tools[..], &strangers, &settings].concat()).expect("no fault");
        assert_eq!(found.settings.keys().map(String::as_str).collect::<HashSet<_>>(), settings.into());
        assert_eq!(found.ignored, Vec::<String>::new());
    }

    #[test]
    fn mistaken_names_are_refused_with_the_right_one() {
        for (name, fault) in [
            ("HANDOVER_DATABASE_URL", "the name is HANDOVER_DATABASE__URL"),
            ("HANDOVER_DATABASE", "the name is HANDOVER_DATABASE__URL"),
            ("HANDOVER_BROKER_URL", "the name is HANDOVER_BROKER__URL"),
            ("HANDOVER_LIMITS_CHUNK_ROWS", "the name is HANDOVER_LIMITS__CHUNK_ROWS"),
            ("HANDOVER_LIMITS__CHUNK__ROWS", "the name is HANDOVER_LIMITS__CHUNK_ROWS"),
            ("HANDOVER_TELEMETRY_OTLP_ENDPOINT", "the name is HANDOVER_TELEMETRY__OTLP__ENDPOINT"),
            ("handover_database__url", "the name is HANDOVER_DATABASE__URL"),
            ("HANDOVER_Database__Url", "the name is HANDOVER_DATABASE__URL"),
            ("HANDOVER_DATABSE__URL", "did you mean HANDOVER_DATABASE__URL?"),
            ("HANDOVER_DATABASE__URI", "did you mean HANDOVER_DATABASE__URL?"),
            ("HANDOVER_DB__URL", "`config/default.toml` lists all settings"),
            ("HANDOVER_TENANT__NAME", "`config/default.toml` lists all settings"),
        ] {
            let wrong = read(&[name]).expect_err(name).to_string();
            assert_eq!(wrong, format!("{name} is no setting: {fault}"));
        }
        let both = read(&["HANDOVER_DATABASE_URL", "HANDOVER_DATABASE__URL"]).expect("the right one is set");
        assert_eq!(both.ignored, ["HANDOVER_DATABASE_URL (HANDOVER_DATABASE__URL is set)"]);
        let unreadable = [(OsString::from("HANDOVER_CATALOG"), OsString::from_vec(vec![0xff]))];
        assert_eq!(Variables::read(unreadable).expect_err("no text").to_string(), "HANDOVER_CATALOG is not UTF-8");
    }

    #[test]
    fn variables_of_orchestrators_are_only_reported() {
        // What Kubernetes sets for services called `handover` and `handover-database`.
        let injected = [
            "HANDOVER_DATABASE_PORT",
            "HANDOVER_DATABASE_PORT_5432_TCP_ADDR",
            "HANDOVER_DATABASE_SERVICE_HOST",
            "HANDOVER_PORT",
            "HANDOVER_PORT_9464_TCP",
            "HANDOVER_PORT_9464_TCP_PROTO",
            "HANDOVER_SERVICE_HOST",
            "HANDOVER_SERVICE_PORT",
            "HANDOVER_SERVICE_PORT_HTTP",
        ];
        assert_eq!(read(&injected).expect("no fault").ignored, injected);
        let near = read(&["HANDOVER_PREFIX", "HANDOVER_DATABSE_URL", "HANDOVER_CATALOGUE"]).expect("no fault").ignored;
        assert_eq!(
            near,
            [
                "HANDOVER_CATALOGUE (did you mean HANDOVER_CATALOG?)",
                "HANDOVER_DATABSE_URL (did you mean HANDOVER_DATABASE__URL?)",
                "HANDOVER_PREFIX (did you mean HANDOVER_BROKER__PREFIX?)",
            ]
        );
    }
}
