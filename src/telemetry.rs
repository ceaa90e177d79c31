//! Logs: text for people on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// What says too much, whatever the settings ask for. lapin logs bodies of returned messages, and what our own broker
/// module tells anyhow. sea-orm's spans hold the database's URL, with its password: whatever is logged while it connects
/// would show it.
const SILENCED: [&str; 5] =
    ["lapin", "sea_orm", "sea_orm::database", "sea_orm::driver::sqlx_postgres", "sea_orm::driver::sqlx_sqlite"];

/// Starts logging, by `usual` where the settings have no filter.
pub fn start(log: &Log, usual: &str) -> Result<()> {
    let filter = log.filter.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("`log.filter` is wrong: {filter}"))?;
    let filter = SILENCED.into_iter().try_fold(filter, |filter, target| {
        let directive = format!("{target}=off").parse().with_context(|| format!("silencing {target}"))?;
        anyhow::Ok(filter.add_directive(directive))
    })?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match json {
        true => builder.json().flatten_event(true).try_init(),
        false => builder.with_target(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))
}
