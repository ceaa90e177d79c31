//! Checks any text as a catalog against the reference CRM's schema: the result is a catalog, or faults with a line each.
#![no_main]

use handover::catalog::check;
use handover_fuzz::SCHEMA;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let lines = source.matches('\n').count() + 1;
    let findings = match check("fuzz", source, &SCHEMA) {
        Ok(checked) => {
            for (position, reference) in checked.catalog.references.iter().enumerate() {
                assert_eq!(reference.position, position);
                assert_eq!(checked.catalog.reference(&reference.kind).map(|found| found.position), Some(position));
            }
            checked.warnings
        }
        Err(faults) => {
            assert!(!faults.faults.is_empty());
            faults.faults
        }
    };
    for finding in findings {
        assert!((1..=lines).contains(&finding.line), "{finding:?}");
        assert!(!finding.message.is_empty());
    }
});
