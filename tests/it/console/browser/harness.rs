//! The checks that every page passes find what they are for.

use crate::support::browser::{Scripts, browse};
use crate::support::{World, on_sqlite};

const PAGE: &str = r#"<!DOCTYPE html><html lang="en"><head><title>Test</title>
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'"></head>
    <body><main><h1>Test</h1>BODY</main></body></html>"#;

fn page(body: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(PAGE.replace("BODY", body).as_bytes()).collect();
    format!("data:text/html,{}", encoded.replace('+', "%20"))
}

/// Promise: the checks of each page find a breach of its policy, a field without a label, and what is too wide.
#[on_sqlite]
async fn checks_find_faults(_: &mut World) {
    browse(Scripts::On, async |browser| {
        browser.open(page("<p>Fine</p>")).await;
        assert_eq!(browser.faults("harness").await, Vec::<String>::new());
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.open(page("<script>document.title = 'Changed'</script>")).await;
        let complaints = browser.complaints().await;
        assert!(complaints.len() == 1 && complaints[0].contains("Content Security Policy"), "{complaints:?}");
        browser.open(page("<input>")).await;
        let faults = browser.faults("harness").await;
        assert!(faults.len() == 2 && faults.iter().all(|fault| fault.contains("label: <input>")), "{faults:?}");
        browser.open(page(&"wide".repeat(100))).await;
        let faults = browser.faults("harness").await;
        assert!(faults.len() == 1 && faults[0].contains("pixels wide"), "{faults:?}");
    })
    .await;
}

/// Promise: with scripts off, a page's own script does not run.
#[on_sqlite]
async fn scripts_can_be_off(_: &mut World) {
    browse(Scripts::Off, async |browser| {
        browser.open("data:text/html,<title>Off</title><script>document.title = 'On'</script>").await;
        assert_eq!(browser.evaluate("return document.title").await, "Off");
    })
    .await;
}

const FORM: &str = r#"<!DOCTYPE html><html lang="en"><head><title>Form</title></head><body><main><h1>Form</h1><form>
    <label for="name">Name</label> <input id="name" name="name" value="nobody">
    <fieldset><legend>Work</legend>
    <label>Place <select name="place"><option>Here</option><option>There</option></select></label></fieldset>
    <ul><li>one</li><li>two</li></ul> <button>Save it</button></form></main></body></html>"#;

/// Promise: steps find fields by their labels and buttons by their text, and wait for the next page.
#[on_sqlite]
async fn steps_are_named_as_readers_see(_: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("form.html");
    std::fs::write(&file, FORM).expect("a page");
    browse(Scripts::Off, async |browser| {
        browser.open(format!("file://{}", file.display())).await;
        assert_eq!(
            (browser.text("h1").await, browser.texts("li").await),
            ("Form".into(), vec!["one".into(), "two".into()])
        );
        assert_eq!(browser.value("Name").await, "nobody");
        browser.fill("Name", "Ada").await;
        browser.choose("Work > Place", "There").await;
        browser.click("Save it").await;
        assert!(browser.path().await.ends_with("form.html?name=Ada&place=There"), "{}", browser.path().await);
        browser.click_on("button").await;
        browser.until("the form is sent again", "return location.search === '?name=nobody&place=Here'").await;
    })
    .await;
}
