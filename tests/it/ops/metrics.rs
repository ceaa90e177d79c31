//! The metrics of a worker.

use std::collections::BTreeSet;

use handover::metrics::ALL;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::support::http::ObservedWorker;
use crate::support::server::until;
use crate::support::world::{keap_request, reasons_of};
use crate::support::{World, every_engine, on_postgres};

/// Fails the commit of every transaction that gives a certain contact to another user, so that its work is rolled
/// back.
const REFUSAL: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END $$;
    CREATE CONSTRAINT TRIGGER refusal AFTER UPDATE ON contacts DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (old.id = {one}) EXECUTE FUNCTION refuse();";

#[on_postgres]
async fn records_are_counted_at_commit_only(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let one = world.number("SELECT max(id) FROM contacts WHERE owner_id = 53").await;
    let session = world.store.begin("test").await.expect("a transaction");
    session.execute_unprepared("SET LOCAL search_path TO public").await.expect("the host's own tables");
    session.execute_unprepared(&REFUSAL.replace("{one}", &one.to_string())).await.expect("a trigger");
    session.commit().await.expect("committed");
    let more = [("HANDOVER_LIMITS__CHUNK_ROWS", "40"), ("HANDOVER_LIMITS__CHUNK_ATTEMPTS", "1")];
    let observed = ObservedWorker::start(world, folder.path(), &more);
    let job = world.hand_over(&keap_request("r1")).await;
    assert_eq!(reasons_of(&job).len(), 1, "only that record remains");
    let journaled = world.number("SELECT sum(records) FROM handover.journal WHERE kind = 'contact'").await;
    assert_eq!(journaled, 103);
    tokio::task::block_in_place(|| {
        let is = |series: &str| observed.metric(series).unwrap_or_default();
        until("everything is counted", || {
            is("handover_jobs_total{outcome=\"needs_attention\",type=\"deactivate\"}") == 1.0
        });
        assert_eq!(is("handover_records_total{disposition=\"transfer\",kind=\"contact\"}"), 103.0);
        assert_eq!(is("handover_records_total{disposition=\"transfer\",kind=\"lead\"}"), 92.0);
        assert!(is("handover_chunk_failures_total") >= 1.0);
        assert!(is("handover_chunk_duration_seconds_count") >= 5.0);
        until("the job is seen to wait for a person", || is("handover_jobs{state=\"needs_attention\"}") == 1.0);
    });
}

#[every_engine]
async fn metrics_count_jobs_messages_and_dead_letters(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let observed = ObservedWorker::start(world, folder.path(), &[]);
    let job = world.send(&keap_request("r1")).await;
    world.end_of(job).await;
    let mut refused = keap_request("r2");
    refused["user_id"] = json!("99999");
    world.hand_over(&refused).await;
    world.client.send(b"nothing that can be read".to_vec()).await;
    world.next_dead_letter().await;
    tokio::task::block_in_place(|| {
        let is = |series: &str| observed.metric(series).unwrap_or_default();
        until("everything is counted", || is("handover_messages_parked_total{reason=\"not_json\"}") == 1.0);
        assert_eq!(is("handover_jobs_total{outcome=\"completed\",type=\"deactivate\"}"), 1.0);
        assert_eq!(is("handover_jobs_total{outcome=\"rejected\",type=\"deactivate\"}"), 1.0);
        assert_eq!(is("handover_job_duration_seconds_count{type=\"deactivate\"}"), 1.0);
        assert_eq!(is("handover_messages_total{queue=\"requests\"}"), 3.0);
        assert!(is("handover_busy_seconds_total{role=\"planner\"}") > 0.0);
        assert_eq!(is("handover_tasks{role=\"planner\"}"), 2.0);
        assert!(is("process_resident_memory_bytes") > 1e6 && is("process_open_fds") > 5.0);
        let (_, scrape) = observed.get("/metrics");
        for person in ["53", "99999", "11", &job.to_string(), "r1"] {
            assert!(!scrape.contains(&format!("=\"{person}\"")), "{person} appears in a label");
        }
        is_as_listed(&scrape);
    });
}

/// Asserts that the names, types, help texts and labels of a scrape match the list.
fn is_as_listed(scrape: &str) {
    for line in scrape.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, text) = (words.next(), words.next(), words.next().expect("a text"));
            let about = ALL.iter().find(|about| Some(about.name) == name).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(text, if what == Some("TYPE") { about.kind.name() } else { about.help });
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        let about = ALL.iter().find(|about| about.name == name || Some(about.name) == base);
        let about = about.unwrap_or_else(|| panic!("{line}"));
        let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
        let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).filter(|name| *name != "le");
        assert_eq!(names.collect::<BTreeSet<_>>(), about.labels.iter().copied().collect(), "{line}");
    }
}
