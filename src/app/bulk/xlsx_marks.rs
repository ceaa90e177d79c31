//! Reads which rows and columns of a sheet are hidden, and which cells are merged. The workbook reader only reads cells.

use std::collections::HashMap;
use std::io::BufReader;

use anyhow::{Context, Result, anyhow, bail};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::content::{Content, Stream};

/// Merged areas of a sheet, at most.
const MAX_MERGED: usize = 100_000;

type Archive = ZipArchive<BufReader<Box<dyn Stream>>>;

/// The hidden rows and columns of a sheet, and its merged cells. Rows and columns are numbered from 1.
#[derive(Debug, Default)]
pub struct Marks {
    hidden_rows: Ranges,
    hidden_columns: Ranges,
    merged_rows: Ranges,
    merged: Vec<Area>,
}

/// Numbers as ranges that include both ends.
#[derive(Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

/// An area of merged cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    rows: (u64, u64),
    columns: (u64, u64),
}

impl Marks {
    /// Reads the marks of a sheet.
    pub fn read(content: &Content, sheet: &str) -> Result<Marks> {
        let unreadable = || format!("{content} cannot be read as a spreadsheet");
        let mut archive = ZipArchive::new(content.stream()?).with_context(unreadable)?;
        let part = part_of(&mut archive, sheet).with_context(unreadable)?;
        let mut marks = Marks::default();
        let mut row = 0;
        for_each_tag(&mut archive, &part, |tag| marks.add(tag, &mut row)).with_context(unreadable)?;
        marks.hidden_rows.sort();
        marks.hidden_columns.sort();
        marks.merged_rows = Ranges(marks.merged.iter().map(|area| area.rows).collect());
        marks.merged_rows.sort();
        Ok(marks)
    }

    /// Returns true if the spreadsheet does not show a row.
    pub fn hides_row(&self, row: u64) -> bool {
        self.hidden_rows.contain(row)
    }

    /// Returns true if the spreadsheet does not show a column.
    pub fn hides_column(&self, column: usize) -> bool {
        self.hidden_columns.contain(column as u64 + 1)
    }

    /// Returns true if a cell is merged into another one, which holds the value.
    pub fn is_merged(&self, row: u64, column: usize) -> bool {
        let column = column as u64 + 1;
        let is_first = |area: &Area| (area.rows.0, area.columns.0) == (row, column);
        let holds = |area: &Area| is_within(row, area.rows) && is_within(column, area.columns);
        self.merged_rows.contain(row) && self.merged.iter().any(|area| holds(area) && !is_first(area))
    }

    fn add(&mut self, tag: &BytesStart<'_>, row: &mut u64) -> Result<()> {
        let is_hidden =
            || Ok::<_, anyhow::Error>(attribute(tag, "hidden")?.is_some_and(|so| so == "1" || so == "true"));
        match tag.local_name().as_ref() {
            "row" => {
                *row = attribute(tag, "r")?.map_or(Ok(*row + 1), |number| number.parse())?;
                if is_hidden()? {
                    self.hidden_rows.add((*row, *row));
                }
            }
            "col" if is_hidden()? => {
                let number = |name| anyhow::Ok(attribute(tag, name)?.unwrap_or_default().parse()?);
                self.hidden_columns.add((number("min")?, number("max")?));
            }
            "mergeCell" => {
                let area = attribute(tag, "ref")?.unwrap_or_default();
                self.merged.push(Area::parse(&area).ok_or_else(|| anyhow!("{area:?} is no area of cells"))?);
                if self.merged.len() > MAX_MERGED {
                    bail!("it has more than {MAX_MERGED} merged areas");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Ranges {
    /// Adds a range, or extends the last one.
    fn add(&mut self, (from, to): (u64, u64)) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == from => *last = to.max(*last),
            _ => self.0.push((from, to)),
        }
    }

    /// Sorts and joins the ranges, so that they can be searched.
    fn sort(&mut self) {
        let mut ranges = std::mem::take(&mut self.0);
        ranges.sort_unstable();
        for (from, to) in ranges {
            match self.0.last_mut() {
                Some((_, last)) if from <= *last => *last = to.max(*last),
                _ => self.0.push((from, to)),
            }
        }
    }

    fn contain(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= number);
        after > 0 && is_within(number, self.0[after - 1])
    }
}

impl Area {
    /// Reads an area as spreadsheets write it: `B2:D4`.
    fn parse(text: &str) -> Option<Area> {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let ((left, top), (right, bottom)) = (cell(from)?, cell(to)?);
        Some(Area { rows: (top, bottom), columns: (left, right) })
    }
}

/// Reads the column and row of a cell: `B7`.
fn cell(text: &str) -> Option<(u64, u64)> {
    let digits = text.find(|c: char| c.is_ascii_digit()).filter(|place| *place > 0)?;
    let letter = |c: char| c.is_ascii_alphabetic().then(|| u64::from(c.to_ascii_uppercase()) - u64::from('A') + 1);
    let column = text[..digits].chars().try_fold(0_u64, |column, c| column.checked_mul(26)?.checked_add(letter(c)?))?;
    Some((column, text[digits..].parse().ok()?))
}

fn is_within(number: u64, (from, to): (u64, u64)) -> bool {
    (from..=to).contains(&number)
}

/// Returns the name of a sheet's part of the archive. The workbook lists the sheets with ids, and a part of its own the files
/// of these ids.
fn part_of(archive: &mut Archive, sheet: &str) -> Result<String> {
    let workbook =
        relationships(archive, "_rels/.rels")?.into_values().find(|(kind, _)| kind.ends_with("/officeDocument"));
    let (_, workbook) = workbook.context("it has no workbook")?;
    let workbook = workbook.trim_start_matches('/');
    let (folder, file) = workbook.rsplit_once('/').map_or(("", workbook), |(folder, file)| (folder, file));
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut id = None;
    for_each_tag(archive, workbook, |tag| {
        if tag.local_name().as_ref() == "sheet" && attribute(tag, "name")?.as_deref() == Some(sheet) {
            id = id.take().or(attribute(tag, "id")?);
        }
        Ok(())
    })?;
    let files = relationships(archive, &format!("{folder}_rels/{file}.rels"))?;
    let (_, part) = id.and_then(|id| files.get(&id)).context("the sheet has no part")?;
    Ok(part.strip_prefix('/').map_or(format!("{folder}{part}"), str::to_owned))
}

/// Reads the types and targets of relationships by id.
fn relationships(archive: &mut Archive, part: &str) -> Result<HashMap<String, (String, String)>> {
    let mut found = HashMap::new();
    for_each_tag(archive, part, |tag| {
        if let (Some(id), Some(kind), Some(target)) =
            (attribute(tag, "Id")?, attribute(tag, "Type")?, attribute(tag, "Target")?)
        {
            found.insert(id, (kind, target));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls a function with each opening tag of a part.
#[expect(clippy::wildcard_enum_match_arm, reason = "a library's enum of everything that XML has")]
fn for_each_tag(archive: &mut Archive, part: &str, mut each: impl FnMut(&BytesStart<'_>) -> Result<()>) -> Result<()> {
    let mut reader = Reader::from_reader(BufReader::new(open(archive, part)?));
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) | Event::Empty(tag) => each(&tag)?,
            Event::Eof => return Ok(()),
            _ => {}
        }
        buffer.clear();
    }
}

/// Opens a part. Some programs write names in another case, or with backslashes.
fn open<'a>(archive: &'a mut Archive, part: &str) -> Result<ZipFile<'a, BufReader<Box<dyn Stream>>>> {
    let spelled = |name: &str| name.replace('\\', "/").eq_ignore_ascii_case(part);
    let place = archive.file_names().position(|name| name.is_ok_and(|name| spelled(&name)));
    Ok(archive.by_index(place.with_context(|| format!("it has no part {part}"))?)?)
}

/// Returns an attribute by its name without the namespace.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute?;
        if attribute.key.local_name().as_ref() == name {
            return Ok(Some(unescape(&attribute.value)?.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_searched() {
        let mut ranges = Ranges::default();
        [(7, 7), (8, 8), (2, 3), (3, 5), (20, 10)].into_iter().for_each(|range| ranges.add(range));
        ranges.sort();
        let held: Vec<u64> = (0..30).filter(|number| ranges.contain(*number)).collect();
        assert_eq!(held, [2, 3, 4, 5, 7, 8]);
    }

    #[test]
    fn cells_but_the_first_are_merged_into_it() {
        let merged: Vec<Area> = ["B2:D3", "A9:A9"].iter().filter_map(|text| Area::parse(text)).collect();
        let mut merged_rows = Ranges(merged.iter().map(|area| area.rows).collect());
        merged_rows.sort();
        let marks = Marks { merged, merged_rows, ..Marks::default() };
        let cells = (1..10).flat_map(|row| (0..5).map(move |column| (row, column)));
        let found: Vec<(u64, usize)> = cells.filter(|(row, column)| marks.is_merged(*row, *column)).collect();
        assert_eq!(found, [(2, 2), (2, 3), (3, 1), (3, 2), (3, 3)]);
        assert!(
            ["", "A", "1:2", "A1:", "\u{e9}1", "A99999999999999999999"].iter().all(|text| Area::parse(text).is_none())
        );
    }
}
