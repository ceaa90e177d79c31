//! Reads any bytes as what identity providers send: a PATCH, a whole user, a search. The result is typed, or an error with a keyword.
#![no_main]

use handover::scim::{Change, Failure, read_new_user, read_patch, read_search, read_whole_user};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for patch in [read_patch(body), read_new_user(body), read_whole_user(body)] {
        match patch {
            Ok(patch) => {
                let asked = patch.changes.iter().rev().find_map(|change| match change {
                    Change::Active(active) => Some(*active),
                    _ => None,
                });
                assert_eq!(patch.active(), asked);
            }
            Err(failure) => assert_presentable(&failure),
        }
    }
    if let Err(failure) = read_search(body) {
        assert_presentable(&failure);
    }
});

fn assert_presentable(failure: &Failure) {
    assert!(failure.status == 400 && failure.scim_type.is_some() && !failure.detail.is_empty(), "{failure:?}");
}
