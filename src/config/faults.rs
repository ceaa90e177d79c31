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

    /// Returns true if one of them names a section or a setting of it.
    pub fn concern(&self, section: &str) -> bool {
        self.0.iter().any(|fault| {
            let named = fault.strip_prefix('`').and_then(|fault| fault.strip_prefix(section));
            named.is_some_and(|rest| rest.starts_with(['.', '`']))
        })
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
