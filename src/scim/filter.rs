//! Filters of RFC 7644, section 3.4.2.2, parsed whole.

use std::fmt::{self, Display};

use super::failure::{Failure, Result, ScimType};
use super::tokens::{Token, tokens};
use crate::contract::named_enum;

/// The maximum length of a filter, in bytes.
const LONGEST: usize = 4_096;

/// The maximum depth of parentheses and brackets.
const DEEPEST: usize = 32;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every part holds.
    All(Vec<Filter>),
    /// Some part holds.
    Any(Vec<Filter>),
    /// The part does not hold.
    Not(Box<Filter>),
    /// An attribute compares with a value.
    Compare(FilterPath, Comparison),
    /// An attribute has a value.
    Present(FilterPath),
    /// Some entry of a list passes a filter.
    Entry(FilterPath),
}

/// The attribute that a filter names.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterPath {
    /// The name, with or without its schema.
    pub name: String,
    /// The filter in brackets: the entries of a list that count.
    pub entries: Option<Box<Filter>>,
    /// The name behind the brackets.
    pub part: Option<String>,
}

/// An operator and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The operator.
    pub operator: Operator,
    /// The value.
    pub value: Literal,
}

named_enum! {
    /// An operator that compares.
    pub enum Operator: "operator" {
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
        /// Contains.
        Co = "co",
        /// Starts with.
        Sw = "sw",
        /// Ends with.
        Ew = "ew",
        /// Greater.
        Gt = "gt",
        /// Greater or equal.
        Ge = "ge",
        /// Less.
        Lt = "lt",
        /// Less or equal.
        Le = "le",
    }
}

/// A value that a filter compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A truth value.
    Boolean(bool),
    /// A number, as it is written.
    Number(String),
    /// `null`
    Null,
}

/// Parses a filter.
pub fn parse_filter(text: &str) -> Result<Filter> {
    let invalid = |what: String| Failure::bad(ScimType::InvalidFilter, format!("the filter cannot be read: {what}"));
    if text.len() > LONGEST {
        return Err(invalid(format!("it is longer than {LONGEST} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text).map_err(invalid)?, place: 0, depth: 0 };
    let filter = parser.any().map_err(invalid)?;
    match parser.next() {
        None => Ok(filter),
        Some(token) => Err(invalid(format!("{token} is not expected here"))),
    }
}

/// Parses the path of an operation: an attribute, which may have a filter in brackets and a name behind them.
pub fn parse_path(text: &str) -> std::result::Result<FilterPath, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let mut parser = Parser { tokens: tokens(text.trim())?, place: 0, depth: 0 };
    let path = parser.path()?;
    match parser.next() {
        None => Ok(path),
        Some(token) => Err(format!("{token} is not expected here")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    place: usize,
    depth: usize,
}

type Parsed<T> = std::result::Result<T, String>;

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.place).cloned();
        self.place += 1;
        token
    }

    /// Takes a keyword, in any case.
    fn takes(&mut self, keyword: &str) -> bool {
        let is_next =
            matches!(self.tokens.get(self.place), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.place += usize::from(is_next);
        is_next
    }

    fn takes_token(&mut self, token: &Token) -> bool {
        let is_next = self.tokens.get(self.place) == Some(token);
        self.place += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.all()?];
        while self.takes("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    fn all(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.one()?];
        while self.takes("and") {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Filter::All))
    }

    fn one(&mut self) -> Parsed<Filter> {
        let is_not = matches!(self.tokens.get(self.place + 1), Some(Token::Open)) && self.takes("not");
        if self.takes_token(&Token::Open) {
            let filter = self.nested(&Token::Close)?;
            return Ok(if is_not { Filter::Not(Box::new(filter)) } else { filter });
        }
        let path = self.path()?;
        if self.takes("pr") {
            return Ok(Filter::Present(path));
        }
        let operator = match self.tokens.get(self.place) {
            Some(Token::Word(word)) => word.to_ascii_lowercase().parse::<Operator>().ok(),
            Some(_) | None => None,
        };
        match operator {
            Some(operator) => {
                self.place += 1;
                let value = self.value()?;
                Ok(Filter::Compare(path, Comparison { operator, value }))
            }
            None if path.entries.is_some() && path.part.is_none() => Ok(Filter::Entry(path)),
            None => Err(format!("an operator must follow `{}`", path.name)),
        }
    }

    /// Reads what is in parentheses or brackets, up to the closing one.
    fn nested(&mut self, close: &Token) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST} levels"));
        }
        let filter = self.any()?;
        self.depth -= 1;
        match self.takes_token(close) {
            true => Ok(filter),
            false => Err(format!("{close} is missing")),
        }
    }

    fn path(&mut self) -> Parsed<FilterPath> {
        let name = match self.next() {
            Some(Token::Word(name)) => name,
            Some(token) => return Err(format!("an attribute is missing before {token}")),
            None => return Err("an attribute is missing at the end".to_owned()),
        };
        let entries = match self.takes_token(&Token::OpenList) {
            true => Some(Box::new(self.nested(&Token::CloseList)?)),
            false => None,
        };
        let part = match self.tokens.get(self.place) {
            Some(Token::Rest(part)) => Some(part.clone()),
            Some(_) | None => None,
        };
        self.place += usize::from(part.is_some());
        Ok(FilterPath { name, entries, part })
    }

    fn value(&mut self) -> Parsed<Literal> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            Some(Token::Number(number)) => Ok(Literal::Number(number)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Ok(Literal::Boolean(true)),
                "false" => Ok(Literal::Boolean(false)),
                "null" => Ok(Literal::Null),
                _ => Err(format!("`{word}` is no value: write a text in double quotes")),
            },
            Some(token) => Err(format!("{token} is no value")),
            None => Err("a value is missing at the end".to_owned()),
        }
    }
}

fn one_or(mut parts: Vec<Filter>, all: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.remove(0),
        _ => all(parts),
    }
}

impl Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Text(text) => write!(f, "{text:?}"),
            Token::Number(number) => f.write_str(number),
            Token::Open => f.write_str("`(`"),
            Token::Close => f.write_str("`)`"),
            Token::OpenList => f.write_str("`[`"),
            Token::CloseList => f.write_str("`]`"),
            Token::Rest(part) => write!(f, "`.{part}`"),
        }
    }
}

/// Writes a filter that parses to itself.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::All(parts) => joined(f, parts, " and "),
            Filter::Any(parts) => joined(f, parts, " or "),
            Filter::Not(part) => write!(f, "not ({part})"),
            Filter::Compare(path, Comparison { operator, value }) => write!(f, "{path} {operator} {value}"),
            Filter::Present(path) => write!(f, "{path} pr"),
            Filter::Entry(path) => path.fmt(f),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(word)?;
        }
        match part {
            Filter::All(_) | Filter::Any(_) => write!(f, "({part})")?,
            Filter::Not(_) | Filter::Compare(..) | Filter::Present(_) | Filter::Entry(_) => part.fmt(f)?,
        }
    }
    Ok(())
}

impl fmt::Display for FilterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(entries) = &self.entries {
            write!(f, "[{entries}]")?;
        }
        self.part.as_ref().map_or(Ok(()), |part| write!(f, ".{part}"))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => serde_json::Value::from(text.as_str()).fmt(f),
            Literal::Boolean(value) => value.fmt(f),
            Literal::Number(number) => f.write_str(number),
            Literal::Null => f.write_str("null"),
        }
    }
}
