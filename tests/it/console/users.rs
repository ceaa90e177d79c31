//! The list of users.

use crate::support::api::ApiServer;
use crate::support::keap::{ADMIN, AMANDA, LEAVER};
use crate::support::visitor::Visitor;
use crate::support::{World, every_engine};

/// Promise: users are listed by status and found by a part of their name; names are text, whatever they contain.
#[every_engine]
async fn users_are_listed_searched_and_escaped(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let active = visitor.get("/users?status=active").await.expect(200).body;
    assert!(active.contains("Dana Whitfield") && active.contains("href=\"/users/53\""), "{active}");
    assert!(!active.contains("Tessa Randall"), "she is invited");
    let invited = visitor.get("/users?status=invited").await.expect(200).body;
    assert!(invited.contains("Tessa Randall") && !invited.contains("Dana Whitfield"), "{invited}");
    world.sql(&format!("UPDATE users SET name = '<script>alert(1)</script>\"' WHERE id = {LEAVER}")).await;
    let found = visitor.get("/users?q=alert").await.expect(200).body;
    assert!(found.contains("&#60;script&#62;alert(1)") && !found.contains("<script>"), "{found}");
    assert!(!found.contains("Amanda Madsen"), "{found}");
    let none = visitor.get("/users?q=%22%3E%3Cb%3E").await.expect(200).body;
    assert!(none.contains("No user matches") && !none.contains("\"><b>"), "{none}");
}

/// Promise: pages follow each other without gaps, and never show another organization's users.
#[every_engine]
async fn pages_of_users_follow_each_other(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let user = |id: u32, org: u32| format!("({id}, {org}, 'Person {id}', 'p{id}@example.com', 'active', 'member')");
    let users: Vec<String> = (1000..1120).map(|id| user(id, if id % 2 == 0 { 1 } else { 2 })).collect();
    world.sql("INSERT INTO organizations (id, name) VALUES (2, 'Another') ON CONFLICT DO NOTHING").await;
    world.sql(&format!("INSERT INTO users (id, org_id, name, email, status, role) VALUES {}", users.join(", "))).await;
    let (mut path, mut found) = ("/users?q=Person".to_owned(), Vec::new());
    loop {
        let page = visitor.get(path).await.expect(200).body;
        let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let links: Vec<String> = links.map(|link| link.replace("&#38;", "&")).collect();
        found.extend(links.iter().filter_map(|link| link.strip_prefix("/users/")?.parse::<u32>().ok()));
        match links
            .into_iter()
            .find(|link| page.contains("Next page") && link.contains("after=") && !link.ends_with("after="))
        {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(found, (1000..1120).filter(|id| id % 2 == 0).collect::<Vec<u32>>());
}

/// Promise: an inactive user is reactivated and an invitation is sent again or cancelled on the user's page, once for two clicks.
#[every_engine]
async fn status_decides_which_commands_there_are(world: &mut World) {
    let server = ApiServer::start(world).await;
    let visitor = Visitor::signed_in(world, &server, ADMIN).await;
    let page = visitor.get("/users/31").await.expect(200);
    assert!(!page.body.contains("/users/31/deactivate"), "{}", page.body);
    for _ in 0..2 {
        visitor.press(&page, "/users/31", &[("do", "reactivate")]).await.expect(303);
    }
    assert_eq!(world.status_of("31").await, "active");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    let invited = world.texts("SELECT CAST(id AS text) AS t FROM users WHERE status = 'invited' AND org_id = 1").await;
    let path = format!("/users/{}", invited[0]);
    let page = visitor.get(path.as_str()).await.expect(200);
    assert!(page.body.contains("Resend invitation"), "{}", page.body);
    visitor.press(&page, &path, &[("do", "cancel_invitation")]).await.expect(303);
    assert_ne!(world.status_of(&invited[0]).await, "invited");
    visitor.press(&page, &path, &[("do", "deactivate")]).await.expect(400);
    let amanda = Visitor::signed_in(world, &server, AMANDA).await;
    assert!(amanda.get("/users/53").await.expect(200).body.contains("disabled"));
    amanda.post("/users/31", &[("do", "reactivate"), ("request_id", "no")]).await.expect(422);
}
