//! Tests every kind of allotment, both for small jobs and in chunks.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::keap::{
    AMANDA, GERALDINE, INGRID, LEAVER, LUCAS, MATHEW, PRIYA, SUPPORT, WEST, group, hardcoded, leaver, ratio, share, to,
    to_manager,
};
use crate::support::world::{codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

#[every_engine(also_in_chunks_of = 10)]
async fn a_single_user_receives_everything(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let certificate = world.certificate(&leaver().contacts(to(PRIYA))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(PRIYA, 104)]));
    assert_eq!(owners(world, &contacts).await, vec![PRIYA; 104]);
}

#[every_engine(also_in_chunks_of = 10)]
async fn the_manager_receives_everything(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let certificate = world.certificate(&leaver().contacts(to_manager())).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(AMANDA, 104)]));
    assert_eq!(owners(world, &contacts).await, vec![AMANDA; 104]);
}

#[every_engine]
async fn a_leaver_without_a_manager_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET manager_id = NULL WHERE id = 53").await;
    world.start_worker().await;
    let job = world.hand_over(&leaver().contacts(to_manager())).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["no_manager".to_owned()]));
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
}

#[every_engine]
async fn a_manager_who_is_not_active_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET manager_id = 31 WHERE id = 53").await;
    world.start_worker().await;
    let job = world.hand_over(&leaver().contacts(to_manager())).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["successor_inactive".to_owned()]));
}

#[every_engine(also_in_chunks_of = 10)]
async fn records_go_to_shares_in_key_order(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let shares = [share(GERALDINE, 3), share(SUPPORT, 2)];
    world.certificate(&leaver().contacts(ratio(shares))).await;
    let expected: Vec<&str> = (0..104).map(|rank| if rank % 5 < 3 { GERALDINE } else { SUPPORT }).collect();
    assert_eq!(owners(world, &contacts).await, expected);
}

#[every_engine(also_in_chunks_of = 10)]
async fn named_records_take_no_rank_from_others(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    let named = [(0, GERALDINE), (1, PRIYA), (50, GERALDINE), (103, LUCAS)];
    let each: serde_json::Map<String, Value> =
        named.iter().map(|(place, user)| (contacts[*place].clone(), json!(user))).collect();
    world.start_worker().await;
    let rest = ratio([share(SUPPORT, 1), share(AMANDA, 1)]);
    let certificate = world.certificate(&leaver().contacts(json!({ "each": each, "rest": rest }))).await;
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 50), (AMANDA, 50), (GERALDINE, 2), (PRIYA, 1), (LUCAS, 1)])
    );
    let owners = owners(world, &contacts).await;
    let rest: Vec<&String> =
        (0..104).filter(|place| named.iter().all(|(at, _)| at != place)).map(|at| &owners[at]).collect();
    for (place, user) in named {
        assert_eq!(owners[place], user);
    }
    assert!(rest.iter().enumerate().all(|(rank, owner)| *owner == [SUPPORT, AMANDA][rank % 2]), "{rest:?}");
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_with_a_single_user_for_the_rest(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let each = json!({ contacts[7].clone(): GERALDINE });
    let certificate = world.certificate(&leaver().contacts(json!({ "each": each, "rest": to(SUPPORT) }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(SUPPORT, 103), (GERALDINE, 1)]));
    assert_eq!(owners(world, &contacts).await[7], GERALDINE);
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_without_a_rest_leaves_the_rest_behind(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let each = json!({ contacts[3].clone(): GERALDINE, contacts[4].clone(): MATHEW });
    let certificate = world.certificate(&leaver().contacts(json!({ "each": each }))).await;
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(104), Some(2), Some(102)));
    assert_eq!(contact.successors, counts([(GERALDINE, 1), (MATHEW, 1)]));
    assert_eq!(certificate.license.name(), "freed");
}

#[every_engine(also_in_chunks_of = 10)]
async fn each_naming_more_records_than_a_chunk_holds(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    let each: serde_json::Map<String, Value> =
        contacts[..37].iter().map(|key| (key.clone(), json!(GERALDINE))).collect();
    world.start_worker().await;
    let certificate = world.certificate(&leaver().contacts(json!({ "each": each, "rest": to(SUPPORT) }))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(SUPPORT, 67), (GERALDINE, 37)]));
    let owners = owners(world, &contacts).await;
    assert!(owners[..37].iter().all(|owner| owner == GERALDINE) && owners[37..].iter().all(|owner| owner == SUPPORT));
}

#[every_engine(also_in_chunks_of = 10)]
async fn naming_records_of_others_is_rejected(world: &mut World) {
    // Contact 9 belongs to someone else; 99999 does not exist.
    world.start_worker().await;
    let each = json!({ "1": "13", "9": "13", "99999": "13" });
    let job = world.hand_over(&leaver().contacts(json!({ "each": each, "rest": to(SUPPORT) }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["record_not_owned".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.keys, ["9", "99999"]);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
}

#[every_engine(also_in_chunks_of = 10)]
async fn shares_may_mix_users_and_groups(world: &mut World) {
    world.start_worker().await;
    let shares = [share(SUPPORT, 2), group(WEST, 3), share(AMANDA, 1)];
    let certificate = world.certificate(&leaver().contacts(ratio(shares))).await;
    // Seventeen rounds of six, plus two for the first share.
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 36), (AMANDA, 17), (PRIYA, 17), (LUCAS, 17), (INGRID, 17)])
    );
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
}

#[every_engine(also_in_chunks_of = 10)]
async fn ineligible_group_member_has_no_turn(world: &mut World) {
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 16").await;
    world.start_worker().await;
    let shares = [group(WEST, 1)];
    let certificate = world.certificate(&leaver().contacts(ratio(shares))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(PRIYA, 52), (INGRID, 52)]));
}

#[every_engine]
async fn group_without_eligible_member_is_rejected(world: &mut World) {
    world.sql("UPDATE users SET status = 'inactive' WHERE id IN (15, 16, 17)").await;
    world.start_worker().await;
    let shares = [group(WEST, 1)];
    let job = world.hand_over(&leaver().contacts(ratio(shares))).await;
    assert_eq!(job.state, State::Rejected);
    assert!(codes_of(&job).contains(&"no_fit_member".to_owned()), "{:?}", codes_of(&job));
}

#[every_engine(also_in_chunks_of = 10)]
async fn an_amount_of_zero_receives_nothing(world: &mut World) {
    world.start_worker().await;
    let shares = [share(SUPPORT, 0), share(AMANDA, 3), share(GERALDINE, 0), share(MATHEW, 1), group(WEST, 0)];
    let certificate = world.certificate(&leaver().contacts(ratio(shares))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(AMANDA, 78), (MATHEW, 26)]));
}

#[every_engine(also_in_chunks_of = 10)]
async fn user_may_appear_in_several_shares(world: &mut World) {
    let contacts = contacts_of_leaver(world).await;
    world.start_worker().await;
    let shares = [share(SUPPORT, 1), share(AMANDA, 1), share(SUPPORT, 2)];
    let certificate = world.certificate(&leaver().contacts(ratio(shares))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(SUPPORT, 78), (AMANDA, 26)]));
    let expected: Vec<&str> = (0..104).map(|rank| if rank % 4 == 1 { AMANDA } else { SUPPORT }).collect();
    assert_eq!(owners(world, &contacts).await, expected);
}

#[every_engine(also_in_chunks_of = 10)]
async fn hardcoded_amounts_may_exceed_the_records(world: &mut World) {
    world.start_worker().await;
    let shares = [share(SUPPORT, 100), share(AMANDA, 100), share(GERALDINE, 100)];
    let certificate = world.certificate(&leaver().contacts(hardcoded(shares))).await;
    assert_eq!(successors_of(&certificate, "contact"), counts([(SUPPORT, 100), (AMANDA, 4)]));
}

/// Returns the ids of the leaver's contacts in key order.
async fn contacts_of_leaver(world: &World) -> Vec<String> {
    world.texts("SELECT CAST(id AS text) AS t FROM contacts WHERE owner_id = 53 ORDER BY id").await
}

/// Returns the current owner of each contact.
async fn owners(world: &World, contacts: &[String]) -> Vec<String> {
    let ids = contacts.join(", ");
    world.texts(&format!("SELECT CAST(owner_id AS text) AS t FROM contacts WHERE id IN ({ids}) ORDER BY id")).await
}
