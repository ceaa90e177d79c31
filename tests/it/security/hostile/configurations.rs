//! Invalid configurations: reported at once, before anything starts.

use super::{hidden, shown};
use crate::support::process::{run, text};

/// The content of the file, and words of the message.
#[rustfmt::skip]
fn files() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"\xff\xfe".to_vec(),                                          "cannot be read"),
        (b"\0".to_vec(),                                                "cannot be read"),
        (format!("{}=1", vec!["a"; 100_000].join(".")).into(),          "recursion limit"),
        (format!("a={}", "[".repeat(100_000)).into(),                   "cannot be read"),
        (b"worker = 1\nworker = 2".to_vec(),                            "duplicate key"),
        (b"worker = 1".to_vec(),                                        "`worker` is a section"),
        (b"[worker]\nplanners = -1".to_vec(),                           "`worker.planners` (HANDOVER_WORKER__PLANNERS) is -1"),
        (b"[worker]\nplanners = 0".to_vec(),                            "`worker.planners` must be 1 to 1000"),
        (b"[worker]\nmovers = 1000000000".to_vec(),                     "`worker.movers` must be 1 to 1000"),
        (b"[worker]\nmovers = 18446744073709551616".to_vec(),           "cannot be read"),
        (b"[worker]\nrelay_batch = 0".to_vec(),                         "`worker.relay_batch` must be 1 to 100000"),
        (b"[worker]\npoll = \"0s\"".to_vec(),                           "`worker.poll` must be at least 1ms"),
        (b"[worker]\nsweep_every = \"0s\"".to_vec(),                    "`worker.sweep_every` must be at least 1ms"),
        (b"[worker]\ngrace = \"5000000000000y\"".to_vec(),              "`worker.grace` (HANDOVER_WORKER__GRACE) is"),
        (b"[worker]\ngrace = \"50000y\"".to_vec(),                      "`worker.grace` must be at most 1day"),
        (b"[worker]\npace = \"\\u001b[2J\"".to_vec(),                     "must be one of full, default, gentle, or a share"),
        (b"[worker]\npace = nan".to_vec(),                              "must be one of full, default, gentle, or a share"),
        (b"[limits]\nchunk_time = \"0s\"".to_vec(),                     "`limits.chunk_time` must be at least 1ms"),
        (b"[worker]\ncolour = \"red\"".to_vec(),                        "colour"),
        (b"[limits]\nstalled_after = \"50000y\"".to_vec(),              "`limits.stalled_after` must be at most 1day"),
        (b"[limits]\nkeep_events = \"50000y\"".to_vec(),                "`limits.keep_events` must be at most"),
        (b"[limits]\nrecount_for = \"50000y\"".to_vec(),                "`limits.recount_for` must be at most"),
        (b"[limits]\nchunk_rows = 9223372036854775807".to_vec(),        "`limits.chunk_rows` must be at most 100000"),
        (b"[limits]\nchunk_rows = nan".to_vec(),                        "must be a whole number"),
        (b"[limits]\nchunk_attempts = 99999999999".to_vec(),            "must be a whole number, at most 2147483647"),
        (b"[limits]\ncolour = \"red\"".to_vec(),                        "colour"),
        (b"[database]\nlock_timeout = \"500y\"".to_vec(),               "`database.lock_timeout` must be at most 1day"),
        (b"[database]\nurl = \"\\u001b[2J\"".to_vec(),                  "`database.url` must start with"),
        (b"[broker]\nurl = \"amqp://x\"\nprefix = \"a\\u001b[2J\"".to_vec(), "`broker.prefix` must have"),
        (b"[broker]\nurl = \"amqp://x\"\nheartbeat = \"500y\"".to_vec(), "`broker.heartbeat` must be at most"),
        (b"[log]\nfilter = \"\\u001b[2J=\\u202e\"".to_vec(),            "`log.filter` is invalid"),
        (b"\"a\\u001b[2J\\nb\" = 1".to_vec(),                           "unknown section"),
    ]
}

#[test]
fn hostile_configuration_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hostile.toml");
    let mut wrong = Vec::new();
    for (source, words) in files() {
        std::fs::write(&file, &source).expect("a file");
        let ended = run(&[], &["run", "--config", text(&file)]);
        if ended.code != 1 || !ended.err.contains(words) || !hidden(&ended.err).is_empty() {
            let reported: String = ended.err.chars().take(600).collect();
            wrong.push(format!("{}\n    {words} expected: {} {reported}", shown(&source), ended.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
