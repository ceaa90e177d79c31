//! Workbooks from data.

use std::io::Cursor;

use rust_xlsxwriter::{Chart, ChartType, Color, ExcelDateTime, Format, Formula, Workbook, Worksheet, XlsxError};
use serde::Deserialize;
use toml::Value;
use toml::value::Datetime;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A sheet. Rows and columns are numbered from 1, and begin at `left` and `top`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetOfCase {
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: SheetState,
    #[serde(default)]
    rows: Vec<Vec<Value>>,
    #[serde(default)]
    top: u32,
    #[serde(default)]
    left: u16,
    #[serde(default)]
    hidden_rows: Vec<u32>,
    #[serde(default)]
    hidden_columns: Vec<u16>,
    /// First row and column, and last row and column. The first cell keeps its text.
    #[serde(default)]
    merged: Vec<[u32; 4]>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SheetState {
    #[default]
    Visible,
    Hidden,
    VeryHidden,
    Chart,
}

/// Builds a workbook of these sheets.
pub fn build(sheets: &[SheetOfCase]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    // The first sheet is active, and an active sheet cannot be hidden.
    let shown = sheets.iter().position(|sheet| matches!(sheet.state, SheetState::Visible)).expect("a visible sheet");
    for (place, sheet) in sheets.iter().enumerate() {
        let to =
            if matches!(sheet.state, SheetState::Chart) { workbook.add_chartsheet() } else { workbook.add_worksheet() };
        to.set_active(place == shown);
        write(sheet, to).expect("a sheet");
    }
    workbook.save_to_buffer().expect("a workbook")
}

/// Builds a ZIP archive of empty parts.
pub fn archive(parts: &[String]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for part in parts {
        archive.start_file(part, SimpleFileOptions::default()).expect("a part");
    }
    archive.finish().expect("an archive").into_inner()
}

fn write(sheet: &SheetOfCase, to: &mut Worksheet) -> Result<(), XlsxError> {
    if !sheet.name.is_empty() {
        to.set_name(&sheet.name)?;
    }
    // As written by a program that never evaluated the formulas.
    to.set_formula_result_default("");
    match sheet.state {
        SheetState::Visible => {}
        SheetState::Chart => {
            let mut chart = Chart::new(ChartType::Column);
            chart.add_series().set_values("List!$A$1:$A$2");
            to.insert_chart(0, 0, &chart)?;
        }
        SheetState::Hidden => drop(to.set_hidden(true)),
        SheetState::VeryHidden => drop(to.set_very_hidden(true)),
    }
    for (row, cells) in (sheet.top..).zip(&sheet.rows) {
        for (column, cell) in (sheet.left..).zip(cells) {
            write_cell(to, row, column, cell)?;
        }
    }
    for row in &sheet.hidden_rows {
        to.set_row_hidden(row - 1)?;
    }
    for column in &sheet.hidden_columns {
        to.set_column_hidden(column - 1)?;
    }
    let format = Format::new().set_background_color(Color::Yellow);
    for [top, left, bottom, right] in &sheet.merged {
        let (row, column) = (top - 1, *left as u16 - 1);
        to.merge_range(row, column, bottom - 1, *right as u16 - 1, "", &format)?;
        let first = &sheet.rows[(row - sheet.top) as usize][(column - sheet.left) as usize];
        write_cell(to, row, column, first)?;
    }
    Ok(())
}

fn moment(at: &Datetime) -> Result<ExcelDateTime, XlsxError> {
    ExcelDateTime::parse_from_str(&at.to_string().replace('T', " "))
}

/// Writes a cell: a text, number, answer, day, time or both, or a table with a formula, or with a number or day and its format.
fn write_cell(to: &mut Worksheet, row: u32, column: u16, cell: &Value) -> Result<(), XlsxError> {
    let format = |format: &str| Format::new().set_num_format(format);
    match cell {
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => drop(to.write(row, column, text)?),
        Value::Integer(number) => drop(to.write(row, column, *number as f64)?),
        Value::Float(number) => drop(to.write(row, column, *number)?),
        Value::Boolean(is_so) => drop(to.write(row, column, *is_so)?),
        Value::Datetime(at) => {
            let day = at.date.map_or("", |_| "yyyy-mm-dd");
            let time = at.time.map_or("", |_| "hh:mm");
            to.write_with_format(row, column, moment(at)?, &format(format!("{day} {time}").trim()))?;
        }
        Value::Table(table) if table.contains_key("formula") => {
            let formula = Formula::new(table["formula"].as_str().expect("a formula"));
            let result = table.get("result").and_then(Value::as_str);
            to.write(row, column, result.map_or(formula.clone(), |result| formula.set_result(result)))?;
        }
        Value::Table(table) => {
            let format = format(table["format"].as_str().expect("a format"));
            match (table.get("day").and_then(Value::as_datetime), table.get("number").and_then(Value::as_float)) {
                (Some(day), _) => to.write_with_format(row, column, moment(day)?, &format)?,
                (None, number) => to.write_with_format(row, column, number.expect("a number"), &format)?,
            };
        }
        Value::Array(_) => panic!("a cell is no list"),
    }
    Ok(())
}
