//! Logs: text for people on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging, by `usual` where the settings have no filter.
pub fn start(log: &Log, usual: &str) -> Result<()> {
    let filter = log.filter.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("`log.filter` is wrong: {filter}"))?;
    // It logs bodies of returned messages, and what our own broker module tells anyhow.
    let filter = filter.add_directive("lapin=off".parse().context("the directive lapin=off")?);
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
