//! Confirmation: a command that changes people, records or messages asks at the terminal. Without a terminal it needs
//! `--yes`.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use clap::Args;

use super::output;
use crate::contract::printable;

/// Printed if a command needs a confirmation and nobody can be asked.
pub const REQUIRED: &str =
    "nothing was done: without a terminal, confirm with --yes, or see what would be done with --dry-run";

/// The arguments of every command that changes people, records or messages.
#[derive(Debug, Clone, Copy, Args)]
pub struct Confirmation {
    /// Show what would be done, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do it without asking. Required where no terminal can be asked.
    #[arg(short, long)]
    yes: bool,
}

impl Confirmation {
    /// Returns true if the command is confirmed, changes nothing, or can ask a person.
    pub fn is_possible(self) -> bool {
        self.dry_run || self.yes || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
    }

    /// Returns true if the command is confirmed, by `--yes` or by an answer. No question means that nothing would change.
    pub async fn is_given(self, question: impl AsyncFnOnce() -> Result<Option<String>>) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        let Some(question) = question().await? else { return Ok(true) };
        let is_given = ask(&question)?;
        if !is_given {
            output::note("nothing was done");
        }
        Ok(is_given)
    }
}

/// Asks the person at the terminal. The end of the input means no.
fn ask(question: &str) -> Result<bool> {
    let mut errors = std::io::stderr();
    write!(errors, "{} [y/N] ", printable(question))?;
    errors.flush()?;
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer)? == 0 {
        writeln!(errors)?;
    }
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_a_clear_yes_confirms() {
        assert!(["y\n", "Y", " yes\r\n", "YES"].into_iter().all(is_yes));
        assert!(["", "\n", "n", "yeah", "yes!", "1", "y n"].into_iter().all(|answer| !is_yes(answer)));
    }
}
