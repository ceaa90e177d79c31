//! Any bytes as a request: it is read, or there is a reason that can stand in a header. What was read means the same when
//! it is written and read again, and fits the catalog again in the form that the catalog gave it.
#![no_main]

use handover::contract::{Request, InvalidRequest, read_request};
use handover::plan::normalize;
use handover_fuzz::CATALOG;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let request = match read_request(body) {
        Ok(request) => request,
        Err(reason) => return presentable(&reason),
    };
    let again = reread(&request);
    assert_eq!((&request, request.body_hash()), (&again, again.body_hash()));
    assert_eq!(request.job_id(), again.job_id());
    match normalize(&CATALOG, request) {
        Ok(fitting) => assert_eq!(normalize(&CATALOG, reread(&fitting)).expect("it fitted before"), fitting),
        Err(reason) => presentable(&reason),
    }
});

fn reread(request: &Request) -> Request {
    read_request(request.canonical().to_string().as_bytes()).expect("what was read can be read again")
}

fn presentable(reason: &InvalidRequest) {
    assert!(!reason.code.is_empty() && !reason.path.is_empty() && !reason.detail.is_empty(), "{reason:?}");
    assert!(reason.code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{reason:?}");
    assert!(!reason.to_string().contains(char::is_control), "{reason:?}");
}
