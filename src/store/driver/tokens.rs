//! The tokens of SQL that a database reports: a CREATE statement, a CHECK constraint.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A keyword, a name without quotes, or a number.
    Word(String),
    /// A name in quotes, without them.
    Name(String),
    /// A text, without its quotes.
    Text(String),
    /// Any other character.
    Symbol(char),
}

impl Token {
    /// True if the token is this keyword. Keywords are ASCII.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Returns the name that the token may be.
    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Word(name) | Token::Name(name) => Some(name),
            Token::Text(_) | Token::Symbol(_) => None,
        }
    }
}

/// Reads the tokens of a text, without white space and comments.
pub fn tokens(text: &str) -> Vec<Token> {
    spanned_tokens(text).into_iter().map(|(token, _)| token).collect()
}

/// Reads the tokens of a text, each with its place in it.
pub fn spanned_tokens(text: &str) -> Vec<(Token, Range<usize>)> {
    let mut rest = text.char_indices().peekable();
    let mut tokens = Vec::new();
    while let Some((at, c)) = rest.next() {
        let after = text.get(at + c.len_utf8()..).unwrap_or_default();
        let token = match c {
            '\'' => Some(Token::Text(quoted(&mut rest, '\''))),
            '"' | '`' => Some(Token::Name(quoted(&mut rest, c))),
            '[' if is_bracketed(after) => Some(Token::Name(until(&mut rest, ']'))),
            '-' if after.starts_with('-') => {
                until(&mut rest, '\n');
                None
            }
            '/' if after.starts_with('*') => {
                skip_comment(&mut rest);
                None
            }
            c if c.is_whitespace() => None,
            c if is_part_of_word(c) => Some(Token::Word(word(&mut rest, c))),
            c => Some(Token::Symbol(c)),
        };
        let end = rest.peek().map_or(text.len(), |(end, _)| *end);
        tokens.extend(token.map(|token| (token, at..end)));
    }
    tokens
}

type Rest<'t> = Peekable<CharIndices<'t>>;

/// Characters beyond ASCII may occur in names.
fn is_part_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// True if a bracket encloses a name, as in `[Order Details]`. PostgreSQL's arrays hold texts and numbers.
fn is_bracketed(after: &str) -> bool {
    let Some((name, _)) = after.split_once(']') else { return false };
    !name.is_empty() && !name.contains(['\'', ',', ':']) && !name.chars().all(|c| c.is_ascii_digit())
}

/// Reads up to the closing quote. A doubled quote stands for one.
fn quoted(rest: &mut Rest<'_>, quote: char) -> String {
    let mut text = String::new();
    while let Some((_, c)) = rest.next() {
        match c == quote {
            true if rest.next_if(|(_, next)| *next == quote).is_none() => break,
            true | false => text.push(c),
        }
    }
    text
}

fn until(rest: &mut Rest<'_>, end: char) -> String {
    rest.map(|(_, c)| c).take_while(|c| *c != end).collect()
}

fn skip_comment(rest: &mut Rest<'_>) {
    rest.next();
    while let Some((_, c)) = rest.next() {
        if c == '*' && rest.next_if(|(_, next)| *next == '/').is_some() {
            break;
        }
    }
}

fn word(rest: &mut Rest<'_>, first: char) -> String {
    let mut word = String::from(first);
    while let Some((_, c)) = rest.next_if(|(_, c)| is_part_of_word(*c)) {
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_are_read() {
        let word = |text: &str| Token::Word(text.into());
        let read = tokens("a /* 'no' */ = 'won''t' -- ,\n AND \"x \"\"y\" ΐ1[Order Details]");
        let expected = [
            word("a"),
            Token::Symbol('='),
            Token::Text("won't".into()),
            word("AND"),
            Token::Name("x \"y".into()),
            word("ΐ1"),
            Token::Name("Order Details".into()),
        ];
        assert_eq!(read, expected);
        assert_eq!(tokens("'open").len(), 1, "a text without an end is no panic");
    }
}
