//! `handover bulk FILE`: evaluates a file with one leaver per row, and sends the acceptable rows if you ask for it.

mod progress;
mod report;
mod report_line;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};

use self::report::{Plan, Report};
use super::confirmation::Confirmation;
use super::exit::Exit;
use super::signals::Signals;
use super::{open, output, question};
use crate::app::bulk::columns::{self, Column, Defaults};
use crate::app::bulk::row_reader::RowReader;
use crate::app::bulk::table::Table;
use crate::app::bulk::times::{Clock, Zone};
use crate::app::bulk::{
    EvaluatedRow, Evaluator, Followed, Leavers, Notice, RowDecision, Stopped, Submission, before_sending, next_batch,
    retry_while_unavailable,
};
use crate::app::organizations;
use crate::broker::Broker;
use crate::config::Settings;
use crate::contract::{OrgId, counted, printable};
use crate::store::Store;

#[derive(Debug, Args)]
#[command(mut_arg("yes", |yes| yes.requires("submit")))]
pub(super) struct Arguments {
    /// A CSV, TSV or XLSX file, or `-` for standard input. A row names the columns; titles may be above it.
    file: PathBuf,
    /// The sheet to read, if several sheets of the workbook have a table.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Columns to ignore, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    ignore_columns: Vec<String>,
    /// The user who asks, for rows that name none.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// The organization, for rows that name none.
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// The time zone of dates and times that name none: Europe/Berlin, UTC, +02:00. A user leaves at the end of a day, and
    /// returns at its start.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    /// Send the acceptable rows and follow them to their end. Without this option every row is only evaluated.
    #[arg(long, conflicts_with = "dry_run")]
    submit: bool,
    /// Stop following the rows after this time, with exit code 1: `30s`, `10m`. Their jobs go on.
    #[arg(long, value_name = "TIME", requires = "submit", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    confirmation: Confirmation,
    /// The file of the report. Default: next to the file that is read, with `.report.csv` after its name.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The separator of the report. Default: that of the text file that is read; a comma for a workbook.
    #[arg(long, value_enum, value_name = "NAME")]
    separator: Option<Separator>,
    /// Print as JSON: one line per row and one for the summary.
    #[arg(long)]
    json: bool,
}

/// A separator of columns.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Separator {
    /// A comma: spreadsheets in English expect it.
    Comma,
    /// A semicolon: spreadsheets in most European languages expect it.
    Semicolon,
    /// A tab.
    Tab,
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
            Separator::Tab => b'\t',
        }
    }
}

impl Arguments {
    /// Returns the confirmation if rows are sent.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.submit.then_some(self.confirmation)
    }
}

pub(super) async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { file, sheet, ignore_columns, by, org, time_zone, submit, timeout, confirmation, .. } = arguments;
    let (report, separator, json) = (arguments.report, arguments.separator, arguments.json);
    let table = Table::open(&file, sheet.as_deref())?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store.clone()).await?;
    let catalog = context.catalogs.current();
    if let Some(org) = &org {
        let org = OrgId::try_from(org.clone()).map_err(|what| anyhow!("--org: {what}"))?;
        organizations::check(&store, &catalog, &org).await?;
    }
    let defaults = Defaults { by: by.is_some(), org: org.is_some() };
    let columns = columns::read(&table.head, &ignore_columns, &catalog, defaults)?;
    let reader = RowReader { catalog: &catalog, columns, by, org, principal: None, clock: Clock::now(time_zone) };
    let leavers = Leavers::read(&store, &table, &reader).await?;
    print_table(&table, leavers.count());
    print_zone(&reader);
    let evaluator = Evaluator { context: &context, reader: &reader, leavers: &leavers };
    if submit && !confirmation.is_given(async || question(&table, &evaluator).await).await? {
        return Ok(Exit::Failed);
    }
    let broker = match submit {
        true => Some(open::broker(&settings, &store).await?),
        false => None,
    };
    let separator = separator.map_or_else(|| table.separator(), Separator::byte);
    let rows = leavers.count();
    let plan = Plan { input: &file, table: &table, rows, file: report, separator, submits: submit, json };
    let mut report = Report::create(plan)?;
    let mut signals = Signals::listen()?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let run = Run { store: &store, evaluator: &evaluator, broker: broker.as_deref(), deadline };
    let end = tokio::select! {
        ended = run.rows(&table, &mut report) => ended?,
        () = signals.next() => RunEnd::Interrupted,
    };
    if let Some(broker) = broker.filter(|_| end != RunEnd::Interrupted) {
        broker.close().await;
    }
    match end {
        RunEnd::Done => report.end(),
        RunEnd::Interrupted => Ok(report.cut_off("interrupted")),
        RunEnd::Stopped(Stopped::TimedOut) => Ok(report.cut_off("the time is over")),
        RunEnd::Stopped(Stopped::NoWorker) => Ok(report.cut_off("no worker takes the requests (run `handover run`)")),
    }
}

/// A run over the rows of a file.
struct Run<'r> {
    store: &'r Store,
    evaluator: &'r Evaluator<'r>,
    /// The broker, if rows are sent.
    broker: Option<&'r dyn Broker>,
    /// The end of the time for following rows, if it is limited.
    deadline: Option<Instant>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    /// Every row is done with.
    Done,
    /// The rows are not followed to their ends.
    Stopped(Stopped),
    /// A signal ended the run.
    Interrupted,
}

impl Run<'_> {
    /// Evaluates all rows, batch by batch, and sends the acceptable ones.
    async fn rows(&self, table: &Table, report: &mut Report<'_>) -> Result<RunEnd> {
        let mut rows = table.rows()?;
        loop {
            let batch = next_batch(&mut rows)?;
            if batch.is_empty() {
                return Ok(RunEnd::Done);
            }
            let Some(broker) = self.broker else {
                let evaluated = self.evaluator.rows(&batch).await?;
                report.add(&evaluated.iter().map(EvaluatedRow::result).collect::<Vec<_>>())?;
                continue;
            };
            let evaluate = async || self.evaluator.rows(&batch).await;
            let evaluated = retry_while_unavailable("evaluating rows", &print_notice, evaluate).await?;
            if let Some(stopped) = self.send(broker, &evaluated, report).await? {
                return Ok(RunEnd::Stopped(stopped));
            }
        }
    }

    /// Sends a batch and follows it to its end, or returns why it stopped. If the run is cut off, the report shows what was sent.
    async fn send(
        &self,
        broker: &dyn Broker,
        rows: &[EvaluatedRow],
        report: &mut Report<'_>,
    ) -> Result<Option<Stopped>> {
        report.note(&before_sending(rows))?;
        let submission = Submission::send(broker, rows).await;
        report.note(&submission.sent())?;
        match submission.follow(self.store, self.deadline, &print_notice).await? {
            Followed::Ended(results) => report.add(&results).map(|()| None),
            Followed::Stopped(stopped) => Ok(Some(stopped)),
        }
    }
}

/// Evaluates the whole file and returns the question before its acceptable rows are sent; none if there are none.
async fn question(table: &Table, evaluator: &Evaluator<'_>) -> Result<Option<String>> {
    let bar = progress::bar(evaluator.leavers.count(), "evaluating");
    let (mut accepted, mut rejected) = (0, 0);
    let mut orgs = BTreeSet::new();
    let mut rows = table.rows()?;
    loop {
        let batch = next_batch(&mut rows)?;
        if batch.is_empty() {
            break;
        }
        bar.inc(batch.len() as u64);
        for row in evaluator.rows(&batch).await? {
            match row.decision {
                RowDecision::Ok(request, _) => {
                    accepted += 1;
                    orgs.insert(request.header().org().to_owned());
                }
                RowDecision::Rejected(_) | RowDecision::NotDone(..) => rejected += 1,
                RowDecision::Skipped(_) | RowDecision::SentBefore(..) => {}
            }
        }
    }
    bar.finish_and_clear();
    let remark = match rejected {
        0 => String::new(),
        some => format!("{} rejected", counted(some, "row")),
    };
    Ok((accepted > 0).then(|| question::about_number(accepted, &orgs, &remark)))
}

/// Prints what is read and what is not. Standard output has the rows only.
fn print_table(table: &Table, rows: usize) {
    let sheet = table.sheet.as_ref().map(|sheet| format!(", sheet {sheet:?}")).unwrap_or_default();
    output::note(printable(&format!("{}{sheet}: {}", table.name, counted(rows, "row"))));
    table.notes.iter().for_each(|note| output::note(printable(note)));
}

/// Prints how days and times are read, if the file has any.
fn print_zone(reader: &RowReader<'_>) {
    let has_times = [Column::EffectiveAt, Column::ReturnAt].iter().any(|column| reader.columns.place(column).is_some());
    if let Some(zone) = reader.clock.zone.as_ref().filter(|_| has_times) {
        let zone = printable(&zone.name);
        output::note(format!("time zone {zone}: users leave at the end of a day, and return at its start"));
    }
}

fn print_notice(notice: Notice<'_>) {
    match notice {
        Notice::DatabaseUnavailable { doing, error } => {
            output::note(format!("{doing}: {error}. Waiting for the database."));
        }
        Notice::NoProgress => {
            output::note("no row has ended yet: is a worker running (`handover run`)? Still waiting.");
        }
    }
}
