//! The page of a job that is under way.

use super::{fill_form, sign_in};
use crate::support::api::ApiServer;
use crate::support::browser::{Scripts, browse};
use crate::support::keap::LEAVER;
use crate::support::people::begun;
use crate::support::process::start_worker;
use crate::support::{World, on_postgres};

const MOVED: &str = "const done = [...document.querySelectorAll('progress')].map(bar => bar.value); ";

/// Promise: an open page follows its job to the end by itself, also when the worker is killed in between.
#[on_postgres]
async fn open_page_survives_a_killed_worker(world: &mut World) {
    world.use_chunks_of(10);
    let server = ApiServer::start(world).await;
    let last = "SELECT 1 FROM contacts WHERE id = (SELECT max(id) FROM contacts WHERE owner_id = 53) FOR UPDATE";
    let held = begun(world, last).await;
    browse(Scripts::On, async |browser| {
        sign_in(browser, world, &server).await;
        browser.open(format!("http://{}/users/{LEAVER}/deactivate", server.address)).await;
        fill_form(browser).await;
        browser.click("Review the plan").await;
        browser.click("Deactivate Dana Whitfield").await;
        browser.evaluate("window.isSamePage = true").await;
        let worker = start_worker(world, &[("HANDOVER_LIMITS__CHUNK_ROWS", "10")]);
        let some = format!("{MOVED} return done.some(moved => moved > 0)");
        browser.until("the page shows progress", &some).await;
        browser.inspect("job-running").await;
        worker.signal("KILL");
        drop(worker);
        world.start_worker().await;
        held.commit().await.expect("a commit");
        browser
            .until("the page shows the end", "return document.querySelector('.state').textContent === 'Completed'")
            .await;
        assert_eq!(browser.evaluate("return window.isSamePage").await, true);
        assert_eq!(browser.texts("#certificate").await, ["Certificate"]);
    })
    .await;
}
