//! Explains why a body is not JSON.

use std::str::Utf8Error;

use crate::contract::{DeadLetterCode, Fault};

/// The deepest nesting that is read, in levels. A request has at most six.
const DEEPEST: usize = 128;

/// Explains a body that is not UTF-8.
pub fn not_utf8(body: &[u8], error: Utf8Error) -> Fault {
    let hint = "encode the message as UTF-8";
    let detail = match body {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the body is UTF-16, not UTF-8".to_owned(),
        [0x1f, 0x8b, ..] => return of_body("the body is compressed", "send the JSON itself, without compression"),
        _ if body.contains(&0) => "the body contains zero bytes, as UTF-16 does".to_owned(),
        _ => {
            let at = error.valid_up_to();
            let byte = body.get(at).copied().unwrap_or_default();
            format!("the body is not UTF-8: byte {} is 0x{byte:02x}", at + 1)
        }
    };
    of_body(&detail, hint)
}

/// Explains a text that is not JSON. `path`: where the parser stopped.
pub fn not_json(text: &str, path: &str, error: &serde_json::Error) -> Fault {
    let start = text.trim_start();
    if start.is_empty() {
        return of_body("the body is empty", "send the request as a JSON object");
    }
    if text.starts_with('\u{feff}') {
        let detail = "the body begins with a byte order mark";
        return of_body(detail, "save it as UTF-8 without a byte order mark (BOM)");
    }
    if text.contains('\0') {
        return of_body("the body contains zero bytes, as UTF-16 does", "encode the message as UTF-8");
    }
    if !start.starts_with(['{', '[', '"']) && error.line() == 1 && error.column() <= 5 {
        let shown: String = start.chars().take(20).collect();
        return of_body(
            &format!("the body is not JSON: it begins with `{shown}`"),
            "send the request as a JSON object",
        );
    }
    let place = format!("at line {}, column {}", error.line(), error.column());
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let (code, detail, hint) = explain(words, path, error.is_eof());
    // A fault within one value has a path. The parser writes `?` where it knows none.
    let is_of_value = matches!(code, DeadLetterCode::InvalidField | DeadLetterCode::InvalidAmount) && path != "?";
    Fault::new(code, if is_of_value { path } else { "." }, format!("{detail} {place}"), hint)
}

/// Returns code, detail and hint for the parser's words about the value at `path`.
fn explain(words: &str, path: &str, is_cut_off: bool) -> (DeadLetterCode, String, &'static str) {
    use DeadLetterCode::{InvalidAmount, InvalidField, NotJson, TooLarge};
    let known = |code, detail: &str, hint| (code, detail.to_owned(), hint);
    if is_cut_off {
        return known(NotJson, "the JSON ends too early,", "send the whole object, up to its last `}`");
    }
    if words.contains("surrogate") || words.contains("hex escape") {
        let detail = "the text has half of a `\\u` surrogate pair";
        return known(InvalidField, detail, "write both halves, or the character itself");
    }
    match words {
        "trailing characters" => known(NotJson, "text follows the JSON object,", "send one object in each message"),
        "trailing comma" => known(NotJson, "nothing follows a comma,", "remove the comma"),
        "key must be a string" => {
            known(NotJson, "the name of a field is not in double quotes,", "write it like \"user_id\"")
        }
        "expected `:`" => known(NotJson, "a `:` is missing after the name of a field,", "write \"user_id\": \"53\""),
        "expected `,` or `}`" | "expected `,` or `]`" => {
            known(NotJson, "a comma or a closing bracket is missing,", "separate fields and items with commas")
        }
        "expected value" | "expected ident" => known(
            NotJson,
            "there is no JSON value",
            "write text in double quotes; of bare words, JSON has only true, false and null",
        ),
        "invalid number" => {
            known(NotJson, "the number is not written as JSON wants it,", "write digits only, such as 5")
        }
        "number out of range" => {
            let code = if path.ends_with("amount") { InvalidAmount } else { InvalidField };
            known(code, "the number is out of range", "write a whole number, such as 5")
        }
        "invalid escape" => known(NotJson, "a text has an escape that JSON lacks,", "write a backslash as \\\\"),
        "recursion limit exceeded" => (
            TooLarge,
            format!("the message is nested deeper than {DEEPEST} levels"),
            "compare it with `handover schema request`",
        ),
        _ if words.starts_with("control character") => {
            known(NotJson, "a text has a control character,", "write a line break as \\n, or remove the character")
        }
        other => (NotJson, format!("the body is not JSON: {other}"), "check it with a JSON validator"),
    }
}

fn of_body(detail: &str, hint: &str) -> Fault {
    Fault::new(DeadLetterCode::NotJson, ".", detail, hint)
}
