//! Uploading, judging and submitting files over HTTP.

use std::io::{Cursor, Write};

use handover::contract::{RequestType, TokenScope};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::api::{Answer, ApiServer, Call, service_token, token_of};
use crate::support::keap::{ADMIN, SUPPORT};
use crate::support::process::{as_owner, on, text};
use crate::support::{World, every_engine, on_sqlite};

const SCOPES: [TokenScope; 2] = [TokenScope::JobsWrite, TokenScope::UsersRead];

/// Four users: two can leave, but the file requests only one of them; one has left; one does not exist.
const MIXED: &str = "user_id,deactivated,successor,reason\n\
    53,y,11,left\n54,,11,stays\n31,yes,11,gone\n999,X,11,nobody\n";

/// Uploads a text file.
fn upload<'c>(server: &'c ApiServer, token: &str, query: &str, content: &str) -> Call<'c> {
    let call = server.call("POST", format!("/v1/bulk{query}")).token(token);
    call.header("Content-Type", "text/csv").body(content)
}

fn submit<'c>(server: &'c ApiServer, token: &str, path: &str) -> Call<'c> {
    server.call("POST", format!("{path}/submit")).token(token)
}

/// Returns a value of each row of an answer.
fn each(answer: &Value, field: &str) -> Vec<String> {
    let rows = answer["items"].as_array().expect("rows");
    rows.iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Returns the codes of the reasons of a row.
fn codes(answer: &Value, row: usize) -> Vec<&str> {
    let reasons = answer["items"][row]["reasons"].as_array().expect("reasons");
    reasons.iter().filter_map(|reason| reason["code"].as_str()).collect()
}

fn workbook() -> Vec<u8> {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, line) in MIXED.lines().enumerate() {
        for (column, cell) in line.split(',').enumerate() {
            sheet.write(row as u32, column as u16, cell).expect("a cell");
        }
    }
    workbook.save_to_buffer().expect("a workbook")
}

/// Returns a small workbook whose sheet unpacks to more than a file may.
fn bomb() -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("xl/worksheets/sheet1.xml", SimpleFileOptions::default()).expect("a part");
    let spaces = b"<c> </c>".repeat(1 << 17);
    for _ in 0..80 {
        archive.write_all(&spaces).expect("a part");
    }
    archive.finish().expect("an archive").into_inner()
}

/// Promise: the verdicts are those of the command line, for text and for a workbook, and nothing is sent.
#[every_engine]
async fn uploads_are_judged_as_by_the_command_line(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leavers.csv");
    std::fs::write(&file, MIXED).expect("a file");
    let by_command = on(world, &["bulk", text(&file), "--by", ADMIN, "--org", "1", "--json"]).expect(3).json_lines();
    let mut expected: Vec<Value> = by_command.into_iter().filter(|line| line.get("summary").is_none()).collect();
    for row in &mut expected {
        let row = row.as_object_mut().expect("a row");
        row.retain(|field, _| field != "file" && field != "sheet");
    }
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let judged = upload(&server, token, "?name=leavers.csv", MIXED).answer().await.expect(201);
    assert_eq!(judged.json()["items"], json!(expected));
    assert_eq!(judged.json()["summary"], json!({ "ok": 1, "skipped": 1, "rejected": 2 }));
    let path = &judged.headers["location"];
    let mut again = server.get(token, path).answer().await.expect(200).json();
    assert_eq!(again, judged.json());
    let repeated = upload(&server, token, "?name=leavers.csv", MIXED).answer().await.expect(201);
    assert_eq!(repeated.json()["id"], again["id"], "the same file is the same upload");
    let of_workbook = server.call("POST", "/v1/bulk").token(token).header("Content-Type", "application/octet-stream");
    let of_workbook = of_workbook.bytes(workbook()).answer().await.expect(201).json();
    assert_eq!((&of_workbook["items"], &of_workbook["sheet"]), (&again["items"].take(), &json!("Sheet1")));
    for table in ["requests", "outbox"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM handover.{table}")).await, 0, "{table}");
    }
}

/// Promise: the good rows are sent once, however often they are submitted and by whichever server, and end as jobs.
#[every_engine]
async fn good_rows_are_sent_once(world: &mut World) {
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let before = ApiServer::start(world).await;
    let path = upload(&before, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    drop(before);
    let server = ApiServer::start(world).await;
    let sent = submit(&server, token, &path).answer().await.expect(202).json();
    assert_eq!(each(&sent, "outcome"), ["sent", "skipped", "rejected", "rejected"]);
    let again = submit(&server, token, &path).answer().await.expect(202).json();
    assert_eq!(again, sent);
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 1);
    world.start_worker().await;
    let ended = async || {
        let now = server.get(token, &path).answer().await.expect(200).json();
        (now["items"][0]["outcome"] == "completed").then_some(now)
    };
    let ended = world.until("the row is completed", ended).await;
    assert_eq!(
        (&ended["items"][0]["job_id"], &ended["items"][0]["records"]),
        (&sent["items"][0]["job_id"], &json!(208))
    );
    submit(&server, token, &path).answer().await.expect(202);
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 1);
    let job = "SELECT requested_by AS t FROM handover.jobs WHERE user_id = '53'";
    assert_eq!(world.texts(job).await, [ADMIN]);
}

/// Promise: a row that has become acceptable since the file was submitted is sent by the next submission.
#[every_engine]
async fn mended_rows_are_sent_later(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let path = upload(&server, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    submit(&server, token, &path).answer().await.expect(202);
    world.sql("UPDATE users SET status = 'active' WHERE id = 31").await;
    let sent = submit(&server, token, &path).answer().await.expect(202).json();
    assert_eq!(each(&sent, "outcome"), ["sent", "skipped", "sent", "rejected"], "{sent}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 2);
}

/// Promise: for everybody but its uploader, an upload does not exist.
#[every_engine]
async fn uploads_exist_for_their_uploader_alone(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let path = upload(&server, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    let person = token_of(world, SUPPORT, &SCOPES).await;
    let service = service_token(world, "crm", &[RequestType::Deactivate], &SCOPES).await;
    for other in [&person, &service] {
        server.get(other, &path).answer().await.problem(404, "not_found");
        submit(&server, other, &path).answer().await.problem(404, "not_found");
    }
    for id in ["7", "6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11"] {
        server.get(token, format!("/v1/bulk/{id}")).answer().await.problem(404, "not_found");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 0);
}

/// Promise: rows name no other requester or organization than the token, and a service needs its grant.
#[every_engine]
async fn rows_cannot_claim_another_principal(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let rows = "user_id,deactivated,successor,requested_by,org_id\n\
        53,y,11,,\n54,y,11,1,1\n15,y,11,12,\n16,y,11,service:crm,\n17,y,11,,2\n";
    let uploaded = upload(&server, token, "", rows).answer().await.expect(201);
    let judged = uploaded.json();
    assert_eq!(each(&judged, "outcome"), ["ok", "ok", "rejected", "rejected", "rejected"], "{judged}");
    for row in [2, 3, 4] {
        assert_eq!(codes(&judged, row), ["other_principal"], "{judged}");
    }
    let sent = submit(&server, token, &uploaded.headers["location"]).answer().await.expect(202).json();
    assert_eq!(each(&sent, "outcome"), ["sent", "sent", "rejected", "rejected", "rejected"], "{sent}");
    for (name, kind, outcome) in [("crm", RequestType::Deactivate, "ok"), ("hr", RequestType::Revert, "rejected")] {
        let token = service_token(world, name, &[kind], &SCOPES).await;
        let judged = upload(&server, &token, "", MIXED).answer().await.expect(201).json();
        assert_eq!(judged["items"][0]["outcome"], outcome, "{judged}");
        let path = format!("/v1/bulk/{}", judged["id"].as_str().expect("an id"));
        submit(&server, &token, &path).answer().await.expect(202);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 3);
}

/// Promise: an upload is gone after seven days, and its content is deleted.
#[every_engine]
async fn uploads_expire_and_are_swept(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let path = upload(&server, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    world.change_ledger("UPDATE handover.uploads SET expires_at = uploaded_at").await;
    server.get(token, &path).answer().await.problem(404, "not_found");
    submit(&server, token, &path).answer().await.problem(404, "not_found");
    world.start_worker().await;
    let kept = "SELECT count(*) FROM handover.uploads";
    world.until("the upload is deleted", async || (world.number(kept).await == 0).then_some(())).await;
}

/// Promise: who forgets a person deletes the uploads of their organization, which may name them.
#[every_engine]
async fn forgetting_deletes_the_uploads(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let path = upload(&server, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    let forget = as_owner(world, &["forget", "54", "--org", "1", "--by", ADMIN, "--json"]).expect(0).json();
    assert_eq!(forget["held"]["uploads"], 1, "{forget}");
    server.get(token, &path).answer().await.problem(404, "not_found");
    assert_eq!(world.number("SELECT count(*) FROM handover.uploads").await, 0);
}

/// Promise: every file that cannot be read has one reason, and is not kept.
#[on_sqlite]
async fn unreadable_files_are_refused(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let send = async |kind: &'static str, query: &str, content: Vec<u8>| -> Answer {
        let call = server.call("POST", format!("/v1/bulk{query}")).token(token);
        call.header("Content-Type", kind).bytes(content).answer().await
    };
    let many = format!("user_id,deactivated\n{}", "53,y\n".repeat(2_001));
    let utf_16_cut = [&[0xff, 0xfe][..], b"u\0s"].concat();
    let cases = [
        ("application/json", "", MIXED.as_bytes().to_vec(), 415, "unsupported_media_type", "media type"),
        ("text/csv", "?time_zone=Berlin", MIXED.as_bytes().to_vec(), 400, "invalid_parameter", "Europe/Berlin"),
        ("text/csv", "?by=1", MIXED.as_bytes().to_vec(), 400, "invalid_parameter", "no such parameter"),
        ("text/csv", "?sheet=x", MIXED.as_bytes().to_vec(), 422, "unreadable_file", "has no sheets"),
        ("text/csv", "", Vec::new(), 422, "unreadable_file", "empty"),
        ("text/csv", "", b"user_id,deactivated\n".to_vec(), 422, "unreadable_file", "no row"),
        ("text/csv", "", b"user_id,deactivated\nM\xfcller,y\n".to_vec(), 422, "unreadable_file", "not UTF-8"),
        ("text/csv", "", utf_16_cut, 422, "unreadable_file", "UTF-16"),
        ("text/csv", "", b"user_id,deactivated,color\n53,y,red\n".to_vec(), 422, "unreadable_file", "color"),
        ("text/csv", "", many.into_bytes(), 422, "unreadable_file", "2,000 rows"),
        ("text/csv", "", b"PK\x03\x04 cut".to_vec(), 422, "unreadable_file", "cannot be read"),
        ("application/octet-stream", "", bomb(), 422, "unreadable_file", "larger than 64 MiB"),
        ("text/csv", "", b"\xd0\xcf\x11\xe0".to_vec(), 422, "unreadable_file", ".xls"),
        ("text/csv", "", vec![b'x'; 11 << 20], 413, "too_large", "10485760"),
    ];
    for (kind, query, content, status, code, said) in cases {
        let answer = send(kind, query, content).await;
        answer.problem(status, code);
        assert!(answer.body.contains(said), "{said}: {answer:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.uploads").await, 0);
    let options = "?ignore_columns=color&time_zone=Europe/Berlin&name=a%0Ab";
    let read = send("text/csv; charset=utf-8", options, b"user_id,deactivated,color\n53,y,red\n".into()).await;
    assert_eq!(read.expect(201).json()["file"], "a\\u{a}b");
}

/// Promise: pages of rows follow each other by the link, and the summary counts all.
#[on_sqlite]
async fn pages_of_rows_follow_each_other(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let rows: String = (1000..1120).map(|user| format!("{user},y,11,\n")).collect();
    let first = upload(&server, token, "?name=x", &format!("user_id,deactivated,successor,reason\n{rows}"));
    let first = first.answer().await.expect(201);
    assert_eq!(first.json()["summary"], json!({ "rejected": 120 }));
    let (mut page, mut found) = (first, Vec::new());
    loop {
        found.extend(each(&page.json(), "user"));
        let Some(link) = page.headers.get("link") else { break };
        let next = link[1..].split_once('>').expect("a link").0.to_owned();
        page = server.get(token, next).answer().await.expect(200);
    }
    assert_eq!(found, (1000..1120).map(|user| user.to_string()).collect::<Vec<_>>());
}

/// Promise: a few files arrive at a time; a further one is answered 503, and other calls go on.
#[on_sqlite]
async fn slow_uploads_hold_up_nobody_else(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let call = server.call("POST", "/v1/bulk").token(token).header("Content-Type", "text/csv");
        slow.push(call.header("Content-Length", "9").send().await);
    }
    let refused = async || {
        let answer = upload(&server, token, "", MIXED).answer().await;
        (answer.status == 503).then_some(answer)
    };
    let refused = world.until("the room for uploads is taken", refused).await;
    refused.problem(503, "busy");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    server.get(token, "/v1/users?limit=1").answer().await.expect(200);
    drop(slow);
    let taken = async || (upload(&server, token, "", MIXED).answer().await.status == 201).then_some(());
    world.until("the room is free again", taken).await;
}

/// Promise: a row is judged again when it is submitted: what has become wrong since the upload is not sent, and a service needs its grant
/// then.
#[every_engine]
async fn rows_that_turned_bad_stay_behind(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let rows = "user_id,deactivated,successor\n53,y,11\n54,y,12\n";
    let uploaded = upload(&server, token, "", rows).answer().await.expect(201);
    assert_eq!(each(&uploaded.json(), "outcome"), ["ok", "ok"]);
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 11").await;
    let sent = submit(&server, token, &uploaded.headers["location"]).answer().await.expect(202).json();
    assert_eq!(each(&sent, "outcome"), ["rejected", "sent"], "{sent}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 1);
    let service = &service_token(world, "crm", &[RequestType::Deactivate], &SCOPES).await;
    let rows = "user_id,deactivated,successor\n53,y,12\n";
    let path = upload(&server, service, "", rows).answer().await.expect(201).headers["location"].clone();
    service_token(world, "crm", &[RequestType::Revert], &SCOPES).await;
    let sent = submit(&server, service, &path).answer().await.expect(202).json();
    assert_eq!(each(&sent, "outcome"), ["rejected"], "{sent}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 1);
}

/// Promise: submissions of one upload at the same time send each row once.
#[every_engine]
async fn concurrent_submissions_send_once(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let path = &upload(&server, token, "", MIXED).answer().await.expect(201).headers["location"].clone();
    let other = &ApiServer::start(world).await;
    let of = |server| async move {
        // One of them may find the database busy.
        submit(server, token, path).answer().await.status
    };
    let statuses = tokio::join!(of(&server), of(other), of(&server), of(other));
    let statuses: [u16; 4] = statuses.into();
    assert!(statuses.iter().all(|status| [202, 503].contains(status)) && statuses.contains(&202), "{statuses:?}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 1);
}

/// Promise: a principal has fifty uploads at most, and others have theirs.
#[on_sqlite]
async fn uploads_of_a_principal_are_bounded(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &SCOPES).await;
    let file = |number: usize| format!("user_id,deactivated,reason\n53,,file {number}\n");
    for number in 0..50 {
        upload(&server, token, "", &file(number)).answer().await.expect(201);
    }
    upload(&server, token, "", &file(50)).answer().await.problem(409, "too_many_uploads");
    upload(&server, token, "", &file(7)).answer().await.expect(201);
    let other = token_of(world, SUPPORT, &SCOPES).await;
    upload(&server, &other, "", &file(50)).answer().await.expect(201);
    world.change_ledger("UPDATE handover.uploads SET expires_at = uploaded_at").await;
    upload(&server, token, "", &file(50)).answer().await.expect(201);
}
