//! Signing in and out, and where forms may come from.

use handover::contract::TokenScope;

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::{ADMIN, LEAVER, leaver};
use crate::support::process::on;
use crate::support::visitor::{Visitor, link_of};
use crate::support::{World, every_engine};

/// Promise: looking at a link changes nothing; its button signs in once; the ledger holds no secret.
#[every_engine]
async fn link_signs_in_once(world: &mut World) {
    let server = ApiServer::start(world).await;
    let link = link_of(world, ADMIN).await;
    let mut visitor = Visitor::of(&server);
    for _ in 0..2 {
        let page = visitor.get(format!("/login/{link}")).await.expect(200);
        assert!(page.body.contains("Sign in as Nicole Hart"), "{}", page.body);
    }
    visitor.get("/users").await.expect(401);
    let signed_in = visitor.use_link(&link).await.expect(303);
    let cookie = &signed_in.headers["set-cookie"];
    let port = server.address.rsplit(':').next().expect("a port");
    assert!(cookie.starts_with(&format!("handover-{port}=hds_")), "{cookie}");
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"),
        "{cookie}"
    );
    visitor.get("/users").await.expect(200);
    Visitor::of(&server).use_link(&link).await.expect(410);
    visitor.get(format!("/login/{link}")).await.expect(410);
    let secret = visitor.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a secret").1;
    let held = format!(
        "SELECT count(*) FROM handover.sign_ins WHERE hash IN ('{link}', '{secret}') OR id IN ('{link}', '{secret}')"
    );
    assert_eq!(world.number(&held).await, 0);
    visitor.post("/logout", &[]).await.expect(200);
    visitor.get("/users").await.expect(401);
}

/// Promise: of two uses of a link at the same time, one signs in.
#[every_engine]
async fn link_is_not_used_twice_at_once(world: &mut World) {
    let server = ApiServer::start(world).await;
    let link = &link_of(world, ADMIN).await;
    let (mut first, mut second) = (Visitor::of(&server), Visitor::of(&server));
    let (first, second) = tokio::join!(first.use_link(link), second.use_link(link));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410]);
    assert_eq!(world.number("SELECT count(*) FROM handover.sign_ins WHERE kind = 'session'").await, 1);
}

/// Promise: links and sessions end by time, and sessions also if they are not used.
#[every_engine]
async fn links_and_sessions_expire(world: &mut World) {
    let server = ApiServer::start(world).await;
    let link = link_of(world, ADMIN).await;
    world.change_ledger("UPDATE handover.sign_ins SET expires_at = created_at").await;
    Visitor::of(&server).use_link(&link).await.expect(410);
    for change in ["expires_at = created_at", "last_used_at = '2026-01-01 00:00:00+00:00'"] {
        let visitor = Visitor::signed_in(world, &server, ADMIN).await;
        visitor.get("/users").await.expect(200);
        world.change_ledger(&format!("UPDATE handover.sign_ins SET {change} WHERE kind = 'session'")).await;
        visitor.get("/users").await.expect(401);
    }
}

/// Promise: a form of another site, or of no stated site, does nothing.
#[every_engine]
async fn cross_site_forms_do_nothing(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let own = format!("http://{}", server.address);
    let refused: [&[(&str, &str)]; 8] = [
        &[],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", own.as_str())],
    ];
    for headers in refused {
        let call =
            headers.iter().fold(visitor.form("POST", "/logout", &[]), |call, (name, value)| call.header(name, *value));
        let page = call.answer().await.expect(403);
        assert!(page.body.contains("nothing was done"), "{headers:?}: {}", page.body);
        visitor.get("/users").await.expect(200);
    }
    let json =
        visitor.call("POST", "/logout").header("Sec-Fetch-Site", "same-origin").header("Content-Type", "text/plain");
    json.body("").answer().await.expect(415);
    visitor.form("POST", "/logout", &[]).header("Origin", own).answer().await.expect(200);
    visitor.get("/users").await.expect(401);
}

/// Promise: sessions and open links of a leaver end in the transaction that ends their access.
#[every_engine]
async fn lock_out_ends_sessions_of_the_leaver(world: &mut World) {
    let server = ApiServer::start(world).await;
    let admin = &token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    let (leaving, staying) =
        (Visitor::signed_in(world, &server, LEAVER).await, Visitor::signed_in(world, &server, ADMIN).await);
    let open = link_of(world, LEAVER).await;
    leaving.get("/users").await.expect(200);
    server.put(admin, &leaver()).answer().await.expect(202);
    leaving.get("/users").await.expect(401);
    staying.get("/users").await.expect(200);
    let live = "SELECT count(*) FROM handover.sign_ins WHERE ended_at IS NULL AND user_id = '53'";
    assert_eq!(world.number(live).await, 0);
    // Neither comes back with the user.
    world.sql(&format!("UPDATE users SET status = 'active' WHERE id = {LEAVER}")).await;
    leaving.get("/users").await.expect(401);
    Visitor::of(&server).use_link(&open).await.expect(410);
}

/// Promise: a cookie opens no path of the API, and a token opens no page.
#[every_engine]
async fn cookies_and_tokens_do_not_mix(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = token_of(world, ADMIN, &[TokenScope::UsersRead]).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    visitor.get("/v1/users").await.problem(401, "unauthenticated");
    server.get(&token, "/v1/users").answer().await.expect(200);
    server.get(&token, "/users").answer().await.expect(401);
    let port = server.address.rsplit(':').next().expect("a port");
    let as_cookie = server.call("GET", "/users").header("Cookie", format!("handover-{port}={token}"));
    as_cookie.answer().await.expect(401);
}

/// Promise: the command prints a link for an active user, under the address of the settings.
#[every_engine]
async fn command_prints_a_link(world: &mut World) {
    let printed = on(world, &["console", "login", "--user", "1", "--org", "1"]).expect(0).out;
    let link = printed.trim().strip_prefix("http://127.0.0.1:9465/login/").expect("a link");
    let server = ApiServer::start(world).await;
    Visitor::of(&server).use_link(link).await.expect(303);
    let refused = on(world, &["console", "login", "--user", "999", "--org", "1"]).expect(1);
    assert!(refused.err.contains("no active user"), "{}", refused.err);
}
