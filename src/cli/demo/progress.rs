//! Shows the progress of the demo's job: a bar per reference on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use uuid::Uuid;

use crate::app::jobs::progress;
use crate::app::preview::Preview;
use crate::cli::output;
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};

/// The polling interval.
const POLL: Duration = Duration::from_millis(100);

/// Follows a job until it ends or needs attention.
pub async fn follow(store: &Store, id: Uuid, previewed: &Preview, quiet: bool) -> Result<Job> {
    let mut display: Box<dyn Display> = match () {
        () if quiet => Box::new(Silent),
        () if std::io::stdout().is_terminal() => Box::new(Bars::new(previewed)),
        () => Box::new(Lines::default()),
    };
    loop {
        let session = store.reader();
        let job = jobs::get(&session, id).await?;
        let has_stopped = match &job {
            Some(job) => job.state.is_final() || job.state == State::NeedsAttention,
            None => false,
        };
        for (kind, chunks) in progress(store, id).await? {
            display.update(&kind, chunks.done, chunks.records)?;
        }
        if let Some(job) = job.filter(|_| has_stopped) {
            if job.state.is_final() {
                display.finish()?;
            }
            return Ok(job);
        }
        tokio::time::sleep(POLL).await;
    }
}

trait Display: Send {
    fn update(&mut self, kind: &str, done: u64, records: u64) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
}

struct Silent;

impl Display for Silent {
    fn update(&mut self, _: &str, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Bars {
    bars: HashMap<String, ProgressBar>,
}

impl Bars {
    fn new(previewed: &Preview) -> Bars {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:24} {bar:40} {human_pos}/{human_len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let affected =
            previewed.references.iter().filter(|reference| reference.disposition != "keep" && reference.found > 0);
        let bars = affected.map(|reference| {
            let bar = all.add(ProgressBar::new(reference.found)).with_style(style.clone());
            bar.set_prefix(reference.kind.clone());
            bar.tick();
            (reference.kind.clone(), bar)
        });
        Bars { bars: bars.collect() }
    }
}

impl Display for Bars {
    fn update(&mut self, kind: &str, done: u64, _: u64) -> Result<()> {
        if let Some(bar) = self.bars.get(kind) {
            bar.set_position(done);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        // A job that is done at once reports no chunks, so its bars are filled here.
        self.bars.values().for_each(|bar| bar.finish());
        Ok(())
    }
}

/// Prints a line per tenth of the work.
#[derive(Default)]
struct Lines {
    tenths: HashMap<String, u64>,
}

impl Display for Lines {
    fn update(&mut self, kind: &str, done: u64, records: u64) -> Result<()> {
        let tenth = (done * 10).checked_div(records).unwrap_or(0);
        if self.tenths.get(kind).is_none_or(|printed| *printed < tenth) {
            self.tenths.insert(kind.to_owned(), tenth);
            output::line(format!("  {kind}: {done} of {records}"))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        output::line("  done")
    }
}
