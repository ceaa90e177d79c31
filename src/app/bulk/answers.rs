//! The words that a cell of `deactivated` may hold. This is the only list of them; `docs/guides/bulk-files.md` repeats it.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The answer of a row to the question whether its user leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The user leaves.
    Yes,
    /// The user stays.
    No,
}

/// Words for yes: English, German, French, Spanish, Italian, Portuguese, Dutch, the Nordic languages, Polish, Czech, Hungarian,
/// Romanian, Turkish, Greek, Russian, Ukrainian, Japanese and Chinese, and each one's word for true in spreadsheets.
#[rustfmt::skip]
const YES: &[&str] = &[
    "y", "yes", "true", "1", "1.0", "1,0", "x", "✓", "✔", "✅", "☑", "j", "s",
    "ja", "wahr", "oui", "vrai", "sí", "verdadero", "sì", "vero", "sim", "verdadeiro", "waar",
    "sant", "sand", "sann", "kyllä", "tosi", "tak", "prawda", "ano", "pravda", "igen", "igaz", "da", "adevărat",
    "evet", "doğru", "ναι", "αληθές", "да", "истина", "так", "はい", "是",
];

/// Words for no, and the cells that say nothing.
#[rustfmt::skip]
const NO: &[&str] = &[
    "", "-", "–", "—", "n", "no", "false", "0", "0.0", "0,0",
    "nein", "falsch", "non", "faux", "falso", "não", "nee", "onwaar",
    "nej", "nei", "falskt", "falsk", "usann", "ei", "epätosi", "nie", "fałsz", "ne", "nepravda", "nem", "hamis", "nu", "fals",
    "hayır", "yanlış", "όχι", "ψευδές", "нет", "ложь", "ні", "いいえ", "否",
];

static WORDS: LazyLock<HashMap<String, Answer>> = LazyLock::new(|| {
    let answers = |words: &[&str], answer| words.iter().map(|word| (folded(word), answer)).collect::<Vec<_>>();
    answers(YES, Answer::Yes).into_iter().chain(answers(NO, Answer::No)).collect()
});

/// Reads an answer, whatever its case, its accents and the white space around it. Other text is no answer.
pub fn read(text: &str) -> Option<Answer> {
    match text.is_empty() {
        true => Some(Answer::No),
        false => WORDS.get(&folded(text)).copied(),
    }
}

fn folded(text: &str) -> String {
    let is_zero_width = |c: char| matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    let letters = text.nfkd().filter(|c| !is_combining_mark(*c) && !is_zero_width(*c)).flat_map(char::to_lowercase);
    letters.map(plain).collect::<String>().trim().to_owned()
}

/// Returns the plain form of letters that have no decomposition: `HAYIR` and `hayır` are one word.
fn plain(letter: char) -> char {
    match letter {
        'ı' => 'i',
        'ł' => 'l',
        'ς' => 'σ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_means_both() {
        let folded = |words: &[&str]| words.iter().map(|word| super::folded(word)).collect::<Vec<_>>();
        let (yes, no) = (folded(YES), folded(NO));
        for word in &yes {
            assert!(!no.contains(word), "{word} is in both lists");
        }
        assert_eq!(WORDS.len(), yes.len() + no.len() - 1, "only `sí` and `sì` are one word");
    }

    #[test]
    fn case_accents_and_spaces_do_not_matter() {
        let cases = [
            ("WAHR", Some(Answer::Yes)),
            ("\u{a0}Ja\u{2003}", Some(Answer::Yes)),
            ("SI", Some(Answer::Yes)),
            ("si\u{301}", Some(Answer::Yes)),
            ("✔\u{fe0f}", Some(Answer::Yes)),
            ("\u{ff59}\u{ff45}\u{ff53}", Some(Answer::Yes)),
            ("\u{feff}x", Some(Answer::Yes)),
            ("NAO", Some(Answer::No)),
            ("HAYIR", Some(Answer::No)),
            ("ΑΛΗΘΈΣ", Some(Answer::Yes)),
            ("FALSZ", Some(Answer::No)),
            ("\u{a0}", Some(Answer::No)),
            ("−1", None),
            ("maybe", None),
            ("yes!", None),
            ("o", None),
            ("2", None),
        ];
        for (text, answer) in cases {
            assert_eq!(read(text), answer, "{text:?}");
        }
    }

    #[test]
    fn documentation_lists_every_word() {
        let page = include_str!("../../../docs/guides/bulk-files.md");
        for word in YES.iter().chain(NO).filter(|word| !word.is_empty()) {
            assert!(page.contains(&format!("`{word}`")), "docs/guides/bulk-files.md does not list `{word}`");
        }
    }
}
