//! Files with one leaver per row, in the console.

use crate::support::api::{Answer, ApiServer};
use crate::support::keap::{ADMIN, AMANDA, LEAVER};
use crate::support::visitor::Visitor;
use crate::support::{World, every_engine};

/// Three users: one can leave, one has left, one does not exist. The name of the last is markup.
const MIXED: &str = "user_id,deactivated,successor,reason\n53,y,11,left\n31,yes,11,gone\n<i>x</i>,X,11,nobody\n";

/// Sends a file by the form.
async fn upload(visitor: &Visitor<'_>, name: &str, content: &str) -> Answer {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n{content}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"sheet\"\r\n\r\n\r\n--b--\r\n"
    );
    let call = visitor.call("POST", "/bulk").header("Content-Type", "multipart/form-data; boundary=b");
    call.header("Sec-Fetch-Site", "same-origin").body(body).answer().await
}

/// Promise: a file gets a verdict per row and sends nothing; its button sends the good rows, once; the report tells the end.
#[every_engine]
async fn good_rows_are_submitted_once(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    assert!(visitor.get("/bulk").await.expect(200).body.contains("type=\"file\""));
    let path = upload(&visitor, "leavers.csv", MIXED).await.expect(303).headers["location"].clone();
    let page = visitor.get(path.as_str()).await.expect(200).body;
    assert!(page.contains("Submit 1 row") && page.contains("Dana Whitfield"), "{page}");
    assert!(!page.contains("<i>") && page.contains("leavers.csv"), "{page}");
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
    world.start_worker().await;
    for _ in 0..2 {
        visitor.post(path.as_str(), &[]).await.expect(303);
    }
    let completed = async || visitor.get(path.as_str()).await.expect(200).body.contains("Completed").then_some(());
    world.until("the page shows the end", completed).await;
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    let report = visitor.get(format!("{path}/report.csv")).await.expect(200);
    assert!(report.headers["content-disposition"].contains("attachment"), "{report:?}");
    assert!(report.body.contains("completed") && report.body.contains("rejected"), "{}", report.body);
    assert_eq!(report.body.lines().count(), 4, "{}", report.body);
}

/// Promise: what is no file, too large or another's gets a clear page, and nothing is kept.
#[every_engine]
async fn odd_uploads_are_refused_clearly(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let none = upload(&visitor, "", "").await.expect(400).body;
    assert!(none.contains("Choose a file"), "{none}");
    upload(&visitor, "leavers.csv", "name\nsomebody\n").await.expect(422);
    let large = upload(&visitor, "leavers.csv", &"x".repeat(11 * 1024 * 1024)).await;
    assert_eq!(large.status, 413);
    visitor.post("/bulk", &[("file", "x")]).await.expect(415);
    assert_eq!(world.number("SELECT count(*) FROM handover.uploads").await, 0);
    let path = upload(&visitor, "leavers.csv", MIXED).await.expect(303).headers["location"].clone();
    let amanda = Visitor::signed_in(world, &server, AMANDA).await;
    amanda.get(path.as_str()).await.expect(404);
    amanda.post(path.as_str(), &[]).await.expect(404);
    visitor.form("POST", "/bulk", &[]).header("Sec-Fetch-Site", "cross-site").answer().await.expect(403);
}
