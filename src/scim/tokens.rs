//! The tokens of a filter, and of a path.

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name, a keyword or an operator.
    Word(String),
    /// A text.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenList,
    /// `]`
    CloseList,
    /// A dotted name that follows `]`, without the dot.
    Rest(String),
}

/// Splits a text into tokens, or says what is wrong.
pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenList, 1),
            ']' => (Token::CloseList, 1),
            '"' => quoted(rest)?,
            '.' if tokens.last() == Some(&Token::CloseList) => {
                let name = word(&rest[1..]);
                match name.is_empty() {
                    true => return Err("a name must follow the dot".to_owned()),
                    false => (Token::Rest(name.to_owned()), name.len() + 1),
                }
            }
            '0'..='9' | '-' => number(rest)?,
            'a'..='z' | 'A'..='Z' | '$' => {
                let name = word(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            other => return Err(format!("{other:?} is not expected here; write a text in double quotes")),
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

/// Returns the characters of a name at the start of a text. The names of schemas have colons and dots.
fn word(text: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '$');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    &text[..end]
}

/// Reads a text by the rules of JSON (RFC 7644, section 3.4.2.2), and returns its length as it is written.
fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let written = &text[..=place];
                let value = serde_json::from_str(written);
                let value = value.map_err(|_| format!("{written} is not a text of JSON"))?;
                return Ok((Token::Text(value), place + 1));
            }
            _ => {}
        }
    }
    Err("a text has no closing quote".to_owned())
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let written = &text[..end];
    match serde_json::from_str::<serde_json::Number>(written) {
        Ok(_) => Ok((Token::Number(written.to_owned()), end)),
        Err(_) => Err(format!("{written} is not a number of JSON")),
    }
}
