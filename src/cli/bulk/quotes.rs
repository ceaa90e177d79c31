//! Watches over what is read of a CSV file: a quotation mark that is opened and not closed would make one cell of all the
//! rows behind it, and a file without ends of lines one row of everything.

use std::io::{Error, Read, Result};

/// The longest row, in bytes: far more than any that names people.
const LONGEST_ROW: u64 = 1 << 20;

/// Where in a row the last byte stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a cell's first byte.
    Start,
    /// In a cell without quotation marks, or behind one's closing mark.
    Bare,
    /// Between quotation marks.
    Quoted,
    /// Behind a quotation mark in a quoted cell: it is closed, or the mark is doubled.
    Mark,
}

/// A reader that fails where a quoted cell does not end, with the line where it began.
#[derive(Debug)]
pub struct Watched<R> {
    content: R,
    separator: u8,
    place: Place,
    line: u64,
    last: u8,
    /// The line where the quotation mark of this cell stands.
    opened: u64,
    /// The line where this row began, and how long it is.
    began: u64,
    length: u64,
}

impl<R: Read> Watched<R> {
    /// Watches over a file's content, from its beginning.
    pub fn new(content: R, separator: u8) -> Watched<R> {
        Watched { content, separator, place: Place::Start, line: 1, last: 0, opened: 1, began: 1, length: 0 }
    }

    fn see(&mut self, byte: u8) -> Result<()> {
        const MARK_OF_UTF_8: [u8; 3] = [0xef, 0xbb, 0xbf];
        let is_end = matches!(byte, b'\n' | b'\r');
        if byte == b'\r' || byte == b'\n' && self.last != b'\r' {
            self.line += 1;
        }
        self.last = byte;
        self.length += 1;
        let is_of_mark = self.line == 1 && MARK_OF_UTF_8.get(self.length as usize - 1) == Some(&byte);
        self.place = match self.place {
            Place::Start if byte == b'"' => {
                self.opened = self.line;
                Place::Quoted
            }
            Place::Start if is_of_mark => Place::Start,
            Place::Quoted if byte == b'"' => Place::Mark,
            Place::Quoted => Place::Quoted,
            Place::Mark if byte == b'"' => Place::Quoted,
            _ if byte == self.separator || is_end => Place::Start,
            _ => Place::Bare,
        };
        if is_end && self.place == Place::Start {
            (self.began, self.length) = (self.line, 0);
        }
        match self.length > LONGEST_ROW {
            true => Err(self.too_long()),
            false => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        match self.place {
            Place::Quoted => self.unclosed(),
            _ => Error::other(format!("line {}: the row is longer than {LONGEST_ROW} bytes", self.began)),
        }
    }

    fn unclosed(&self) -> Error {
        Error::other(format!(
            "line {}: the quotation mark that opens a cell there is not closed; close it, or double it where it is meant \
             as text",
            self.opened
        ))
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && self.place == Place::Quoted {
            return Err(self.unclosed());
        }
        buffer[..read].iter().try_for_each(|byte| self.see(*byte))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> std::result::Result<usize, String> {
        let mut all = Vec::new();
        Watched::new(content.as_bytes(), b',').read_to_end(&mut all).map_err(|error| error.to_string())
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_is_told_with_its_line_however_lines_end() {
        for end in ["\n", "\r\n", "\r"] {
            let content = ["a,b", "1,\"two", "lines\"", "2,\"\"\"x\"", "3,\"never", "4,5", ""].join(end);
            assert!(read(&content).expect_err("not closed").starts_with("line 5: "), "{content:?}");
        }
        assert!(read("\u{feff}\"a,b\n1,2\n").expect_err("not closed").starts_with("line 1: "));
    }

    #[test]
    fn marks_that_are_closed_doubled_or_within_a_bare_cell_are_left_alone() {
        for content in
            ["a,b\n1,\"x\"\n", "a\n\"1\"\"2\"", "a\n5\" disk,\"\"\n", "\u{feff}\"a\"\n", "a\n\"x\" y\"\n", ""]
        {
            assert_eq!(read(content), Ok(content.len()), "{content:?}");
        }
    }

    #[test]
    fn a_row_without_an_end_is_refused_before_it_is_held() {
        let long = "x,".repeat(LONGEST_ROW as usize);
        assert!(read(&format!("a\nb\n{long}")).expect_err("too long").starts_with("line 3: the row is longer"));
        assert!(read(&format!("a\n\"{long}")).expect_err("too long").starts_with("line 2: the quotation mark"));
    }
}
