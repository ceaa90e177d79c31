//! The pages in a real browser: what a person reads and presses, and that every page is accessible.

mod harness;
mod keap;
mod pages;
mod progress;
mod tabs;

use crate::support::World;
use crate::support::api::ApiServer;
use crate::support::browser::Browser;
use crate::support::keap::ADMIN;
use crate::support::visitor::link_of;

/// The receivers of contacts in the help page's example, each with a number.
const CONTACTS: [(&str, &str); 4] =
    [("Alwayshelpful Support", "5"), ("Amanda Madsen", "50"), ("Geraldine Vaughn", "20"), ("Mathew Magwood", "29")];

/// Signs the administrator in by a link.
async fn sign_in(browser: &Browser, world: &World, server: &ApiServer) {
    let link = link_of(world, ADMIN).await;
    browser.open(format!("http://{}/login/{link}", server.address)).await;
    browser.click("Sign in as Nicole Hart").await;
    assert_eq!(browser.path().await, "/users");
}

/// Fills the form as in the help page's example.
async fn fill_form(browser: &Browser) {
    for (name, number) in CONTACTS {
        browser.fill(&format!("Contact > {name}"), number).await;
    }
    browser.click_on("#hardcoded-lead").await;
    browser.fill("Lead > Round robin: West team", "92").await;
    browser.fill("Task > Alwayshelpful Support", "1").await;
}
