//! A real browser for one test: Debian's Chromium without a window, with an empty profile.

mod driver;
mod inspection;

use std::panic::AssertUnwindSafe;

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::world::LIMIT;
use driver::{Driver, Extension};

/// The setting of scripts in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// A browser with one tab. Every step waits until its page has loaded.
pub struct Browser {
    pub client: Client,
    axe: Option<String>,
}

/// Runs a test with a browser, and checks at its end that no page broke its policy or wrote an error to the console. Without
/// Chromium it prints a message and runs nothing.
pub async fn browse(scripts: Scripts, test: impl AsyncFnOnce(&Browser)) {
    let Some(process) = tokio::task::block_in_place(Driver::start) else { return };
    let axe = match scripts {
        Scripts::On => tokio::task::block_in_place(super::checkers::axe),
        // It could not run.
        Scripts::Off => None,
    };
    let browser = Browser { client: process.session(scripts).await, axe };
    let passed = AssertUnwindSafe(test(&browser)).catch_unwind().await;
    let outcome = match passed {
        Ok(()) => Ok(browser.complaints().await),
        Err(panic) => Err(panic),
    };
    // A browser that crashed is closed already.
    let _ = browser.client.clone().close().await;
    tokio::task::block_in_place(|| drop(process));
    match outcome {
        Ok(complaints) => assert_eq!(complaints, Vec::<String>::new(), "in the browser's console"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Browser {
    /// Opens a page.
    pub async fn open(&self, url: impl AsRef<str>) {
        self.client.goto(url.as_ref()).await.unwrap_or_else(|error| panic!("{}: {error}", url.as_ref()));
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page again");
    }

    /// Opens a tab and goes there.
    pub async fn open_tab(&self) {
        let tab = self.client.new_window(true).await.expect("a tab");
        self.client.switch_to_window(tab.handle).await.expect("the tab");
    }

    /// Goes to a tab, by its place.
    pub async fn switch_to_tab(&self, place: usize) {
        let tabs = self.client.windows().await.expect("tabs");
        self.client.switch_to_window(tabs[place].clone()).await.expect("the tab");
    }

    /// Returns the path of the current page, with its query.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("a URL");
        url[url::Position::BeforePath..].to_owned()
    }

    /// Returns what a reader sees of the first element that matches.
    pub async fn text(&self, css: &str) -> String {
        self.element(Locator::Css(css)).await.text().await.expect("its text")
    }

    /// Returns what a reader sees of each element that matches.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.expect("elements") {
            texts.push(element.text().await.expect("its text"));
        }
        texts
    }

    /// Clicks the link or the button with this text, and waits for the page to which it leads.
    pub async fn click(&self, text: &str) {
        let path = format!("//a[normalize-space()='{text}'] | //button[normalize-space()='{text}']");
        let page = self.element(Locator::Css("html")).await;
        self.click_element(Locator::XPath(&path)).await;
        let deadline = tokio::time::Instant::now() + LIMIT;
        while page.tag_name().await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "{text} leads to no other page");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.until("the page is loaded", "return document.readyState === 'complete'").await;
    }

    /// Clicks the first element that matches.
    pub async fn click_on(&self, css: &str) {
        self.click_element(Locator::Css(css)).await;
    }

    /// Replaces the content of the field that a label names.
    pub async fn fill(&self, label: &str, value: &str) {
        let field = self.field(label).await;
        field.clear().await.expect("an empty field");
        field.send_keys(value).await.expect("a filled field");
    }

    /// Presses the Enter key in the field that a label names.
    pub async fn press_enter(&self, label: &str) {
        self.field(label).await.send_keys("\u{e007}").await.expect("a key");
    }

    /// Chooses a file in the field that a label names.
    pub async fn choose_file(&self, label: &str, path: &str) {
        self.field(label).await.send_keys(path).await.expect("a chosen file");
    }

    /// Returns the value of the field that a label names.
    pub async fn value(&self, label: &str) -> String {
        self.field(label).await.prop("value").await.expect("a property").unwrap_or_default()
    }

    /// Chooses an option, by its text, in the list that a label names.
    pub async fn choose(&self, label: &str, option: &str) {
        let list = self.field(label).await;
        let path = format!(".//option[normalize-space()='{option}']");
        let found = list.find(Locator::XPath(&path)).await.unwrap_or_else(|error| panic!("{option}: {error}"));
        found.click().await.expect("a choice");
    }

    /// Waits until a script returns true. With scripts of pages off, it still runs.
    pub async fn until(&self, what: &str, script: &str) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while self.evaluate(script).await != json!(true) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "timed out waiting until {what}: {}",
                self.evaluate("return document.body.innerText").await
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Returns what a script returns.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Returns the field that a label names, by the label's `for` or its content. "Contact > Ada" is Ada's in the fieldset Contact.
    async fn field(&self, label: &str) -> Element {
        let labelled = |label: &str| format!("//label[normalize-space(text())='{label}']");
        let path = match label.split_once(" > ") {
            Some((legend, label)) => format!("//fieldset[legend='{legend}']{}", labelled(label)),
            None => labelled(label),
        };
        let found = self.client.find(Locator::XPath(&path)).await;
        let found = found.unwrap_or_else(|error| panic!("no label {label}: {error}"));
        match found.attr("for").await.expect("an attribute") {
            Some(id) => self.element(Locator::Id(&id)).await,
            None => found.find(Locator::Css("input, select, textarea")).await.expect("a field"),
        }
    }

    async fn click_element(&self, by: Locator<'_>) {
        let element = self.element(by).await;
        let at = serde_json::to_value(&element).expect("an element");
        let script = "arguments[0].scrollIntoView({ block: 'center' })";
        self.client.execute(script, vec![at]).await.expect("the element in view");
        element.click().await.unwrap_or_else(|error| panic!("{by:?}: {error}"));
    }

    async fn element(&self, by: Locator<'_>) -> Element {
        match self.client.find(by).await {
            Ok(element) => element,
            Err(error) => panic!("{by:?} is not on {}: {error}", self.path().await),
        }
    }

    /// Sends a command of Chrome's DevTools.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.extension("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Sends a command that only Chrome's driver has.
    async fn extension(&self, name: &'static str, parameters: Value) -> Value {
        let command = Extension { name, parameters };
        self.client.issue_cmd(command).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}
