//! The progress of a bulk run, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how many rows are done, on standard error. Nothing is shown if that is no terminal.
pub fn bar(rows: usize, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} rows, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(rows as u64).with_style(style).with_message(doing);
    bar.tick();
    bar
}
