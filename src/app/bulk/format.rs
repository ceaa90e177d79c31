//! Recognizes a file's format by its content: its name may be wrong.

use std::io::Read;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::content::Content;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text with separators.
    Text,
    /// An XLSX or XLSM workbook.
    Workbook,
}

/// The first bytes of a ZIP archive. The type of its first record follows, a control character.
const ZIP: &[u8] = b"PK";

/// The first bytes of the format of older office programs, and of encrypted documents.
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0";

/// Recognizes the format. Refuses formats that are not read, with the way to convert them.
pub fn recognize(content: &Content) -> Result<Format> {
    let mut start = Vec::new();
    content.stream()?.take(512).read_to_end(&mut start).with_context(|| format!("{content} cannot be read"))?;
    if start.starts_with(ZIP) && start.get(ZIP.len()).is_some_and(u8::is_ascii_control) {
        return workbook(content);
    }
    if start.starts_with(COMPOUND_FILE) {
        bail!(
            "{content} is an old Excel workbook (.xls), or a workbook with a password; save it as .xlsx without a \
             password"
        );
    }
    if start.trim_ascii_start().starts_with(b"<") {
        bail!("{content} is a page in HTML or XML; open it in a spreadsheet program and save it as .xlsx");
    }
    Ok(Format::Text)
}

fn workbook(content: &Content) -> Result<Format> {
    let archive = ZipArchive::new(content.stream()?);
    let archive = archive.with_context(|| format!("{content} cannot be read as a spreadsheet"))?;
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.replace('\\', "/").to_lowercase()));
    let names: Vec<String> = names.collect();
    let has = |part: &str| names.iter().any(|name| name.contains(part));
    if has("workbook.bin") {
        bail!("{content} is a binary workbook (.xlsb); save it as .xlsx");
    }
    if has("worksheets/") {
        return Ok(Format::Workbook);
    }
    if has("content.xml") {
        bail!("{content} is an OpenDocument file (.ods); save it as .xlsx or as CSV");
    }
    bail!("{content} is a ZIP archive without a spreadsheet; save the spreadsheet as .xlsx or as CSV")
}
