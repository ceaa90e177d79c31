//! `handover bulk FILE`: a file with a leaver on each row. Every row is judged by the planner's own code, and those that
//! can be done are sent, where that is asked for; nothing is done of a row that cannot.
//!
//! The file is gone through twice: first only for who leaves in it, then in batches, each judged, sent, followed to its
//! end and reported before the next. So a file of any length takes little memory, and what a run that is cut off has sent stands
//! in its report.

pub mod columns;
mod judge;
mod patience;
mod quotes;
mod reason;
mod report;
pub mod row;
mod send;
mod packed;
mod sheet;
pub mod table;
mod text;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use self::columns::Given;
use self::judge::{Judge, Judged};
use self::patience::patiently;
use self::report::Report;
use self::row::Reading;
use self::table::{Row, Table};
use super::exit::Exit;
use super::open;
use crate::config::Settings;
use crate::contract::UserId;
use crate::store::Store;

/// Rows that are judged together.
const BATCH: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A CSV or XLSX file; its first row names the columns.
    file: PathBuf,
    /// Who asks, where a row does not say it.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// The organization, where a row does not say it.
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Send the rows that can be done, and follow them to their end. Without it every row is only judged.
    #[arg(long)]
    submit: bool,
    /// Print as JSON, a line a row and one for the summary.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { file, by, org, submit, json } = arguments;
    let table = Table::open(&file)?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store.clone()).await?;
    let catalog = context.catalogs.current();
    let given = Given { by: by.is_some(), org: org.is_some() };
    let columns = columns::read(&table.head, &catalog, given)?;
    let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reading = Reading { catalog: &catalog, columns, by, org, file_name };
    let leavers = leavers(&store, &table, &reading).await?;
    let judge = Judge { context: &context, reading: &reading, leavers: &leavers };
    let broker = match submit {
        true => Some(open::broker(&settings, &store).await?),
        false => None,
    };
    let mut report = Report::beside(&file, submit, json)?;
    let mut rows = table.rows()?;
    loop {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect::<Result<_>>()?;
        if batch.is_empty() {
            break;
        }
        match &broker {
            Some(broker) => {
                let judged = patiently("judging rows", async || judge.rows(&batch).await).await?;
                send::send(&store, broker.as_ref(), &judged, &mut report).await?;
            }
            None => report.add(&judge.rows(&batch).await?.iter().map(Judged::line).collect::<Vec<_>>())?,
        }
    }
    if let Some(broker) = broker {
        broker.close().await;
    }
    report.end()
}

/// Who leaves in the file, and in how many rows each.
async fn leavers(store: &Store, table: &Table, reading: &Reading<'_>) -> Result<HashMap<UserId, u64>> {
    let mut leavers = HashMap::new();
    let mut count = 0_usize;
    let mut rows = table.rows()?;
    loop {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect::<Result<_>>()?;
        if batch.is_empty() {
            break;
        }
        count += batch.len();
        let people = reading.people(store, &batch).await?;
        for row in batch.iter().filter(|row| reading.is_to_be_done(row)) {
            if let Ok(user) = reading.leaver(row, &people) {
                *leavers.entry(user).or_default() += 1;
            }
        }
    }
    match count {
        0 => bail!("the file holds no row below its head"),
        _ => Ok(leavers),
    }
}
