//! The pages around the form: files with many leavers, the inbox, and naming successors later.

use super::sign_in;
use crate::support::api::ApiServer;
use crate::support::browser::{Scripts, browse};
use crate::support::keap::LEAVER;
use crate::support::process::text;
use crate::support::{World, on_sqlite};

const FILE: &str = "user_id,deactivated,successor,reason\n16,y,11,left\n31,yes,11,gone\n999,X,11,nobody\n";

/// Promise: a person locks out now, finds it in the inbox, and names successors later. Its pages are accessible.
#[on_sqlite]
async fn locked_out_user_is_finished_from_the_inbox(world: &mut World) {
    let server = ApiServer::start(world).await;
    world.start_worker().await;
    browse(Scripts::On, async |browser| {
        sign_in(browser, world, &server).await;
        browser.open(format!("http://{}/users/{LEAVER}/deactivate", server.address)).await;
        browser.click("Lock out now").await;
        assert_eq!(world.status_of(LEAVER).await, "inactive");
        browser.click("Inbox").await;
        browser.inspect("inbox").await;
        browser.click("Deactivate: Dana Whitfield").await;
        browser.click("Name successors").await;
        browser.inspect("amend").await;
        browser.fill("Contact > Amanda Madsen", "1").await;
        browser.fill("Lead > Round robin: West team", "1").await;
        browser.fill("Task > Alwayshelpful Support", "1").await;
        browser.click("Assign and go on").await;
        let ended = "return document.querySelector('.state').textContent === 'Completed'";
        browser.until("the page shows the end", ended).await;
        assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    })
    .await;
}

/// Promise: a person uploads a file, reads the verdicts, submits the good rows and sees their end. Its pages are accessible.
#[on_sqlite]
async fn file_is_checked_submitted_and_followed(world: &mut World) {
    let server = ApiServer::start(world).await;
    world.start_worker().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leavers.csv");
    std::fs::write(&file, FILE).expect("a file");
    browse(Scripts::On, async |browser| {
        sign_in(browser, world, &server).await;
        browser.click("Bulk").await;
        browser.inspect("bulk").await;
        browser.choose_file("File", text(&file)).await;
        browser.click("Check the rows").await;
        browser.inspect("bulk-rows").await;
        browser.click("Submit 1 row").await;
        let ended = "return document.querySelector('#rows').innerText.includes('Completed')";
        browser.until("the page shows the end", ended).await;
        browser.inspect("bulk-completed").await;
        assert_eq!(world.status_of("16").await, "inactive");
    })
    .await;
}

/// Promise: the Enter key in a number counts anew, and changes no number.
#[on_sqlite]
async fn enter_key_counts_anew(world: &mut World) {
    let server = ApiServer::start(world).await;
    browse(Scripts::On, async |browser| {
        sign_in(browser, world, &server).await;
        browser.open(format!("http://{}/users/{LEAVER}/deactivate", server.address)).await;
        browser.fill("Contact > Amanda Madsen", "1").await;
        browser.press_enter("Contact > Amanda Madsen").await;
        let counted = "return document.querySelector('#count-contact')?.textContent === '104 / 104'";
        browser.until("the page counts anew", counted).await;
        assert_eq!(browser.value("Contact > Amanda Madsen").await, "1");
    })
    .await;
}
