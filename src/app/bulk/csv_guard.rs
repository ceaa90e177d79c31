//! Guards the reading of a CSV file. An unclosed quotation mark would turn all following rows into one cell, and a file
//! without line ends into one row. Numbers the rows as a spreadsheet does, which counts blank rows.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Error, Read, Result};
use std::rc::Rc;

/// The longest row, in bytes: far more than a row of names and ids needs.
const LONGEST_ROW: u64 = 1 << 20;

/// The position of the last byte within a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before a cell's first byte.
    Start,
    /// In a cell without quotation marks, or after a closing mark.
    Bare,
    /// Between quotation marks.
    Quoted,
    /// After a quotation mark in a quoted cell: the mark closes the cell or is doubled.
    Mark,
}

/// The numbers of rows that are read but not yet taken, except blank rows.
pub type RowNumbers = Rc<RefCell<VecDeque<u64>>>;

/// A reader that fails if a quoted cell does not end, and reports the line of its start.
#[derive(Debug)]
pub struct GuardedReader<R> {
    content: R,
    separator: u8,
    position: Position,
    line: u64,
    last: u8,
    /// The line of this cell's opening quotation mark.
    opened: u64,
    /// The first line of this row, and its length.
    began: u64,
    length: u64,
    row: u64,
    is_blank: bool,
    numbers: RowNumbers,
}

impl<R: Read> GuardedReader<R> {
    /// Guards a file's content, from its beginning.
    pub fn new(content: R, separator: u8) -> GuardedReader<R> {
        GuardedReader {
            content,
            separator,
            position: Position::Start,
            line: 1,
            last: 0,
            opened: 1,
            began: 1,
            length: 0,
            row: 1,
            is_blank: true,
            numbers: RowNumbers::default(),
        }
    }

    /// Returns the numbers of rows. The reader adds each row when it reads its first byte.
    pub fn numbers(&self) -> RowNumbers {
        Rc::clone(&self.numbers)
    }

    fn check(&mut self, byte: u8) -> Result<()> {
        const MARK_OF_UTF_8: [u8; 3] = [0xef, 0xbb, 0xbf];
        let is_end = matches!(byte, b'\n' | b'\r');
        let is_second_of_end = byte == b'\n' && self.last == b'\r';
        self.line += u64::from(is_end && !is_second_of_end);
        self.last = byte;
        self.length += 1;
        let is_of_mark = self.line == 1 && MARK_OF_UTF_8.get(self.length as usize - 1) == Some(&byte);
        self.position = match self.position {
            Position::Start if byte == b'"' => {
                self.opened = self.line;
                Position::Quoted
            }
            Position::Start if is_of_mark => Position::Start,
            Position::Quoted if byte == b'"' => Position::Mark,
            Position::Quoted => Position::Quoted,
            Position::Mark if byte == b'"' => Position::Quoted,
            Position::Start | Position::Bare | Position::Mark if byte == self.separator || is_end => Position::Start,
            Position::Start | Position::Bare | Position::Mark => Position::Bare,
        };
        if is_end && self.position == Position::Start {
            (self.began, self.length) = (self.line, 0);
            self.row += u64::from(!is_second_of_end);
            self.is_blank = true;
        } else if self.is_blank && !is_of_mark {
            self.is_blank = false;
            self.numbers.borrow_mut().push_back(self.row);
        }
        match self.length > LONGEST_ROW {
            true => Err(self.too_long()),
            false => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        match self.position {
            Position::Quoted => self.unclosed(),
            Position::Start | Position::Bare | Position::Mark => {
                Error::other(format!("line {}: the row is longer than {LONGEST_ROW} bytes", self.began))
            }
        }
    }

    fn unclosed(&self) -> Error {
        Error::other(format!(
            "line {}: the quotation mark that opens a cell is not closed; close it, or double it if it is part of the \
             text",
            self.opened
        ))
    }
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && self.position == Position::Quoted {
            return Err(self.unclosed());
        }
        buffer[..read].iter().try_for_each(|byte| self.check(*byte))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> std::result::Result<usize, String> {
        let mut all = Vec::new();
        GuardedReader::new(content.as_bytes(), b',').read_to_end(&mut all).map_err(|error| error.to_string())
    }

    #[test]
    fn unclosed_quotation_mark_is_reported_with_its_line() {
        for end in ["\n", "\r\n", "\r"] {
            let content = ["a,b", "1,\"two", "lines\"", "2,\"\"\"x\"", "3,\"never", "4,5", ""].join(end);
            assert!(read(&content).expect_err("not closed").starts_with("line 5: "), "{content:?}");
        }
        assert!(read("\u{feff}\"a,b\n1,2\n").expect_err("not closed").starts_with("line 1: "));
    }

    #[test]
    fn valid_quotation_marks_are_accepted() {
        for content in
            ["a,b\n1,\"x\"\n", "a\n\"1\"\"2\"", "a\n5\" disk,\"\"\n", "\u{feff}\"a\"\n", "a\n\"x\" y\"\n", ""]
        {
            assert_eq!(read(content), Ok(content.len()), "{content:?}");
        }
    }

    #[test]
    fn rows_are_numbered_as_spreadsheets_do() {
        for end in ["\n", "\r\n", "\r"] {
            let content = ["\u{feff}a", "", "\"1", "", "2\"", "\"\"", "", "", "3", ""].join(end);
            let mut reader = GuardedReader::new(content.as_bytes(), b',');
            reader.read_to_end(&mut Vec::new()).expect("read");
            assert_eq!(*reader.numbers().borrow(), [1, 3, 4, 7], "{content:?}");
        }
    }

    #[test]
    fn endless_row_is_refused_early() {
        let long = "x,".repeat(LONGEST_ROW as usize);
        assert!(read(&format!("a\nb\n{long}")).expect_err("too long").starts_with("line 3: the row is longer"));
        assert!(read(&format!("a\n\"{long}")).expect_err("too long").starts_with("line 2: the quotation mark"));
    }
}
