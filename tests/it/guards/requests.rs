//! Rules that depend on the requester, on the origin and on the request, and records that the successor already has.

use handover::app::access;
use handover::catalog::check;
use handover::contract::{RequestType, UserId};
use handover::job::State;
use handover::plan::AccessQuery;
use handover::store::host;
use serde_json::{Value, json};

use crate::support::world::{codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

/// Users of four roles: 1 is a head; 2 is a helper, who may handle guests only; 3 and 4 work; 8 (a guest) and 9 are
/// about to leave. A table holds the permissions of each role.
const PEOPLE: &str = "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT, job TEXT, guest BOOLEAN NOT NULL); \
    INSERT INTO people VALUES (1, 'Ann', 'a@x', 'active', 'head', FALSE), (2, 'Ben', 'b@x', 'active', 'helper', FALSE), \
      (3, 'Cleo', 'c@x', 'active', 'worker', FALSE), (4, 'Dan', 'd@x', 'active', 'worker', FALSE), \
      (8, 'Yan', 'y@x', 'active', 'visitor', TRUE), (9, 'Zoe', 'z@x', 'active', 'worker', FALSE); \
    CREATE TABLE rights (job TEXT NOT NULL, thing TEXT NOT NULL, PRIMARY KEY (job, thing)); \
    INSERT INTO rights VALUES ('head', 'manage'), ('head', 'own'), ('helper', 'guests'), ('worker', 'own');";

/// Documents and their workers, some with a share of the profit.
const SHARES: &str = "CREATE TABLE shares (doc BIGINT NOT NULL, owner BIGINT NOT NULL, share NUMERIC(5, 2) CHECK (share > 0 AND share <= 100), \
      PRIMARY KEY (doc, owner)); \
    INSERT INTO shares VALUES (1, 9, 30), (2, 9, 20), (3, 9, NULL), (4, 9, 10), (5, 9, 15), (1, 3, 50), (3, 3, 40), (4, 3, NULL), (5, 4, 80);";

const MAY_MANAGE: &str =
    "{ column = \"job\", in = { table = \"rights\", column = \"job\", where = { thing = \"manage\" } } }";

fn catalog(users: &str, references: &str) -> String {
    format!(
        "[users]\ntable = \"people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
         status = {{ column = \"status\", active = \"active\", inactive = \"inactive\" }}\n{users}\n{references}"
    )
}

fn share(kind: &str, rest: &str) -> String {
    format!(
        "[[reference]]\nkind = \"{kind}\"\ntable = \"shares\"\nkey = [\"doc\", \"owner\"]\nuser = \"owner\"\n{rest}\n"
    )
}

async fn start(world: &mut World, users: &str, references: &str) {
    world.sql(&format!("{PEOPLE} {SHARES}")).await;
    world.use_catalog(&catalog(users, references)).await;
    world.start_worker().await;
}

fn request(id: &str, user: u32, by: u32, more: Value) -> Value {
    let mut request =
        json!({ "type": "deactivate", "request_id": id, "user_id": user.to_string(), "requested_by": by.to_string() });
    for (field, value) in more.as_object().expect("fields") {
        request[field] = value.clone();
    }
    request
}

/// Returns every row as `doc:owner:share`, with shares in hundredths.
async fn shares(world: &World) -> Vec<String> {
    let share = "COALESCE(CAST(CAST(share * 100 AS bigint) AS text), '')";
    let row = format!("CAST(doc AS text) || ':' || CAST(owner AS text) || ':' || {share}");
    world.texts(&format!("SELECT {row} AS t FROM shares ORDER BY doc, owner")).await
}

/// Returns the faults of a catalog over these tables.
async fn faults(world: &World, users: &str, references: &str) -> Vec<String> {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    match check("test", &catalog(users, references), &schema) {
        Err(faults) => faults.faults.into_iter().map(|fault| fault.message).collect(),
        Ok(_) => Vec::new(),
    }
}

// --- The requester ----------------------------------------------------------------------------------------------------

#[every_engine]
async fn requester_is_checked_in_permissions_table(world: &mut World) {
    let keep = share("share", "disposition = \"keep\"");
    start(world, &format!("may = {{ deactivate = {MAY_MANAGE} }}"), &keep).await;
    let job = world.hand_over(&request("r1", 9, 3, json!({}))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["requester_not_permitted".to_owned()]));
    assert!(reasons_of(&job)[0].message.contains("`job` of rights (`thing` = \"manage\")"), "{:?}", reasons_of(&job));
    assert_eq!(world.hand_over(&request("r2", 9, 1, json!({}))).await.state, State::Completed);
    // The permission is looked up each time, not cached.
    world.sql("UPDATE rights SET thing = 'rest' WHERE thing = 'manage'").await;
    assert_eq!(codes_of(&world.hand_over(&request("r3", 8, 1, json!({}))).await), ["requester_not_permitted"]);
}

/// Returns the reason codes of the access use case, for a question about user 9.
async fn access_codes(world: &World, kind: RequestType, by: &str) -> Vec<String> {
    let user = |id: &str| UserId::try_from(id.to_owned()).expect("an id");
    let (requester, about) = (user(by), user("9"));
    let query = AccessQuery { kind, org: "", requester: &requester, about: Some(&about) };
    let reasons = access::check(&world.context, query).await.expect("an answer");
    reasons.iter().map(|reason| reason.code.to_string()).collect()
}

#[every_engine]
async fn access_check_agrees_with_the_planner(world: &mut World) {
    let keep = share("share", "disposition = \"keep\"");
    start(world, &format!("may = {{ deactivate = {MAY_MANAGE} }}"), &keep).await;
    assert!(access_codes(world, RequestType::Deactivate, "1").await.is_empty());
    assert_eq!(access_codes(world, RequestType::Deactivate, "3").await, ["requester_not_permitted"]);
    assert_eq!(access_codes(world, RequestType::Deactivate, "77").await, ["requester_not_permitted"]);
    assert_eq!(access_codes(world, RequestType::Deactivate, "9").await, ["requester_is_leaver"]);
    assert!(access_codes(world, RequestType::AcceptInvitation, "9").await.is_empty());
    let own = world.hand_over(&request("r1", 9, 9, json!({}))).await;
    assert_eq!(codes_of(&own), ["requester_is_leaver"]);
    assert_eq!(codes_of(&world.hand_over(&request("r2", 9, 3, json!({}))).await), ["requester_not_permitted"]);
}

#[every_engine]
async fn permissions_may_be_alternative_and_conditional(world: &mut World) {
    let guests =
        MAY_MANAGE.replace("manage", "guests").replace("} } }", "} }, of = { column = \"guest\", equals = true } }");
    let keep = share("share", "disposition = \"keep\"");
    start(world, &format!("may = {{ deactivate = [{MAY_MANAGE}, {guests}] }}"), &keep).await;
    assert_eq!(codes_of(&world.hand_over(&request("r1", 9, 2, json!({}))).await), ["requester_not_permitted"]);
    assert_eq!(world.hand_over(&request("r2", 8, 2, json!({}))).await.state, State::Completed);
    assert_eq!(world.hand_over(&request("r3", 9, 1, json!({}))).await.state, State::Completed);
}

#[every_engine]
async fn eligibility_and_conditions_use_lookups(world: &mut World) {
    let owns = MAY_MANAGE.replace("manage", "own");
    let references = [
        share("workers_share", &format!("disposition = \"transfer\"\neligible = {owns}\nwhen = {owns}")),
        share("share", "disposition = \"detach\""),
    ];
    start(world, "", &references.concat()).await;
    world.sql("INSERT INTO shares VALUES (9, 8, NULL)").await;
    let job = world.hand_over(&request("r1", 9, 1, json!({ "reassign": { "workers_share": { "user": "2" } } }))).await;
    assert_eq!(codes_of(&job), ["successor_not_eligible"]);
    let moved =
        world.certificate(&request("r2", 9, 1, json!({ "reassign": { "workers_share": { "user": "1" } } }))).await;
    assert_eq!(successors_of(&moved, "workers_share"), counts([(1, 5)]));
    let removed = world.certificate(&request("r3", 8, 1, json!({}))).await;
    assert_eq!(result_of(&removed, "share").removed, Some(1), "a visitor's shares go");
}

// --- When a reference applies -----------------------------------------------------------------------------------------

/// A guard on the leaver's own row.
const NO_WORKERS_IN_BULK: &str = "[[reference]]\nkind = \"worker_in_bulk\"\ntable = \"people\"\nkey = \"id\"\nuser = \"id\"\n\
    where = { job = \"worker\" }\ndisposition = \"block\"\nwhen = { bulk = true }\nhint = \"send it by itself\"\n";

#[every_engine(also_in_chunks_of = 2)]
async fn guard_may_apply_to_bulk_only(world: &mut World) {
    let references = [NO_WORKERS_IN_BULK, &share("share", "disposition = \"keep\"")].concat();
    start(world, "", &references).await;
    let job = world.hand_over(&request("r1", 9, 1, json!({ "bulk": true }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["protected".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(
        (reason.concerning.kind.as_deref(), reason.hint.as_str()),
        (Some("worker_in_bulk"), "send it by itself")
    );
    assert_eq!(
        world.hand_over(&request("r2", 8, 1, json!({ "bulk": true }))).await.state,
        State::Completed,
        "no worker"
    );
    let certificate = world.certificate(&request("r3", 9, 1, json!({}))).await;
    assert!(!certificate.references.iter().any(|reference| reference.kind == "worker_in_bulk"));
}

#[every_engine(also_in_chunks_of = 2)]
async fn own_row_guard_passes_other_leavers(world: &mut World) {
    let guard = NO_WORKERS_IN_BULK.replace("when = { bulk = true }\n", "");
    start(world, "", &[guard.as_str(), &share("share", "disposition = \"keep\"")].concat()).await;
    assert_eq!(codes_of(&world.hand_over(&request("r1", 9, 1, json!({}))).await), ["protected"]);
    world.sql("UPDATE people SET job = 'visitor' WHERE id = 9").await;
    assert_eq!(world.certificate(&request("r2", 9, 1, json!({}))).await.orphans, Some(0));
}

/// A removal that the request must ask for and the requester may order, and the report about omitted parts.
fn on_request() -> String {
    [
        share("split", "where = { share = { null = false } }\ndisposition = \"block\"\nresolve = true\nwhen = { also = \"part\" }"),
        share(
            "part",
            &format!("where = {{ share = {{ null = true }} }}\ndisposition = \"detach\"\nwhen = {{ also = \"part\", requester = {MAY_MANAGE} }}"),
        ),
        share("left_out", "disposition = \"keep\"\nwhen = { also = \"part\" }"),
        share("share", "disposition = \"keep\""),
    ]
    .concat()
}

#[every_engine(also_in_chunks_of = 2)]
async fn optional_removal_is_off_by_default(world: &mut World) {
    start(world, "", &on_request()).await;
    let certificate = world.certificate(&request("r1", 9, 1, json!({}))).await;
    assert_eq!(result_of(&certificate, "share").kept, Some(5));
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 9").await, 5);
}

#[every_engine(also_in_chunks_of = 2)]
async fn optional_removal_runs_when_requested(world: &mut World) {
    start(world, "", &on_request()).await;
    let also = json!(["part"]);
    let job = world.hand_over(&request("r1", 9, 1, json!({ "also": also }))).await;
    assert_eq!(codes_of(&job), ["blocked"], "the guard applies now");
    assert_eq!(reasons_of(&job)[0].concerning.kind.as_deref(), Some("split"));
    let resolved = json!({ "also": also, "reassign": { "split": { "user": "2" } } });
    let certificate = world.certificate(&request("r2", 9, 1, resolved)).await;
    assert_eq!(result_of(&certificate, "part").removed, Some(1));
    assert_eq!(result_of(&certificate, "split").moved, Some(4));
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 9").await, 0);
}

#[every_engine(also_in_chunks_of = 2)]
async fn naming_a_successor_requests_the_transfer(world: &mut World) {
    start(world, "", &on_request()).await;
    let certificate =
        world.certificate(&request("r1", 9, 1, json!({ "reassign": { "split": { "user": "2" } } }))).await;
    assert_eq!(result_of(&certificate, "split").moved, Some(4));
    assert_eq!(result_of(&certificate, "share").kept, Some(1));
}

#[every_engine(also_in_chunks_of = 2)]
async fn unpermitted_parts_are_omitted_and_reported(world: &mut World) {
    start(world, "", &on_request()).await;
    world.sql("UPDATE shares SET share = NULL WHERE owner = 9").await;
    let certificate = world.certificate(&request("r1", 9, 2, json!({ "also": ["part"] }))).await;
    assert!(!certificate.references.iter().any(|reference| reference.kind == "part"));
    assert_eq!(result_of(&certificate, "left_out").kept, Some(5));
    assert_eq!(result_of(&certificate, "share").kept, Some(0));
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 9").await, 5);
}

#[every_engine]
async fn unknown_kind_is_dead_lettered_with_path(world: &mut World) {
    start(world, "", &on_request()).await;
    world.client.send(request("r1", 9, 1, json!({ "also": ["part", "whole"] })).to_string().into_bytes()).await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!((dead_letter.reason(), dead_letter.path()), ("unknown_kind", "also[1]"));
}

// --- Records that the successor already has ---------------------------------------------------------------------------

/// Moves all shares and adds them up where the successor has one.
fn added_up() -> String {
    share("share", "disposition = \"transfer\"\non_conflict = { add = [\"share\"] }")
}

#[every_engine(also_in_chunks_of = 2)]
async fn merge_adds_to_the_successors_row(world: &mut World) {
    start(world, "", &added_up()).await;
    let certificate =
        world.certificate(&request("r1", 9, 1, json!({ "reassign": { "share": { "user": "3" } } }))).await;
    let share = result_of(&certificate, "share");
    assert_eq!((share.found, share.moved, share.merged, share.left_behind), (Some(5), Some(2), Some(3), Some(0)));
    assert_eq!(share.successors, counts([(3, 5)]));
    // 1: 50 and 30. 3: nothing was added to 40. 4: 10 to nothing. 2 and 5 did not exist.
    assert_eq!(shares(world).await, ["1:3:8000", "2:3:2000", "3:3:4000", "4:3:1000", "5:3:1500", "5:4:8000"]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn journal_keeps_the_value_before_merging(world: &mut World) {
    start(world, "", &added_up()).await;
    world.certificate(&request("r1", 9, 1, json!({ "reassign": { "share": { "user": "3" } } }))).await;
    let query =
        "SELECT CAST(content AS text) AS t FROM handover.row_snapshots WHERE kind = 'share' AND keep_until IS NULL";
    let mut copies: Vec<Value> =
        world.texts(query).await.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    // PostgreSQL's snapshots hold numbers as texts.
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    copies.sort_by_key(|copy| copy["doc"].to_string());
    let reported: Vec<(f64, f64, Option<f64>, Option<f64>)> = (copies.iter())
        .map(|copy| {
            let whole = |name: &str| number(&copy[name]).expect("a number");
            assert!(copy["$before"].as_object().expect("the value before").contains_key("share"));
            (whole("doc"), whole("owner"), number(&copy["share"]), number(&copy["$before"]["share"]))
        })
        .collect();
    assert_eq!(
        reported,
        [(1.0, 9.0, Some(30.0), Some(50.0)), (3.0, 9.0, None, Some(40.0)), (4.0, 9.0, Some(10.0), None)]
    );
    let merged =
        "SELECT sum(records) FROM handover.journal WHERE action = 'merged' AND from_user = '9' AND to_user = '3'";
    assert_eq!(world.number(merged).await, 3);
}

#[every_engine(also_in_chunks_of = 2)]
async fn several_leavers_merge_into_one_row(world: &mut World) {
    start(world, "", &added_up()).await;
    world.sql("INSERT INTO shares VALUES (1, 8, 7), (2, 8, 3)").await;
    let to_3 = json!({ "reassign": { "share": { "user": "3" } } });
    let first = world.send(&request("r1", 9, 1, to_3.clone())).await;
    let second = world.send(&request("r2", 8, 1, to_3)).await;
    for job in [first, second] {
        assert_eq!(world.end_of(job).await.state, State::Completed);
    }
    assert_eq!(shares(world).await[..2], ["1:3:8700", "2:3:2300"]);
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner IN (8, 9)").await, 0);
}

#[every_engine]
async fn refused_sum_is_reported_and_others_move(world: &mut World) {
    world.use_chunks_of(1);
    start(world, "", &added_up()).await;
    world.sql("UPDATE shares SET share = 90 WHERE doc = 5 AND owner = 4").await;
    let job = world.hand_over(&request("r1", 9, 1, json!({ "reassign": { "share": { "user": "4" } } }))).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert_eq!(reasons_of(&job)[0].concerning.kind.as_deref(), Some("share"));
    let rows = shares(world).await;
    assert_eq!(rows.iter().filter(|row| row.starts_with("5:")).collect::<Vec<_>>(), ["5:4:9000", "5:9:1500"]);
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 9").await, 1, "{rows:?}");
}

#[every_engine]
async fn merged_row_is_touched(world: &mut World) {
    let touched = added_up().replace("on_conflict", "touch = \"changed\"\non_conflict");
    world.sql(&format!("{PEOPLE} {SHARES} ALTER TABLE shares ADD COLUMN changed TIMESTAMP")).await;
    world.use_catalog(&catalog("", &touched)).await;
    world.start_worker().await;
    world.certificate(&request("r1", 9, 1, json!({ "reassign": { "share": { "user": "3" } } }))).await;
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 3 AND changed IS NULL").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM shares WHERE owner = 4 AND changed IS NOT NULL").await, 0);
}

#[every_engine]
async fn resolved_block_merges(world: &mut World) {
    let split = "where = { share = { null = false } }\ndisposition = \"block\"\nresolve = true\non_conflict = { add = [\"share\"] }";
    start(world, "", &[share("split", split), share("share", "disposition = \"keep\"")].concat()).await;
    let certificate =
        world.certificate(&request("r1", 9, 1, json!({ "reassign": { "split": { "user": "3" } } }))).await;
    let split = result_of(&certificate, "split");
    assert_eq!((split.moved, split.merged), (Some(2), Some(2)));
    assert_eq!(result_of(&certificate, "share").kept, Some(1));
    assert_eq!(shares(world).await, ["1:3:8000", "2:3:2000", "3:3:4000", "3:9:", "4:3:1000", "5:3:1500", "5:4:8000"]);
}

// --- Rules that a catalog must not have -------------------------------------------------------------------------------

#[every_engine]
async fn impossible_merge_rules_are_faults(world: &mut World) {
    world.sql(&format!("{PEOPLE} {SHARES}")).await;
    world
        .sql("CREATE TABLE seats (number BIGINT NOT NULL, holder BIGINT, UNIQUE (holder)); CREATE TABLE notes2 (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, n BIGINT);")
        .await;
    let keep = share("share", "disposition = \"keep\"");
    let guard = |rest: &str| NO_WORKERS_IN_BULK.replace("disposition = \"block\"\n", rest);
    let overlapping = [
        share("part", "disposition = \"detach\"\nwhen = { also = \"part\" }"),
        share("rest", "disposition = \"transfer\""),
    ];
    let note = |rest: &str| {
        format!(
            "[[reference]]\nkind = \"note\"\ntable = \"notes2\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n{rest}"
        )
    };
    let cases: [(&str, String, &str); 12] = [
        ("may = { deactivate = { column = \"job\" } }", keep.clone(), "a condition is"),
        ("may = { deactivate = [{ column = \"jib\", equals = \"head\" }] }", keep.clone(), "no column `jib`"),
        (
            "may = { deactivate = { column = \"job\", in = { table = \"wrongs\", column = \"job\" } } }",
            keep.clone(),
            "no table `wrongs`",
        ),
        ("", share("share", "disposition = \"keep\"\nwhen = {}"), "`when` is { column"),
        ("", share("share", "disposition = \"keep\"\nwhen = { bulk = true, equals = 1 }"), "`when` is { column"),
        ("", overlapping.concat(), "counts only for some requests"),
        ("", guard("disposition = \"detach\"\n").replace("hint = \"send it by itself\"\n", ""), "own row"),
        ("", guard("disposition = \"block\"\nresolve = true\n"), "own row"),
        (
            "",
            share("share", "disposition = \"transfer\"\non_conflict = { add = [\"percent\"] }"),
            "no column `percent`",
        ),
        ("", note("on_conflict = { add = [\"n\"] }"), "has no unique index over `owner`"),
        ("[license]\ntable = \"seats\"\nuser = \"holder\"", keep.clone(), "seats has no primary key"),
        ("[license]\ntable = \"seats\"\nuser = \"holder\"\nkey = \"holder\"\norg = \"firm\"", keep, "no column `firm`"),
    ];
    for (users, references, expected) in cases {
        let faults = faults(world, users, &references).await;
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected:?} is not in {faults:?}");
    }
}
