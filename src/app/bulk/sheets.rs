//! Chooses the sheet of a workbook. Hidden sheets are never read.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use calamine::{Reader, Sheet, SheetType, SheetVisible};

use super::content::Content;
use super::head;
use super::xlsx_file;

/// The sheet that is read.
#[derive(Debug)]
pub struct ChosenSheet {
    /// Its name.
    pub name: String,
    /// The other sheets, which are not read.
    pub others: Vec<String>,
}

/// Chooses the wanted sheet, or the only visible sheet with a table.
pub fn choose(content: &Content, wanted: Option<&str>) -> Result<ChosenSheet> {
    let sheets = xlsx_file::open(content)?.sheets_metadata().to_vec();
    let mut names = BTreeSet::new();
    if let Some(twice) = sheets.iter().find(|sheet| !names.insert(sheet.name.to_lowercase())) {
        bail!("{content}: two sheets have the name {:?}", twice.name);
    }
    let name = match wanted {
        Some(wanted) => find(&sheets, wanted).map_err(|what| anyhow!("{content}: {what}"))?,
        None => only_table(content, &sheets)?,
    };
    let others = sheets.into_iter().map(|sheet| sheet.name).filter(|other| *other != name).collect();
    Ok(ChosenSheet { name, others })
}

/// Finds a sheet by name: as written, otherwise in any case.
fn find(sheets: &[Sheet], wanted: &str) -> Result<String, String> {
    let folded = wanted.to_lowercase();
    let exact = sheets.iter().find(|sheet| sheet.name == wanted);
    let found = exact.or_else(|| sheets.iter().find(|sheet| sheet.name.to_lowercase() == folded));
    let Some(sheet) = found else {
        let visible: Vec<&str> = visible(sheets).collect();
        return Err(format!("there is no sheet {wanted:?}; visible sheets: {}", quoted(&visible)));
    };
    match (sheet.visible, sheet.typ) {
        (SheetVisible::Hidden | SheetVisible::VeryHidden, _) => {
            Err(format!("the sheet {:?} is hidden and is not read; show it in the spreadsheet program", sheet.name))
        }
        (SheetVisible::Visible, SheetType::WorkSheet) => Ok(sheet.name.clone()),
        (
            SheetVisible::Visible,
            SheetType::ChartSheet | SheetType::DialogSheet | SheetType::MacroSheet | SheetType::Vba,
        ) => Err(format!("the sheet {:?} has no cells", sheet.name)),
    }
}

/// Returns the only visible sheet with a known column, or the only one that is not empty.
fn only_table(content: &Content, sheets: &[Sheet]) -> Result<String> {
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    for name in visible(sheets) {
        match head::find(xlsx_file::rows(content, name))? {
            Some(head) if head.known > 0 => tables.push(name),
            Some(_) => others.push(name),
            None => {}
        }
    }
    match (&tables[..], &others[..]) {
        ([only], _) | ([], [only]) => Ok((*only).to_owned()),
        ([], []) => bail!("{content} is empty: no visible sheet has cells"),
        ([], _) => bail!(
            "{content}: no sheet has a row with the columns `user_id` or `email`, and `deactivated`; visible sheets: {}",
            quoted(&others)
        ),
        (_, _) => {
            bail!("{content}: several sheets have a table: {}; choose one with --sheet NAME", quoted(&tables))
        }
    }
}

fn visible(sheets: &[Sheet]) -> impl Iterator<Item = &str> {
    let is_visible = |sheet: &&Sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet;
    sheets.iter().filter(is_visible).map(|sheet| sheet.name.as_str())
}

/// Lists names in quotation marks.
pub fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("{:?}", name.as_ref())).collect::<Vec<_>>().join(", ")
}
