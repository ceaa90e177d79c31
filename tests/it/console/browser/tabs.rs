//! Two tabs, obstacles, and visitors without a session.

use super::{fill_form, sign_in};
use crate::support::api::ApiServer;
use crate::support::browser::{Scripts, browse};
use crate::support::keap::LEAVER;
use crate::support::{World, on_sqlite};

/// Promise: of two tabs that confirm the same plan, the second does nothing and says why.
#[on_sqlite]
async fn second_tab_changes_nothing(world: &mut World) {
    let server = ApiServer::start(world).await;
    browse(Scripts::On, async |browser| {
        sign_in(browser, world, &server).await;
        let form = format!("http://{}/users/{LEAVER}/deactivate", server.address);
        for _ in 0..2 {
            browser.open_tab().await;
            browser.open(&form).await;
            fill_form(browser).await;
            browser.click("Review the plan").await;
        }
        browser.click("Deactivate Dana Whitfield").await;
        let job = browser.path().await;
        browser.switch_to_tab(1).await;
        browser.click("Deactivate Dana Whitfield").await;
        assert!(browser.text(".problems").await.contains("inactive"), "{}", browser.text("main").await);
        browser.inspect("form-refused").await;
        assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state <> 'rejected'").await, 1, "{job}");
    })
    .await;
}

/// Promise: pages of what goes wrong are accessible too.
#[on_sqlite]
async fn refusals_are_accessible(world: &mut World) {
    let server = ApiServer::start(world).await;
    browse(Scripts::On, async |browser| {
        browser.open(format!("http://{}/", server.address)).await;
        browser.inspect("not-signed-in").await;
        let link = crate::support::visitor::link_of(world, crate::support::keap::ADMIN).await;
        browser.open(format!("http://{}/login/{link}", server.address)).await;
        browser.inspect("sign-in").await;
        browser.click("Sign in as Nicole Hart").await;
        browser.open(format!("http://{}/users/{LEAVER}/deactivate", server.address)).await;
        browser.fill("Contact > Amanda Madsen", "1").await;
        browser.click("Review the plan").await;
        browser.inspect("form-obstacles").await;
        browser.click("Lock out now").await;
        assert_eq!(browser.text(".state").await, "Needs attention");
        browser.inspect("job-needs-attention").await;
        browser.click("Sign out").await;
        browser.inspect("signed-out").await;
    })
    .await;
}
