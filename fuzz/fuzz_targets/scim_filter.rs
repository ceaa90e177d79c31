//! Reads any text as a filter: the result is a filter, or an error with a keyword. A filter means the same after it is written and
//! read again, and it runs or has an error.
#![no_main]

use handover::scim::{Condition, Mapped, ScimType, parse_filter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let filter = match parse_filter(text) {
        Ok(filter) => filter,
        Err(failure) => return assert_eq!(failure.scim_type, Some(ScimType::InvalidFilter)),
    };
    // What is written may be longer than what is read: texts are escaped.
    if filter.to_string().len() <= 4_096 {
        assert_eq!(parse_filter(&filter.to_string()).expect("a filter that was read before"), filter);
    }
    for mapped in [Mapped::default(), Mapped { name_columns: true, title: true, manager: true }] {
        if let Err(failure) = Condition::of(&filter, mapped) {
            assert_eq!(failure.scim_type, Some(ScimType::InvalidFilter));
        }
    }
});
