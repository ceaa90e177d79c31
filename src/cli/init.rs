//! `handover init`: writes a file of settings, with a comment on each.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::exit::Exit;
use super::output;
use crate::config;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The file to write.
    #[arg(default_value = "handover.toml")]
    file: PathBuf,
    /// The database: postgres://user:password@host/name, or sqlite://FILE.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The broker: amqp://user:password@host:5672/%2f, or `local` for none.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// The catalog: the name of one in the binary, or a file.
    #[arg(long, value_name = "NAME")]
    catalog: Option<String>,
}

pub fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments { file, database, broker, catalog } = arguments;
    let given = [("database.url", database), ("broker.url", broker), ("catalog", catalog)];
    let given: Vec<(&str, String)> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let text = config::template(&given);
    config::check_text(&text)?;
    if file.exists() {
        bail!("{} exists already: name another file, or remove it", file.display());
    }
    // The addresses may hold passwords.
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    let written = written.and_then(|mut written| written.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    output::line(format!("{} has every setting with a comment", file.display()))?;
    output::line("What to do next:")?;
    output::line(format!("  export HANDOVER_CONFIG={}", file.display()))?;
    output::line("  handover doctor     (checks database, catalog and broker)")?;
    output::line("  handover migrate    (creates the ledger)")?;
    Ok(Exit::Done)
}
