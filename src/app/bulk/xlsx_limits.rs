//! Checks the unpacked size of a workbook before it is opened: a small file may unpack to more than the memory holds.
//!
//! The workbook reader holds everything except the sheets' rows, allocates as many texts as the file declares, and reads each
//! tag and each text in one piece. So this module unpacks each part through a buffer and measures it.

use std::io::Read;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::content::Content;

/// The length of a tag or a text, at most. The longest text of a spreadsheet has 32,767 characters.
const MAX_PIECE: usize = MIB as usize;

/// The memory that the reader takes for a text that is declared, in bytes.
const BYTES_OF_A_TEXT: u64 = 16;

const MIB: u64 = 1024 * 1024;

/// Refuses a workbook that would take more memory than a spreadsheet needs.
pub fn check_size(content: &Content) -> Result<()> {
    let unreadable = || format!("{content} cannot be read as a spreadsheet");
    let mut archive = ZipArchive::new(content.stream()?).with_context(unreadable)?;
    let most = content.unpacked;
    let (mut held, mut sheets) = (0, 0);
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).with_context(unreadable)?;
        let name = part.name().with_context(unreadable)?.to_lowercase();
        let is_sheet = name.contains("worksheets/");
        let left = if is_sheet { most.sheet.min(most.sheets - sheets) } else { most.held - held };
        let size = measure(&mut part, left, most.held / BYTES_OF_A_TEXT).with_context(unreadable)?;
        *(if is_sheet { &mut sheets } else { &mut held }) += size;
    }
    Ok(())
}

/// Returns the size of a part, in bytes. `texts`: the most distinct texts that it may declare.
fn measure(part: &mut impl Read, most: u64, texts: u64) -> Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut size, mut piece) = (0, Vec::new());
    loop {
        let read = part.read(&mut buffer)?;
        if read == 0 {
            return Ok(size);
        }
        size += read as u64;
        if size > most {
            bail!("a part is larger than {} MiB when unpacked", most / MIB);
        }
        for ended in buffer[..read].split_inclusive(|byte| matches!(byte, b'<' | b'>')) {
            piece.extend_from_slice(ended);
            if piece.len() > MAX_PIECE {
                bail!("a tag or a text is longer than {} MiB", MAX_PIECE as u64 / MIB);
            }
            if ended.ends_with(b"<") || ended.ends_with(b">") {
                if declared_texts(&piece).is_some_and(|declared| declared > texts) {
                    bail!("it declares more texts than the memory limit allows");
                }
                piece.clear();
            }
        }
    }
}

/// Returns the number of distinct texts that the table of texts declares.
fn declared_texts(tag: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(tag).ok()?;
    let (_, after) = text.split_once("uniqueCount")?;
    let digits: String = after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    // A number that overflows is certainly too large.
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{declared_texts, measure};

    #[test]
    fn parts_are_measured_across_buffers() {
        let rows = "<row><c>text</c></row>".repeat(10_000);
        assert_eq!(measure(&mut rows.as_bytes(), 1_000_000, 1).ok(), Some(rows.len() as u64));
        assert!(measure(&mut rows.as_bytes(), 1_000, 1).is_err());
        assert!(measure(&mut "x".repeat(2_000_000).as_bytes(), 10_000_000, 1).is_err());
    }

    #[test]
    fn declared_text_count_is_read() {
        assert_eq!(declared_texts(b"sst count=\"9\" uniqueCount = '12'>"), Some(12));
        assert_eq!(declared_texts(b"sst uniqueCount=\"99999999999999999999999\">"), Some(u64::MAX));
        assert_eq!(declared_texts(b"sst count=\"9\">"), None);
    }
}
