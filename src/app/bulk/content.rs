//! The bytes of a bulk file. They can be read more than once.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

/// The longest content that is held in memory, in bytes. Regular files in UTF-8 and workbooks are not held.
const LONGEST_HELD: u64 = 64 * 1024 * 1024;

/// The content of a file, of standard input, or of an upload.
#[derive(Debug, Clone)]
pub struct Content {
    /// The limits for the unpacked content of a workbook.
    pub unpacked: Unpacked,
    name: String,
    bytes: Bytes,
}

/// The most bytes that a workbook may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// All parts that are held. The texts of a million rows take 64 MiB.
    pub held: u64,
    /// Each sheet. Its rows are read one by one.
    pub sheet: u64,
    /// All sheets together.
    pub sheets: u64,
}

const MIB: u64 = 1024 * 1024;

/// For files of this machine, which a person names.
const OF_FILES: Unpacked = Unpacked { held: 256 * MIB, sheet: 2048 * MIB, sheets: u64::MAX };

/// For uploads, of which several may be read at a time.
const OF_UPLOADS: Unpacked = Unpacked { held: 32 * MIB, sheet: 64 * MIB, sheets: 64 * MIB };

#[derive(Debug, Clone)]
enum Bytes {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// A stream of bytes that can be read from any position.
pub trait Stream: Read + Seek + Send {}

impl<S: Read + Seek + Send> Stream for S {}

impl Content {
    /// Opens a file; `-` is standard input. Content that can be read only once is held in memory. UTF-16 becomes UTF-8.
    pub fn open(file: &Path) -> Result<Content> {
        let is_input = file == Path::new("-");
        let name = if is_input { "standard input".to_owned() } else { file.display().to_string() };
        let unreadable = || format!("{name} cannot be read");
        let bytes = if is_input {
            Bytes::Memory(held(stdin(), &name)?)
        } else if std::fs::metadata(file).with_context(unreadable)?.is_file() {
            Bytes::File(file.to_owned())
        } else {
            Bytes::Memory(held(File::open(file).with_context(unreadable)?, &name)?)
        };
        Content { unpacked: OF_FILES, name, bytes }.decoded()
    }

    /// Takes the content of an upload. UTF-16 becomes UTF-8.
    pub fn uploaded(name: String, bytes: Vec<u8>) -> Result<Content> {
        Content { unpacked: OF_UPLOADS, name, bytes: Bytes::Memory(bytes.into()) }.decoded()
    }

    /// Decodes UTF-16, if the content begins with its mark.
    fn decoded(self) -> Result<Content> {
        let mut mark = [0; 2];
        let is_short = self.stream()?.read_exact(&mut mark).is_err();
        let unit = match mark {
            [0xff, 0xfe] if !is_short => u16::from_le_bytes,
            [0xfe, 0xff] if !is_short => u16::from_be_bytes,
            _ => return Ok(self),
        };
        let text = from_utf_16(&held(self.stream()?, &self.name)?, unit);
        let text = text.ok_or_else(|| anyhow!("{}: the text is not valid UTF-16", self.name))?;
        Ok(Content { bytes: Bytes::Memory(text.into_bytes().into()), ..self })
    }

    /// Reads the content from its beginning.
    pub fn stream(&self) -> Result<BufReader<Box<dyn Stream>>> {
        let stream: Box<dyn Stream> = match &self.bytes {
            Bytes::File(file) => Box::new(File::open(file).with_context(|| format!("{self} cannot be read"))?),
            Bytes::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        Ok(BufReader::new(stream))
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn held(stream: impl Read, name: &str) -> Result<Arc<[u8]>> {
    let mut bytes = Vec::new();
    stream.take(LONGEST_HELD + 1).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > LONGEST_HELD {
        bail!("{name} is longer than {LONGEST_HELD} bytes; save it as a file in UTF-8");
    }
    Ok(bytes.into())
}

/// Decodes UTF-16, except its byte order mark.
fn from_utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks();
    let text = char::decode_utf16(units.iter().skip(1).map(|pair| unit(*pair)));
    if rest.is_empty() { text.collect::<Result<_, _>>().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::from_utf_16;

    #[test]
    fn utf_16_is_decoded_whole_or_not() {
        let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let text = "\u{feff}Müller \u{1f600}";
        assert_eq!(from_utf_16(&bytes(text), u16::from_le_bytes).as_deref(), Some("Müller \u{1f600}"));
        let cut = bytes(text);
        assert_eq!(from_utf_16(&cut[..cut.len() - 1], u16::from_le_bytes), None, "half a unit");
        assert_eq!(from_utf_16(&cut[..cut.len() - 2], u16::from_le_bytes), None, "half a character");
    }
}
