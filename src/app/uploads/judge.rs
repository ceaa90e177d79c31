//! Reads the file of an upload, and judges its rows.

use super::new_upload::Options;
use crate::app::access::Principal;
use crate::app::bulk::columns::{self, Defaults};
use crate::app::bulk::row_reader::RowReader;
use crate::app::bulk::table::Table;
use crate::app::bulk::times::Clock;
use crate::app::bulk::{BATCH, EvaluatedRow, Evaluator, Head, Leavers, NO_ROW, Row};
use crate::app::error::{Error, Result};
use crate::contract::{OtherClaim, grouped, printable};
use crate::stages::Context;
use crate::store::ledger::uploads::Upload;

/// The most rows of an upload. They are judged within one answer.
const MOST_ROWS: usize = 2_000;

/// The facts about a file besides its rows.
#[derive(Debug)]
pub struct Facts {
    /// The sheet that is read, if the file is a workbook.
    pub sheet: Option<String>,
    /// Parts of the file that are not read.
    pub notes: Vec<String>,
}

/// A file in memory.
struct File {
    head: Head,
    facts: Facts,
    rows: Vec<Row>,
}

/// Reads an upload and judges every row.
pub async fn judge(context: &Context, principal: &Principal, upload: &Upload) -> Result<(Facts, Vec<EvaluatedRow>)> {
    let asker = principal.actor().map_err(|_| Error::OtherPrincipal(OtherClaim::Requester))?;
    let options: Options =
        serde_json::from_value(upload.options.clone()).map_err(Error::json("the options of an upload"))?;
    let zone = options.time_zone.map(|zone| zone.parse()).transpose().map_err(Error::File)?;
    let file = read_file(upload.name.clone(), upload.content.clone(), options.sheet).await?;
    let catalog = context.catalogs.current_now(&context.store.reader()).await;
    let org = Some(upload.org.clone()).filter(|org| !org.is_empty());
    let defaults = Defaults { by: true, org: org.is_some() };
    let columns = columns::read(&file.head, &options.ignore_columns, &catalog, defaults).map_err(unreadable)?;
    let by = Some(asker.to_string());
    let reader = RowReader { catalog: &catalog, columns, by, org, principal: Some(asker), clock: Clock::now(zone) };
    let leavers = Leavers::of(&context.store, &file.rows, &reader).await?;
    let evaluator = Evaluator { context, reader: &reader, leavers: &leavers };
    let mut judged = Vec::with_capacity(file.rows.len());
    for batch in file.rows.chunks(BATCH) {
        judged.extend(evaluator.rows(batch).await?);
    }
    Ok((file.facts, judged))
}

/// Reads a file in a thread that may compute. A reader that fails on a crafted file ends that thread only.
async fn read_file(name: String, content: Vec<u8>, sheet: Option<String>) -> Result<File> {
    let failed = format!("{name} cannot be read: the reader failed");
    let read = tokio::task::spawn_blocking(move || {
        let table = Table::uploaded(name, content, sheet.as_deref())?;
        let rows = table.rows()?.take(MOST_ROWS + 1).collect::<anyhow::Result<Vec<Row>>>()?;
        match rows.len() {
            0 => anyhow::bail!("{NO_ROW}"),
            1..=MOST_ROWS => {}
            _ => anyhow::bail!(
                "{} has more than {} rows: split it, or use `handover bulk`",
                table.name,
                grouped(MOST_ROWS as u64)
            ),
        }
        let facts = Facts { sheet: table.sheet, notes: table.notes };
        Ok(File { head: table.head, facts, rows })
    });
    read.await.map_err(|_| Error::File(failed))?.map_err(unreadable)
}

fn unreadable(error: anyhow::Error) -> Error {
    Error::File(printable(&format!("{error:#}")))
}
