//! The outcome of an undo's step: things that came back, and things that were left alone.

use std::collections::BTreeMap;

use crate::contract::SkipReason;

/// The outcome for things that were to come back. Each is identified by its position among those asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Those that are back.
    pub restored: Vec<usize>,
    /// Those that were left alone, by reason.
    pub skipped: BTreeMap<SkipReason, Vec<usize>>,
}

impl RestoreOutcome {
    /// Returns the outcome of so many things that are all left alone for one reason.
    pub fn all_skipped(reason: SkipReason, count: usize) -> RestoreOutcome {
        let mut outcome = RestoreOutcome::default();
        (0..count).for_each(|place| outcome.skip(reason, place));
        outcome
    }

    /// Adds the outcome of others.
    pub fn add(&mut self, others: RestoreOutcome) {
        self.restored.extend(others.restored);
        self.restored.sort_unstable();
        for (reason, places) in others.skipped {
            self.skipped.entry(reason).or_default().extend(places);
        }
    }

    /// Leaves one alone.
    pub fn skip(&mut self, reason: SkipReason, place: usize) {
        self.skipped.entry(reason).or_default().push(place);
    }
}
