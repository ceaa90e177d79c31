//! Who receives which record, for every way in which a request may say it, by both ways through the stages.

use serde_json::{Value, json};

use crate::support::world::{codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

#[every_engine(also_in_chunks_of = 10)]
async fn a_single_user_receives_everything(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let certificate = world.certificate(&contacts_by(json!({ "user": "15" }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(15, 104)]));
    assert_eq!(owners(world, &contacts).await, vec!["15"; 104]);
}

#[every_engine(also_in_chunks_of = 10)]
async fn the_manager_receives_everything(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let certificate = world.certificate(&contacts_by(json!({ "manager": true }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(12, 104)]));
    assert_eq!(owners(world, &contacts).await, vec!["12"; 104]);
}

#[every_engine]
async fn a_leaver_without_a_manager_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET manager_id = NULL WHERE id = 53").await;
    world.start_worker().await;
    let job = world.hand_over(&contacts_by(json!({ "manager": true }))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("rejected", vec!["no_manager".to_owned()]));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id = 53").await, 104);
}

#[every_engine]
async fn a_manager_who_is_not_active_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET manager_id = 31 WHERE id = 53").await;
    world.start_worker().await;
    let job = world.hand_over(&contacts_by(json!({ "manager": true }))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("rejected", vec!["successor_inactive".to_owned()]));
}

#[every_engine(also_in_chunks_of = 10)]
async fn records_go_to_shares_in_key_order(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let shares = json!([{ "user": "13", "amount": 3 }, { "user": "11", "amount": 2 }]);
    world.certificate(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    let expected: Vec<&str> = (0..104).map(|rank| if rank % 5 < 3 { "13" } else { "11" }).collect();
    assert_eq!(owners(world, &contacts).await, expected);
}

#[every_engine(also_in_chunks_of = 10)]
async fn named_records_take_no_rank_from_others(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    let named = [(0, "13"), (1, "15"), (50, "13"), (103, "16")];
    let each: serde_json::Map<String, Value> =
        named.iter().map(|(place, user)| (contacts[*place].clone(), json!(user))).collect();
    world.start_worker().await;
    let rest = json!({ "logic": "ratio", "shares": [{ "user": "11", "amount": 1 }, { "user": "12", "amount": 1 }] });
    let certificate = world.certificate(&contacts_by(json!({ "each": each, "rest": rest }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 50), (12, 50), (13, 2), (15, 1), (16, 1)]));
    let owners = owners(world, &contacts).await;
    let rest: Vec<&String> =
        (0..104).filter(|place| named.iter().all(|(at, _)| at != place)).map(|at| &owners[at]).collect();
    for (place, user) in named {
        assert_eq!(owners[place], user);
    }
    assert!(rest.iter().enumerate().all(|(rank, owner)| *owner == ["11", "12"][rank % 2]), "{rest:?}");
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_with_a_single_user_for_the_rest(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let each = json!({ contacts[7].clone(): "13" });
    let certificate = world.certificate(&contacts_by(json!({ "each": each, "rest": { "user": "11" } }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 103), (13, 1)]));
    assert_eq!(owners(world, &contacts).await[7], "13");
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_without_a_rest_leaves_the_rest_behind(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let each = json!({ contacts[3].clone(): "13", contacts[4].clone(): "14" });
    let certificate = world.certificate(&contacts_by(json!({ "each": each }))).await;
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(104), Some(2), Some(102)));
    assert_eq!(contact.successors, counts([(13, 1), (14, 1)]));
    assert_eq!(certificate.license.name(), "freed");
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_naming_more_records_than_a_chunk_holds(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    let each: serde_json::Map<String, Value> = contacts[..37].iter().map(|key| (key.clone(), json!("13"))).collect();
    world.start_worker().await;
    let certificate = world.certificate(&contacts_by(json!({ "each": each, "rest": { "user": "11" } }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 67), (13, 37)]));
    let owners = owners(world, &contacts).await;
    assert!(owners[..37].iter().all(|owner| owner == "13") && owners[37..].iter().all(|owner| owner == "11"));
}

#[every_engine(also_in_chunks_of = 10)]
async fn naming_records_of_others_is_rejected(world: &mut World) {
    // 9 belongs to somebody else, 99999 to nobody.
    world.start_worker().await;
    let each = json!({ "1": "13", "9": "13", "99999": "13" });
    let job = world.hand_over(&contacts_by(json!({ "each": each, "rest": { "user": "11" } }))).await;
    assert_eq!((job.state.as_str(), codes_of(&job)), ("rejected", vec!["record_not_owned".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.keys, ["9", "99999"]);
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id = 53").await, 104);
}

#[every_engine(also_in_chunks_of = 10)]
async fn shares_may_mix_users_and_groups(world: &mut World) {
    world.start_worker().await;
    let shares = json!([
        { "user": "11", "amount": 2 }, { "round_robin": "West team", "amount": 3 }, { "user": "12", "amount": 1 } ]);
    let certificate = world.certificate(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    // Seventeen rounds of six, and two more for the first share.
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 36), (12, 17), (15, 17), (16, 17), (17, 17)]));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id = 53").await, 0);
}

#[every_engine(also_in_chunks_of = 10)]
async fn ineligible_group_member_has_no_turn(world: &mut World) {
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 16").await;
    world.start_worker().await;
    let shares = json!([{ "round_robin": "West team", "amount": 1 }]);
    let certificate = world.certificate(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(15, 52), (17, 52)]));
}

#[every_engine]
async fn group_without_eligible_member_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET status = 'inactive' WHERE id IN (15, 16, 17)").await;
    world.start_worker().await;
    let shares = json!([{ "round_robin": "West team", "amount": 1 }]);
    let job = world.hand_over(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    assert_eq!(job.state, "rejected");
    assert!(codes_of(&job).contains(&"no_fit_member".to_owned()), "{:?}", codes_of(&job));
}

#[every_engine(also_in_chunks_of = 10)]
async fn an_amount_of_zero_receives_nothing(world: &mut World) {
    world.start_worker().await;
    let shares = json!([
        { "user": "11", "amount": 0 }, { "user": "12", "amount": 3 }, { "user": "13", "amount": 0 },
        { "user": "14", "amount": 1 }, { "round_robin": "West team", "amount": 0 } ]);
    let certificate = world.certificate(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(12, 78), (14, 26)]));
}

#[every_engine(also_in_chunks_of = 10)]
async fn user_may_appear_in_several_shares(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let shares = json!([
        { "user": "11", "amount": 1 }, { "user": "12", "amount": 1 }, { "user": "11", "amount": 2 } ]);
    let certificate = world.certificate(&contacts_by(json!({ "logic": "ratio", "shares": shares }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 78), (12, 26)]));
    let expected: Vec<&str> = (0..104).map(|rank| if rank % 4 == 1 { "12" } else { "11" }).collect();
    assert_eq!(owners(world, &contacts).await, expected);
}

#[every_engine(also_in_chunks_of = 10)]
async fn hardcoded_amounts_may_exceed_the_records(world: &mut World) {
    world.start_worker().await;
    let shares = json!([
        { "user": "11", "amount": 100 }, { "user": "12", "amount": 100 }, { "user": "13", "amount": 100 } ]);
    let certificate = world.certificate(&contacts_by(json!({ "logic": "hardcoded", "shares": shares }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(11, 100), (12, 4)]));
}

/// The contacts of the leaver, in key order, by their ids.
async fn contacts_of_leaver(world: &World) -> Vec<String> {
    world.texts("SELECT CAST(id AS text) AS t FROM contacts WHERE owner_id = 53 ORDER BY id").await
}

/// Who owns each of these contacts now.
async fn owners(world: &World, contacts: &[String]) -> Vec<String> {
    let ids = contacts.join(", ");
    world.texts(&format!("SELECT CAST(owner_id AS text) AS t FROM contacts WHERE id IN ({ids}) ORDER BY id")).await
}

/// User 53 leaves, the contacts by an allotment of the test's own.
fn contacts_by(allotment: Value) -> Value {
    json!({
        "request_id": "r1", "org_id": "1", "user_id": "53", "requested_by": "1",
        "reassign": { "contact": allotment, "lead": { "user": "12" }, "task": { "user": "11" } },
    })
}
