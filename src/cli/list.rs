//! Prints lists: a table that fits the terminal, CSV, or JSON lines.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::output;
use crate::app;
use crate::contract::{counted, grouped, most_similar};

/// Entries that a list shows unless `--limit` says otherwise.
const PAGE: u64 = 100;

/// The most entries that a database can be asked for.
const MOST: u64 = i64::MAX as u64;

/// The arguments of every list.
#[derive(Debug, Clone, Args)]
pub struct ListOptions {
    /// The format of the list. A table is cut to the width of the terminal.
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    /// Print as JSON, one line per entry: `--output json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// The columns of a table or CSV, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// The number of entries, at most; 0 for all.
    #[arg(long, default_value_t = PAGE, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST))]
    limit: u64,
    /// The number of entries to leave out first, for the next page.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST))]
    skip: u64,
}

/// A format of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Table,
    /// Comma-separated values, with whole texts and times.
    Csv,
    /// JSON, one line per entry.
    Json,
}

/// The part of a list that is shown.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The number of entries, at most.
    pub limit: u64,
    /// The number of entries to leave out first.
    pub skip: u64,
}

/// A value in a list.
pub enum Cell {
    /// Text, which may be cut.
    Text(String),
    /// An id or a word for programs, which is never cut.
    Word(String),
    /// A point in time.
    Time(OffsetDateTime),
    /// Nothing.
    Nothing,
}

/// A column of a list.
pub struct Column<T> {
    /// Its name, for `--columns` too.
    pub name: &'static str,
    /// True if a list without `--columns` has it.
    pub is_default: bool,
    /// Returns its value for an entry.
    pub cell: fn(&T) -> Cell,
}

/// The way in which the entries of a list are shown.
pub struct Listing<T: 'static> {
    /// The columns, the most important first: a narrow terminal shows only these.
    pub columns: &'static [Column<T>],
    /// The name of an entry, for its count.
    pub noun: &'static str,
    /// Returns the lines below an entry of a table, such as hints.
    pub notes: fn(&T) -> Vec<String>,
}

impl<T> Listing<T> {
    /// Returns a listing without lines below its entries.
    pub const fn new(columns: &'static [Column<T>], noun: &'static str) -> Listing<T> {
        Listing { columns, noun, notes: |_| Vec::new() }
    }

    /// Prints entries as a table with the usual columns.
    pub fn table(&self, entries: &[T]) -> Result<()> {
        self.print_table(&self.columns.iter().filter(|column| column.is_default).collect::<Vec<_>>(), entries)
    }

    fn print_table(&self, columns: &[&Column<T>], entries: &[T]) -> Result<()> {
        let mut lines = table_lines(columns, entries).into_iter();
        lines.next().iter().try_for_each(output::lines)?;
        for (line, entry) in lines.zip(entries) {
            output::lines(line)?;
            (self.notes)(entry).iter().try_for_each(output::line)?;
        }
        Ok(())
    }
}

impl<T> Column<T> {
    /// Returns a column that every list has.
    pub const fn shown(name: &'static str, cell: fn(&T) -> Cell) -> Column<T> {
        Column { name, is_default: true, cell }
    }

    /// Returns a column that only `--columns` shows.
    pub const fn extra(name: &'static str, cell: fn(&T) -> Cell) -> Column<T> {
        Column { name, is_default: false, cell }
    }
}

impl Cell {
    /// Returns a word, or nothing if it is empty.
    pub fn word(text: &str) -> Cell {
        if text.is_empty() { Cell::Nothing } else { Cell::Word(text.to_owned()) }
    }

    /// Returns a text, or nothing if it is empty.
    pub fn text(text: &str) -> Cell {
        if text.is_empty() { Cell::Nothing } else { Cell::Text(text.to_owned()) }
    }

    /// Returns a time, if there is one.
    pub fn time(at: Option<OffsetDateTime>) -> Cell {
        at.map_or(Cell::Nothing, Cell::Time)
    }

    fn whole(&self) -> String {
        match self {
            Cell::Text(text) | Cell::Word(text) => text.clone(),
            Cell::Time(at) => at.format(&Rfc3339).unwrap_or_default(),
            Cell::Nothing => String::new(),
        }
    }

    /// Returns the value for a terminal. A time is of UTC, of this year to the minute, of another year to the day.
    fn short(&self) -> String {
        match self {
            Cell::Time(at) => {
                let (at, now) = (at.to_offset(UtcOffset::UTC), OffsetDateTime::now_utc());
                let text = match at.year() == now.year() {
                    true => at.format(format_description!("[month]-[day] [hour]:[minute]")),
                    false => at.format(format_description!("[year]-[month]-[day]")),
                };
                text.unwrap_or_default()
            }
            Cell::Text(_) | Cell::Word(_) | Cell::Nothing => self.whole(),
        }
    }
}

impl ListOptions {
    /// Returns the part of the list that is asked for.
    pub fn page(&self) -> Page {
        Page { limit: if self.limit == 0 { MOST } else { self.limit }, skip: self.skip }
    }

    /// Returns true if the list is printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json || self.output == Format::Json
    }

    /// Prints entries, of which there are `total` in all. A list that is not whole says so on standard error.
    pub fn print<T: Serialize>(&self, listing: &Listing<T>, entries: &[T], total: u64) -> Result<()> {
        let chosen = self.chosen(listing.columns)?;
        match self.output {
            _ if self.is_json() => entries.iter().try_for_each(output::json_line)?,
            Format::Csv => print_csv(&chosen, entries)?,
            Format::Table | Format::Json => listing.print_table(&chosen, entries)?,
        }
        self.report_rest(entries.len() as u64, total, listing.noun);
        Ok(())
    }

    /// Prints the part that is asked for of all entries.
    pub fn print_part<T: Serialize>(&self, listing: &Listing<T>, mut all: Vec<T>) -> Result<()> {
        let total = all.len() as u64;
        let Page { limit, skip } = self.page();
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        all.drain(..at(skip).min(all.len()));
        all.truncate(at(limit));
        self.print(listing, &all, total)
    }

    /// Prints entries that are read page by page, until a page is empty. JSON needs no more than a page in memory.
    pub async fn print_pages<T: Serialize>(
        &self,
        listing: &Listing<T>,
        total: u64,
        mut next: impl AsyncFnMut() -> app::Result<Vec<T>>,
    ) -> Result<()> {
        let (mut entries, mut printed) = (Vec::new(), 0);
        loop {
            let page = next().await?;
            match (page.is_empty(), self.is_json()) {
                (true, true) => {
                    self.report_rest(printed, total, listing.noun);
                    return Ok(());
                }
                (true, false) => return self.print(listing, &entries, total),
                (false, true) => {
                    page.iter().try_for_each(output::json_line)?;
                    printed += page.len() as u64;
                }
                (false, false) => entries.extend(page),
            }
        }
    }

    /// Says on standard error that a list is not whole.
    pub fn report_rest(&self, shown: u64, total: u64, noun: &str) {
        if shown >= total {
            return;
        }
        let rest = self.skip.saturating_add(shown);
        let next = if rest < total { format!("; the next: --skip {rest}; all: --limit 0") } else { String::new() };
        output::note(format!("{} of {} shown{next}", grouped(shown), counted(total, noun)));
    }

    fn chosen<'c, T>(&self, columns: &'c [Column<T>]) -> Result<Vec<&'c Column<T>>> {
        if self.columns.is_empty() {
            return Ok(columns.iter().filter(|column| column.is_default).collect());
        }
        let names = || columns.iter().map(|column| column.name);
        let column = |name: &String| match columns.iter().find(|column| column.name == name) {
            Some(column) => Ok(column),
            None => {
                let hint = most_similar(name, names()).map(|likely| format!("did you mean {likely}? "));
                let known = names().collect::<Vec<_>>().join(", ");
                bail!("--columns: there is no column {name:?}: {}columns are {known}", hint.unwrap_or_default())
            }
        };
        self.columns.iter().map(column).collect()
    }
}

fn print_csv<T>(columns: &[&Column<T>], entries: &[T]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.name))?;
    for entry in entries {
        writer.write_record(columns.iter().map(|column| (column.cell)(entry).whole()))?;
    }
    output::lines(String::from_utf8(writer.into_inner()?)?.trim_end())
}

fn table_lines<T>(columns: &[&Column<T>], entries: &[T]) -> Vec<String> {
    let cells: Vec<Vec<Cell>> =
        entries.iter().map(|entry| columns.iter().map(|column| (column.cell)(entry)).collect()).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let Some(width) = output::width() else {
        let rows: Vec<Vec<String>> = cells.iter().map(|row| row.iter().map(Cell::whole).collect()).collect();
        return output::table_lines(&names, &rows, &[], usize::MAX);
    };
    let is_empty = |place: usize| !cells.is_empty() && cells.iter().all(|row| matches!(row[place], Cell::Nothing));
    let places: Vec<usize> = (0..columns.len()).filter(|place| !is_empty(*place)).collect();
    let rows: Vec<Vec<String>> =
        cells.iter().map(|row| places.iter().map(|place| row[*place].short()).collect()).collect();
    let may_cut = |place: &usize| cells.iter().any(|row| matches!(row[*place], Cell::Text(_)));
    let may_cut: Vec<bool> = places.iter().map(may_cut).collect();
    let names: Vec<&str> = places.iter().map(|place| names[*place]).collect();
    output::table_lines(&names, &rows, &may_cut, width)
}
