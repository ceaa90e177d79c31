//! Reads a text file as a stream of rows.

use std::io::{BufRead, Read, Seek, SeekFrom};

use anyhow::{Context, Result, anyhow, bail};

use super::cells::{Row, Rows};
use super::content::Content;
use super::csv_guard::GuardedReader;

/// The separators that are recognized. Spreadsheets of many countries write semicolons.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A text file, after a first line that only declares the separator.
#[derive(Debug)]
pub struct TextFile {
    content: Content,
    begin: u64,
    /// The possible separators, beginning with the one that the first row has most of.
    pub separators: Vec<u8>,
}

impl TextFile {
    /// Opens a file. Its first line may declare the separator, as spreadsheets write it: `sep=;`.
    pub fn open(content: &Content) -> Result<TextFile> {
        let line = first_line(content)?;
        let Some(declared) = declared_separator(&line) else {
            return Ok(TextFile { content: content.clone(), begin: 0, separators: by_frequency(&line) });
        };
        let separators = match declared {
            [separator] if SEPARATORS.contains(separator) => vec![*separator],
            _ => bail!(
                "{content}, line 1: `sep=` declares a separator that is not read; use a comma, semicolon, tab or |"
            ),
        };
        Ok(TextFile { content: content.clone(), begin: line.len() as u64, separators })
    }

    /// Reads all rows except blank ones.
    pub fn rows(&self, separator: u8) -> Result<Rows> {
        let mut stream = self.content.stream()?;
        stream.seek(SeekFrom::Start(self.begin)).with_context(|| format!("{} cannot be read", self.content))?;
        let guarded = GuardedReader::new(stream, separator);
        let numbers = guarded.numbers();
        let mut reader = csv::ReaderBuilder::new();
        reader.delimiter(separator).flexible(true).has_headers(false);
        let records = reader.from_reader(guarded).into_records();
        let content = self.content.clone();
        Ok(Box::new(records.map(move |record| {
            let number = numbers.borrow_mut().pop_front().unwrap_or(1);
            let record = record.map_err(|error| failed(&content, number, error))?;
            Ok(Row { number, cells: record.iter().map(|cell| Ok(cell.trim().to_owned())).collect(), fault: None })
        })))
    }
}

/// Reads the first line, up to the longest head. Refuses UTF-16 without a byte order mark.
fn first_line(content: &Content) -> Result<Vec<u8>> {
    const LONGEST_HEAD: u64 = 1 << 16;
    let mut line = Vec::new();
    let read = content.stream()?.take(LONGEST_HEAD).read_until(b'\n', &mut line);
    read.with_context(|| format!("{content} cannot be read"))?;
    match line.contains(&0) {
        true => bail!("{content}, line 1: this is UTF-16, not UTF-8; save the file as \"CSV UTF-8\""),
        false => Ok(line),
    }
}

/// Returns the separator that a line such as `sep=;` declares.
fn declared_separator(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    // A tab may be the separator.
    let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))? + 1;
    let line = &line[..end];
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, separator) = line.split_at_checked(4)?;
    name.eq_ignore_ascii_case(b"sep=").then_some(separator)
}

/// Returns the separators, beginning with the most frequent one of a line, outside quotation marks.
fn by_frequency(line: &[u8]) -> Vec<u8> {
    let mut is_quoted = false;
    let mut counts = SEPARATORS.map(|separator| (separator, 0_usize));
    for byte in line {
        is_quoted ^= *byte == b'"';
        let count = counts.iter_mut().find(|(separator, _)| separator == byte && !is_quoted);
        count.into_iter().for_each(|(_, count)| *count += 1);
    }
    // The first one wins a tie: a head of one column has no separator.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.map(|(separator, _)| separator).to_vec()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a library's enum that may grow")]
fn failed(content: &Content, row: u64, error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Utf8 { .. } => anyhow!(
            "{content}, line {row}: this is not UTF-8 but Latin-1 or Windows-1252, it seems; save the file as \
             \"CSV UTF-8\""
        ),
        // The message names the line.
        csv::ErrorKind::Io(error) => anyhow!("{content}, {error}"),
        kind => anyhow!("{content} cannot be read: {kind:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{by_frequency, declared_separator};

    #[test]
    fn first_line_may_declare_the_separator() {
        for line in ["sep=;", "SEP=;\r\n", "\"sep=;\"\n", "\u{feff}sep=;\r"] {
            assert_eq!(declared_separator(line.as_bytes()), Some(&b";"[..]), "{line:?}");
        }
        assert_eq!(declared_separator(b"sep=\t\n"), Some(&b"\t"[..]));
        assert_eq!(declared_separator(b"sep=\n"), Some(&b""[..]));
        assert_eq!(declared_separator(b"separator;user_id\n"), None);
    }

    #[test]
    fn most_frequent_separator_comes_first() {
        assert_eq!(by_frequency(b"a;b;c,d"), *b";,\t|");
        assert_eq!(by_frequency(b"\"a;b;c\",d"), *b",;\t|");
        assert_eq!(by_frequency(b"email"), *b",;\t|");
    }
}
