//! Reads any bytes as a request: the result is a request, or a reason that fits into a header. A request means the same after
//! it is written and read again, and a normalized request is normalized again to itself.
#![no_main]

use handover::contract::{InvalidRequest, Request, read_request};
use handover::plan::normalize;
use handover_fuzz::CATALOG;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let request = match read_request(body) {
        Ok(request) => request,
        Err(reason) => return assert_presentable(&reason),
    };
    let again = reread(&request);
    assert_eq!((&request, request.body_hash()), (&again, again.body_hash()));
    assert_eq!(request.job_id(), again.job_id());
    match normalize(&CATALOG, request) {
        Ok(normal) => assert_eq!(normalize(&CATALOG, reread(&normal)).expect("a normalized request"), normal),
        Err(reason) => assert_presentable(&reason),
    }
});

fn reread(request: &Request) -> Request {
    read_request(request.canonical().to_string().as_bytes()).expect("a request that was read before")
}

fn assert_presentable(reason: &InvalidRequest) {
    for fault in reason.faults() {
        assert!(!fault.path.is_empty() && !fault.detail.is_empty() && !fault.hint.is_empty(), "{fault:?}");
    }
    assert!(!reason.to_string().contains(char::is_control), "{reason:?}");
}
