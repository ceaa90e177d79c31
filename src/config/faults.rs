//! The faults of a configuration.

use std::fmt::Write;

/// Every fault that was found.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the error message with all of them.
    pub fn message(&self) -> String {
        let mut text = String::from("the configuration is wrong:");
        for fault in &self.0 {
            let _ = write!(text, "\n  {fault}");
        }
        text
    }
}
