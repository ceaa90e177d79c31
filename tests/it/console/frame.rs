//! What all pages share: headers, files, and clear pages for what goes wrong.

use crate::support::api::ApiServer;
use crate::support::keap::ADMIN;
use crate::support::visitor::Visitor;
use crate::support::{World, every_engine};

/// Promise: every page forbids foreign scripts, frames, sniffing, referrers and storing; nothing is inline.
#[every_engine]
async fn pages_are_protected(world: &mut World) {
    let server = ApiServer::start(world).await;
    let (guest, visitor) = (Visitor::of(&server), Visitor::signed_in(world, &server, ADMIN).await);
    for page in [
        guest.get("/").await.expect(401),
        guest.get("/login/x").await.expect(410),
        guest.get("/nowhere").await.expect(404),
        visitor.get("/users").await.expect(200),
        visitor.get("/users?status=odd").await.expect(400),
        visitor.get("/logout").await.expect(404),
    ] {
        let policy = &page.headers["content-security-policy"];
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{policy}");
        }
        let header = |name: &str| page.headers.get(name).map(String::as_str);
        assert_eq!(header("cache-control"), Some("no-store"), "{page:?}");
        assert_eq!(header("referrer-policy"), Some("no-referrer"));
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        assert!(!page.body.contains("<style") && !page.body.contains(" style=") && !page.body.contains(" onclick="));
        assert!(!page.body.contains("<script>"), "{}", page.body);
    }
}

/// Promise: files are kept for ever under a path that changes with their content.
#[every_engine]
async fn files_have_hashed_paths(world: &mut World) {
    let server = ApiServer::start(world).await;
    let guest = Visitor::of(&server);
    let page = guest.get("/").await.expect(401).body;
    for kind in ["css", "js"] {
        let path = page.split('"').find(|text| text.ends_with(&format!("/console.{kind}"))).expect("a file");
        let file = guest.get(path).await.expect(200);
        assert!(file.headers["cache-control"].contains("immutable"), "{file:?}");
        guest.get(path.replace("/assets/", "/assets/0")).await.expect(404);
    }
}
