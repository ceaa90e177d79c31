//! The Keap help page "Deactivate a user profile", sentence by sentence: page, database and certificate agree.

use handover::contract::{Certificate, JobId};

use super::{CONTACTS, fill_form, sign_in};
use crate::support::api::ApiServer;
use crate::support::browser::{Browser, Scripts, browse};
use crate::support::keap::{AMANDA, GERALDINE, LEAVER, MATHEW, SUPPORT};
use crate::support::world::{certificate_of, counts, successors_of};
use crate::support::{World, on_postgres, on_sqlite};

const SUCCESSORS: [(&str, u64); 4] = [(SUPPORT, 5), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)];

/// Promise: the eight steps of the help page lead to its numbers, in the page, the database and the certificate. Every page on
/// the way is accessible.
#[on_postgres]
async fn keap_steps_lead_to_its_numbers(world: &mut World) {
    browse(Scripts::On, async |browser| follow_the_help_page(world, browser).await).await;
}

/// Promise: the eight steps also work without scripts.
#[on_sqlite]
async fn keap_steps_work_without_scripts(world: &mut World) {
    browse(Scripts::Off, async |browser| follow_the_help_page(world, browser).await).await;
}

/// Follows the help page's numbered sentences, and brings everything back at the end.
async fn follow_the_help_page(world: &mut World, browser: &Browser) {
    let server = ApiServer::start(world).await;
    let before = contacts_of_successors(world).await;
    sign_in(browser, world, &server).await;
    open_form(world, browser).await;
    assign(browser).await;
    browser.click("Review the plan").await;
    browser.inspect("review").await;
    assert_eq!(world.status_of(LEAVER).await, "active");
    // 8. "Click the Process button. This action frees up a user license."
    browser.click("Deactivate Dana Whitfield").await;
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    let job = browser.path().await;
    browser.reload().await;
    assert_eq!(browser.path().await, job);
    browser.inspect("job").await;
    world.start_worker().await;
    let id = JobId(job.trim_start_matches("/jobs/").parse().expect("a job's id"));
    let certificate = certificate_of(&world.end_of(id).await);
    browser.reload().await;
    assert_eq!(browser.text(".state").await, "Completed");
    browser.inspect("job-completed").await;
    browser.click("Certificate").await;
    browser.inspect("certificate").await;
    compare(world, browser, &certificate, before).await;
    browser.click("Job").await;
    revert(world, browser, before).await;
}

async fn open_form(world: &World, browser: &Browser) {
    // 1. "Navigate to Admin > Users." 2. "In the status drop-down, select Active to view all active user profiles."
    browser.click("Users").await;
    browser.choose("Status", "Active").await;
    browser.click("Show").await;
    let active = world.number("SELECT count(*) FROM users WHERE org_id = 1 AND status = 'active'").await;
    assert_eq!(browser.texts("tbody tr").await.len(), usize::try_from(active).expect("a count"));
    browser.inspect("users").await;
    // 3. "Click the user name." 4. "Scroll down and click the Deactivate button."
    browser.click("Dana Whitfield").await;
    browser.inspect("user").await;
    browser.click("Deactivate").await;
}

async fn assign(browser: &Browser) {
    // 6. "There are 104 contacts assigned to the user you are about to deactivate, and zero of those are assigned to new users."
    assert_eq!(assigned(browser).await, ["0 / 104", "0 / 92", "0 / 12"]);
    browser.inspect("form").await;
    // 7. "When all contacts are accounted for; e.g., 104/104, then move to the Leads section to assign those."
    for (name, number) in CONTACTS {
        browser.fill(&format!("Contact > {name}"), number).await;
    }
    browser.click("Recalculate").await;
    assert_eq!(assigned(browser).await, ["104 / 104", "0 / 92", "0 / 12"]);
    fill_form(browser).await;
    browser.click("Recalculate").await;
    assert_eq!(assigned(browser).await, ["104 / 104", "92 / 92", "12 / 12"]);
    assert_eq!(browser.value("Contact > Amanda Madsen").await, "50");
    browser.inspect("form-filled").await;
}

/// Compares the page of the certificate with the certificate and the database.
async fn compare(world: &World, browser: &Browser, certificate: &Certificate, before: [i64; 4]) {
    assert_eq!(successors_of(certificate, "contact"), counts(SUCCESSORS));
    let after = contacts_of_successors(world).await;
    let page = browser.texts("tbody tr").await;
    let row = page.iter().find(|row| row.starts_with("Contact")).expect("a row of contacts");
    for (at, (name, number)) in CONTACTS.into_iter().enumerate() {
        assert_eq!((after[at] - before[at]).to_string(), number, "{name}");
        assert!(row.contains(&format!("{name}: {number}")), "{row}");
    }
}

/// "What if I deactivated the wrong user?" The help page says that nothing can be done.
async fn revert(world: &World, browser: &Browser, before: [i64; 4]) {
    browser.click("Revert…").await;
    browser.inspect("revert").await;
    browser.click("Give everything back to Dana Whitfield").await;
    let path = browser.path().await;
    world.end_of(JobId(path.trim_start_matches("/jobs/").parse().expect("a job's id"))).await;
    browser.reload().await;
    assert_eq!(browser.text(".state").await, "Completed");
    assert_eq!(contacts_of_successors(world).await, before);
    assert_eq!((world.owned_by(LEAVER, "contacts").await, world.status_of(LEAVER).await), (104, "active".into()));
    browser.click("Jobs").await;
    browser.inspect("jobs").await;
}

async fn contacts_of_successors(world: &World) -> [i64; 4] {
    let mut counts = [0; 4];
    for (count, (user, _)) in counts.iter_mut().zip(SUCCESSORS) {
        *count = world.owned_by(user, "contacts").await;
    }
    counts
}

/// Returns how many of the three kinds are assigned.
async fn assigned(browser: &Browser) -> [String; 3] {
    [browser.text("#count-contact").await, browser.text("#count-lead").await, browser.text("#count-task").await]
}
