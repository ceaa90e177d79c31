//! The steps of the Keap help page by forms, and what may go wrong on the way.

use handover::contract::JobId;
use handover::job::State;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::api::ApiServer;
use crate::support::keap::{ADMIN, AMANDA, GERALDINE, LEAVER, LUCAS, MATHEW, SUPPORT};
use crate::support::visitor::Visitor;
use crate::support::world::{certificate_of, counts, result_of, successors_of};
use crate::support::{World, every_engine};

const FORM: &str = "/users/53/deactivate";

/// The numbers of the help page: contacts in a ratio, leads to the round-robin group, tasks to one user.
const KEAP: [(&str, &str); 10] = [
    ("logic:contact", "ratio"),
    ("user:contact:11", "5"),
    ("user:contact:12", "50"),
    ("user:contact:13", "20"),
    ("user:contact:14", "29"),
    ("logic:lead", "hardcoded"),
    ("group:lead:West team", "92"),
    ("logic:task", "ratio"),
    ("user:task:11", "1"),
    ("reason", "left"),
];

/// Returns the fields of the help page with the button that is pressed.
fn keap_with(button: &'static str) -> Vec<(&'static str, &'static str)> {
    KEAP.into_iter().chain([("do", button)]).collect()
}

fn job_of(location: &str) -> JobId {
    JobId(location.strip_prefix("/jobs/").expect("a job").parse().expect("an id"))
}

/// Promise: the help page's steps by forms: 0/104, 104/104, the plan, one job however often the button is pressed, the certificate.
#[every_engine]
async fn keap_steps_lead_to_the_certificate(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let user = visitor.get("/users/53").await.expect(200).body;
    assert!(user.contains("Dana Whitfield") && user.contains(&format!("href=\"{FORM}\"")), "{user}");
    let open = visitor.get(FORM).await.expect(200).body;
    for (kind, count) in [("contact", "0 / 104"), ("lead", "0 / 92"), ("task", "0 / 12")] {
        assert!(open.contains(&format!("id=\"count-{kind}\">{count}<")), "{kind}: {open}");
    }
    assert!(!open.contains("Fix these first"), "{open}");
    let counted = visitor.post(FORM, &keap_with("recalculate")).await.expect(200).body;
    for (kind, count) in [("contact", "104 / 104"), ("lead", "92 / 92"), ("task", "12 / 12")] {
        assert!(counted.contains(&format!("id=\"count-{kind}\">{count}<")), "{kind}: {counted}");
    }
    assert!(counted.contains("12 = 1 + 11 extras"), "{counted}");
    let plan = visitor.post(FORM, &keap_with("review")).await.expect(200);
    assert!(plan.body.contains("Amanda Madsen: 50") && plan.body.contains("104 / 104"), "{}", plan.body);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0, "nothing is done before it is confirmed");
    let process = [("do", "process")];
    let (first, second) = tokio::join!(visitor.press(&plan, FORM, &process), visitor.press(&plan, FORM, &process));
    let locations = [first.expect(303), second.expect(303)].map(|answer| answer.headers["location"].clone());
    assert_eq!(locations[0], locations[1]);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    world.start_worker().await;
    let job = world.end_of(job_of(&locations[0])).await;
    let certificate = certificate_of(&job);
    let expected = counts([(SUPPORT, 5), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)]);
    assert_eq!(successors_of(&certificate, "contact"), expected);
    let owned = format!("SELECT count(*) FROM opportunities WHERE owner_id = {LUCAS}");
    assert!(world.number(&owned).await > 0, "leads go to the group in turn");
    let page = visitor.get(format!("{}/certificate", locations[0])).await.expect(200).body;
    let moved = result_of(&certificate, "contact").moved.expect("a count");
    assert!(page.contains(&format!("{moved} moved")) && page.contains("Mathew Magwood: 29"), "{page}");
    assert!(page.contains("Nothing that had to move") && page.contains("<dd>left</dd>"), "{page}");
    let json = visitor.get(format!("{}/certificate.json", locations[0])).await.expect(200).json();
    assert_eq!(json, serde_json::to_value(&certificate).expect("JSON"));
}

/// Promise: every obstacle is listed at once, at its kind, with its hint; a plan with obstacles cannot be confirmed.
#[every_engine]
async fn obstacles_are_listed_at_once(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let fields = [("logic:lead", "ratio"), ("user:lead:14", "1"), ("user:contact:12", "1"), ("do", "review")];
    let page = visitor.post(FORM, &fields).await.expect(200).body;
    assert!(page.contains("Fix these first") && page.contains("href=\"#kind-lead\""), "{page}");
    assert!(page.contains("href=\"#kind-task\"") && !page.contains("href=\"#kind-contact\""), "{page}");
    assert!(
        page.contains("id=\"u-contact-12\" name=\"user:contact:12\" value=\"1\""),
        "what was entered stays: {page}"
    );
    let odd = visitor.post(FORM, &[("user:contact:12", "many"), ("do", "recalculate")]).await.expect(400).body;
    assert!(odd.contains("whole number"), "{odd}");
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
}

/// Promise: a plan that has changed since the review does nothing, and the page says what changed and shows the new plan.
#[every_engine]
async fn stale_plan_is_shown_again(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let plan = visitor.post(FORM, &keap_with("review")).await.expect(200);
    world.sql("UPDATE tasks SET owner_id = 11 WHERE id = (SELECT min(id) FROM tasks WHERE owner_id = 53 AND status = 'pending')").await;
    let changed = visitor.press(&plan, FORM, &[("do", "process")]).await.expect(200);
    assert!(changed.body.contains("The plan has changed") && changed.body.contains("task"), "{}", changed.body);
    let status = format!("SELECT status AS t FROM users WHERE id = {LEAVER}");
    assert_eq!(world.texts(&status).await, ["active"]);
    visitor.press(&changed, FORM, &[("do", "process")]).await.expect(303);
    assert_eq!(world.texts(&status).await, ["inactive"]);
}

/// Promise: who may not deactivate sees a disabled button with the reason, and the form changes nothing.
#[every_engine]
async fn buttons_say_why_they_are_disabled(world: &mut World) {
    let server = ApiServer::start(world).await;
    let amanda = Visitor::signed_in(world, &server, AMANDA).await;
    let page = amanda.get("/users/53").await.expect(200).body;
    assert!(page.contains("disabled") && !page.contains(FORM), "{page}");
    amanda.post(FORM, &keap_with("process")).await.expect(200);
    amanda.post(FORM, &[("do", "lock_out")]).await.expect(422);
    let status = format!("SELECT status AS t FROM users WHERE id = {LEAVER}");
    assert_eq!(world.texts(&status).await, ["active"]);
}

/// Promise: a lock-out needs no successors, ends access at once, and leaves a job that waits for a person.
#[every_engine]
async fn lock_out_is_a_button_of_its_own(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let made = visitor.post(FORM, &[("do", "lock_out"), ("request_id", "l1")]).await.expect(303);
    assert_eq!(world.texts(&format!("SELECT status AS t FROM users WHERE id = {LEAVER}")).await, ["inactive"]);
    let page = visitor.get(made.headers["location"].as_str()).await.expect(200).body;
    assert!(page.contains("Needs attention") && page.contains("Why the job stopped"), "{page}");
}

/// Promise: a start and a return in a zone make a leave that is due then; a time that is past is refused.
#[every_engine]
async fn form_takes_a_start_and_a_return(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let year = OffsetDateTime::now_utc().year() + 1;
    let (starts, returns) = (format!("{year}-07-01T18:00"), format!("{year}-08-01T08:00"));
    let times = [("starts", starts.as_str()), ("returns", &returns), ("time_zone", "Europe/Berlin")];
    let plan = visitor.post(FORM, &[&keap_with("review")[..], &times].concat()).await.expect(200);
    assert!(plan.body.contains(&format!("{year}-07-01 16:00:00 UTC")), "{}", plan.body);
    let sent = visitor.press(&plan, FORM, &[("do", "process")]).await.expect(303);
    let job = world.job(job_of(&sent.headers["location"])).await.expect("a job");
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(job.state, State::Scheduled);
    let written = |at: Option<OffsetDateTime>| at.expect("a time").format(&Rfc3339).expect("a time");
    assert_eq!(written(job.effective_at), format!("{year}-07-01T16:00:00Z"));
    assert_eq!(written(job.return_at), format!("{year}-08-01T06:00:00Z"));
    let past = [("starts", "2020-01-01T18:00")];
    let odd = visitor.post(FORM, &[&keap_with("review")[..], &past].concat()).await.expect(400).body;
    assert!(odd.contains("past"), "{odd}");
}

/// Promise: numbers are filled in evenly, among the users with a number or all; the rest is added to what was entered.
#[every_engine]
async fn numbers_are_filled_in(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let value = |user: &str, number: u64| format!("name=\"user:contact:{user}\" value=\"{number}\"");
    let two = [("user:contact:12", "10"), ("user:contact:13", "1")];
    let even = visitor.post(FORM, &[&two[..], &[("do", "even:contact")]].concat()).await.expect(200).body;
    assert!(even.contains(&value(AMANDA, 52)) && even.contains(&value(GERALDINE, 52)), "{even}");
    let rest = visitor.post(FORM, &[&two[..], &[("do", "rest:contact")]].concat()).await.expect(200).body;
    assert!(rest.contains(&value(AMANDA, 57)) && rest.contains(&value(GERALDINE, 47)), "{rest}");
    assert!(rest.contains("id=\"count-contact\">104 / 104<"), "{rest}");
    let all = visitor.post(FORM, &[("do", "even:lead")]).await.expect(200).body;
    assert!(all.contains("id=\"count-lead\">92 / 92<") && !all.contains("name=\"user:lead:14\""), "{all}");
}
