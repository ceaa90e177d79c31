//! Logs and the export of traces. Logs go to standard error: text on a terminal, JSON otherwise. Untrusted text is escaped,
//! so that no name can forge a log line.

pub mod otlp;

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::config::{Log, LogFormat};
use crate::contract::{printable, printable_json};

/// Log targets that are always off. lapin logs the bodies of returned messages, and what the broker module logs itself.
/// sea-orm's spans contain the database's URL with its password. The pool of sqlx warns of each connection that it replaces; what
/// that means for us is an error of our own.
const SILENCED: [&str; 6] = [
    "lapin",
    "sea_orm",
    "sea_orm::database",
    "sea_orm::driver::sqlx_postgres",
    "sea_orm::driver::sqlx_sqlite",
    "sqlx_core::pool",
];

/// Returns true if logging has started.
pub fn has_started() -> bool {
    tracing::dispatcher::has_been_set()
}

/// Starts logging. `default`: the filter if the settings have none.
pub fn start(log: &Log, default: &str) -> Result<()> {
    let filter = log.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("`log.filter` is invalid: {filter}"))?;
    let filter = SILENCED.into_iter().try_fold(filter, |filter, target| {
        let directive = format!("{target}=off").parse().with_context(|| format!("silencing {target}"))?;
        anyhow::Ok(filter.add_directive(directive))
    })?;
    let is_terminal = io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    let is_colored = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_colored);
    let started = match json {
        true => builder.json().flatten_event(true).with_writer(|| EscapedJson(io::stderr())).try_init(),
        false => {
            let fields = debug_fn(|writer, field, value| write_field(writer, field.name(), value)).delimited(" ");
            builder.with_target(false).fmt_fields(fields).with_writer(io::stderr).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

fn write_field(writer: &mut Writer<'_>, name: &str, value: &dyn Debug) -> fmt::Result {
    let value = printable(&format!("{value:?}"));
    match name {
        "message" => writer.write_str(&value),
        // The source location of a record from another crate.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, "{name}={value}"),
    }
}

/// Writes log lines of JSON, each at once.
struct EscapedJson<W>(W);

impl<W: io::Write> io::Write for EscapedJson<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
