//! What is packed in a workbook, judged before it is opened: a small file may unpack to more than there is memory for.
//!
//! The reader of workbooks holds everything but the sheets' rows, makes room for as many texts as the file says there are,
//! and reads each tag and each text in one piece. So each is measured here, unpacked through a buffer and thrown away.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

/// How large all parts may be that are held, unpacked: the texts of a million rows take a quarter of it.
const MOST_HELD: u64 = 256 * MIB;

/// How large each sheet may be, unpacked: its rows are read one by one.
const MOST_OF_A_SHEET: u64 = 2048 * MIB;

/// How long a tag or a text may be: the longest text of a spreadsheet has 32,767 characters.
const MOST_IN_ONE_PIECE: usize = MIB as usize;

const MIB: u64 = 1024 * 1024;

/// Refuses a workbook that would take more memory than a spreadsheet does.
pub fn judge(file: &Path) -> Result<()> {
    let unreadable = || format!("{} cannot be read as a spreadsheet", file.display());
    let opened = File::open(file).with_context(unreadable)?;
    let mut archive = ZipArchive::new(BufReader::new(opened)).with_context(unreadable)?;
    let mut held = 0;
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).with_context(unreadable)?;
        let name = part.name().with_context(unreadable)?.to_lowercase();
        let is_sheet = name.contains("worksheets/");
        let most = if is_sheet { MOST_OF_A_SHEET } else { MOST_HELD - held };
        let size = measure(&mut part, most).with_context(unreadable)?;
        held += if is_sheet { 0 } else { size };
    }
    Ok(())
}

/// How many bytes a part has.
fn measure(part: &mut impl Read, most: u64) -> Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut size, mut piece) = (0, Vec::new());
    loop {
        let read = part.read(&mut buffer)?;
        if read == 0 {
            return Ok(size);
        }
        size += read as u64;
        if size > most {
            bail!("unpacked, a part of it is larger than {} MiB", most / MIB);
        }
        for ended in buffer[..read].split_inclusive(|byte| matches!(byte, b'<' | b'>')) {
            piece.extend_from_slice(ended);
            if piece.len() > MOST_IN_ONE_PIECE {
                bail!("a tag or a text of it is longer than {} MiB", MOST_IN_ONE_PIECE as u64 / MIB);
            }
            if ended.ends_with(b"<") || ended.ends_with(b">") {
                if texts_said(&piece).is_some_and(|texts| texts > MOST_HELD / 16) {
                    bail!("it says that it holds more texts than there is room for");
                }
                piece.clear();
            }
        }
    }
}

/// How many different texts the head of the table of texts says that there are.
fn texts_said(tag: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(tag).ok()?;
    let (_, after) = text.split_once("uniqueCount")?;
    let digits: String = after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    // More digits than a number has are more texts than anything has.
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{measure, texts_said};

    #[test]
    fn a_part_is_measured_whatever_its_tags_are_cut_by() {
        let rows = "<row><c>text</c></row>".repeat(10_000);
        assert_eq!(measure(&mut rows.as_bytes(), 1_000_000).ok(), Some(rows.len() as u64));
        assert!(measure(&mut rows.as_bytes(), 1_000).is_err());
        assert!(measure(&mut "x".repeat(2_000_000).as_bytes(), 10_000_000).is_err());
    }

    #[test]
    fn the_head_of_the_texts_says_how_many_there_are() {
        assert_eq!(texts_said(b"sst count=\"9\" uniqueCount = '12'>"), Some(12));
        assert_eq!(texts_said(b"sst uniqueCount=\"99999999999999999999999\">"), Some(u64::MAX));
        assert_eq!(texts_said(b"sst count=\"9\">"), None);
    }
}
