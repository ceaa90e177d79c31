//! Which guards bind a lock-out, when it is planned and when it is due.

use std::collections::BTreeSet;

use handover::contract::{GuardClass, ReasonCode};
use serde_json::json;

use super::{LATER, hire, is_out, lock_out, open_codes, until_state};
use crate::support::keap::{
    AMANDA, Deactivation, MATHEW, SUPPORT, deactivation, group, hardcoded, hardcoded_without_extras, share, to,
    to_manager,
};
use crate::support::world::codes_of;
use crate::support::{World, every_engine, snapshot};
use crate::undo::revert::command;

/// A way to make a guard fail.
struct Case {
    code: &'static str,
    /// What the application does first, with `{user}` for the leaver.
    prepare: &'static str,
    /// What the request asks for.
    ask: fn(Deactivation, u32) -> Deactivation,
}

/// A user who is scheduled to leave.
const LEAVING: u32 = 290;

fn handover_guards() -> Vec<Case> {
    let case = |code, prepare, ask| Case { code, prepare, ask };
    vec![
        case("allotment_missing", "", |request, _| request.without_allotments()),
        case("incomplete_profile", "UPDATE users SET email = NULL WHERE id = {user}", |request, _| request),
        case("extras_rejected", "", |request, _| request.contacts(hardcoded_without_extras([share(AMANDA, 1)]))),
        case("unknown_successor", "", |request, _| request.contacts(to("99999"))),
        case("successor_of_other_organization", "", |request, _| request.contacts(to("201"))),
        case("successor_inactive", "", |request, _| request.contacts(to("31"))),
        case("successor_leaving", "", |request, _| request.contacts(to(&LEAVING.to_string()))),
        case("successor_not_eligible", "", |request, _| request.leads(to(MATHEW))),
        case("leaver_is_successor", "", |request, user| request.contacts(to(&user.to_string()))),
        case("no_fit_member", "", |request, _| request.leads(hardcoded([group("Nobody", 1)]))),
        case("no_manager", "", |request, _| request.contacts(to_manager())),
        case(
            "blocked",
            "INSERT INTO portals (id, org_id, name, administrator_id) VALUES ({user}, 1, 'Portal', {user})",
            |request, _| request,
        ),
        case("record_not_owned", "", |request, _| {
            request.contacts(json!({ "each": { "1": SUPPORT }, "rest": to(SUPPORT) }))
        }),
        case("reporting_cycle", "UPDATE users SET manager_id = {user} WHERE id = 13", |request, _| {
            request.allot("direct_report", to("13"))
        }),
        case("stale_plan", "", |request, _| request.with("expect", json!("p1.nonsense"))),
    ]
}

/// Reasons that arise once a job is under way, or that stand for others.
const LATER_REASONS: [ReasonCode; 12] = [
    ReasonCode::MoreReasons,
    ReasonCode::Superseded,
    ReasonCode::SuccessorGone,
    ReasonCode::ChunkFailed,
    ReasonCode::RowRefused,
    ReasonCode::AccessRemains,
    ReasonCode::MoreFailed,
    ReasonCode::HandoverUnchecked,
    ReasonCode::StepFailed,
    ReasonCode::OrphansLeft,
    ReasonCode::AttemptFailed,
    ReasonCode::MoreAttemptsFailed,
];

#[test]
fn every_handover_guard_has_a_case() {
    let of_class = ReasonCode::ALL.into_iter().filter(|code| code.guard_class() == GuardClass::Handover);
    let expected: BTreeSet<&str> =
        of_class.filter(|code| !LATER_REASONS.contains(code)).map(ReasonCode::name).collect();
    assert_eq!(handover_guards().iter().map(|case| case.code).collect::<BTreeSet<_>>(), expected);
}

#[every_engine]
async fn handover_guards_never_keep_access_open(world: &mut World) {
    world.start_worker().await;
    hire(world, LEAVING).await;
    let leaving = deactivation("leaving", &LEAVING.to_string()).contacts(to(SUPPORT));
    until_state(world, world.send(&leaving.with("effective_at", json!(LATER))).await, "scheduled").await;
    for (number, case) in (0..).zip(handover_guards()) {
        let user = 300 + number;
        hire(world, user).await;
        if !case.prepare.is_empty() {
            world.sql(&case.prepare.replace("{user}", &user.to_string())).await;
        }
        let request = (case.ask)(lock_out(&format!("{} later", case.code), user), user);
        let later = world.send(&request.with("effective_at", json!(LATER))).await;
        let scheduled = until_state(world, later, "scheduled").await;
        assert_eq!((open_codes(&scheduled), scheduled.access_ended_at), (vec![case.code.to_owned()], None));
        assert!(!is_out(world, user).await, "{}: access ended early", case.code);
        world.make_due(later).await;
        let due = world.end_of(later).await;
        assert_eq!((due.state.name(), codes_of(&due)), ("needs_attention", vec![case.code.to_owned()]));
        assert!(
            is_out(world, user).await && due.access_ended_at.is_some(),
            "{}: access is open at its time",
            case.code
        );
        assert_eq!(world.owned_by(&user.to_string(), "contacts").await, 3, "{}", case.code);
        // The same at once, once the user is back.
        world.send(&command("cancel", &format!("{} back", case.code), later)).await;
        until_state(world, later, "cancelled").await;
        assert!(!is_out(world, user).await, "{}: access is not back", case.code);
        let now = world.hand_over(&(case.ask)(lock_out(&format!("{} now", case.code), user), user)).await;
        assert_eq!((now.state.name(), codes_of(&now)), ("needs_attention", vec![case.code.to_owned()]));
        assert!(is_out(world, user).await && now.access_ended_at.is_some(), "{}: access is open", case.code);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
}

#[every_engine]
async fn access_guards_refuse_a_lock_out(world: &mut World) {
    world.start_worker().await;
    for (user, status) in [(200, "inactive"), (201, "invited")] {
        world.hire(2000 + user, 1).await;
        world.sql(&format!("UPDATE users SET status = '{status}' WHERE id = {}", 2000 + user)).await;
    }
    let before = snapshot::of_host(world).await;
    let cases: [(&str, u32, &str); 5] = [
        ("unknown_user", 99999, "1"),
        ("already_inactive", 2200, "1"),
        ("invited", 2201, "1"),
        ("requester_not_permitted", 53, AMANDA),
        ("requester_is_leaver", 1, "1"),
    ];
    for (code, user, requester) in cases {
        for (id, time) in [("now", None), ("later", Some(LATER))] {
            let request = lock_out(&format!("{code} {id}"), user).without_allotments().requested_by(requester);
            let request = time.into_iter().fold(request, |request, time| request.with("effective_at", json!(time)));
            let job = world.hand_over(&request).await;
            assert_eq!(job.state.name(), "rejected", "{code} {id}");
            assert!(codes_of(&job).contains(&code.to_owned()), "{code} {id}: {:?}", codes_of(&job));
        }
    }
    assert_eq!(snapshot::of_host(world).await, before);
}

#[every_engine]
async fn resumed_lock_out_completes_once_guards_pass(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    world.sql("UPDATE users SET email = NULL WHERE id = 300").await;
    let job = world.hand_over(&lock_out("r1", 300)).await;
    assert_eq!(codes_of(&job), ["incomplete_profile"]);
    let id = handover::contract::JobId(job.id);
    world.hand_over(&command("resume", "r2", id)).await;
    let again = world.until("it is held again", async || {
        world.job(id).await.filter(|job| job.state.name() == "needs_attention" && job.sequence > 1)
    });
    assert_eq!(codes_of(&again.await), ["incomplete_profile"]);
    world.sql("UPDATE users SET email = 'u@example.com' WHERE id = 300").await;
    world.hand_over(&command("resume", "r3", id)).await;
    let job = until_state(world, id, "completed").await;
    assert_eq!(job.reasons, None);
    assert_eq!(world.owned_by("300", "contacts").await, 0);
}

/// Makes a user an administrator, who may send every request.
async fn promote(world: &World, user: u32) {
    hire(world, user).await;
    world.sql(&format!("UPDATE users SET role = 'admin' WHERE id = {user}")).await;
}

#[every_engine]
async fn nobody_stops_their_own_lock_out(world: &mut World) {
    world.start_worker().await;
    promote(world, 300).await;
    let job = world.send(&lock_out("later", 300).with("effective_at", json!(LATER))).await;
    until_state(world, job, "scheduled").await;
    for kind in ["pause", "cancel", "amend"] {
        let mut own = command(kind, kind, job);
        own["requested_by"] = json!("300");
        if kind == "amend" {
            own["reassign"] = json!({ "contact": { "user": "11" } });
        }
        assert_eq!(codes_of(&world.hand_over(&own).await), ["requester_not_permitted"], "{kind}");
    }
    assert_eq!(world.job(job).await.expect("a job").state.name(), "scheduled");
    assert_eq!(world.hand_over(&command("cancel", "by another", job)).await.state.name(), "completed");
}

#[every_engine]
async fn lock_out_outlives_the_rights_of_its_requester(world: &mut World) {
    world.start_worker().await;
    promote(world, 302).await;
    for (user, locks_out) in [(300, true), (301, false)] {
        hire(world, user).await;
        let request = lock_out(&user.to_string(), user).with("lock_out", json!(locks_out));
        let request = request.with("effective_at", json!(LATER)).requested_by("302");
        let job = world.send(&request).await;
        until_state(world, job, "scheduled").await;
        world.sql("UPDATE users SET role = 'member' WHERE id = 302").await;
        world.make_due(job).await;
        let ended = world.end_of(job).await;
        match locks_out {
            true => assert_eq!(ended.state.name(), "completed", "{:?}", ended.reasons),
            false => assert_eq!(codes_of(&ended), ["requester_not_permitted"]),
        }
        assert_eq!(is_out(world, user).await, locks_out);
        world.sql("UPDATE users SET role = 'admin' WHERE id = 302").await;
    }
}
