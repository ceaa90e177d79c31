//! The link that the demo prints.

use std::io::{BufRead, BufReader};

use crate::support::api::Call;
use crate::support::process::{WorkerProcess, binary, text};
use crate::support::server::free_port;

/// Promise: the link that `demo --console` prints signs in, and the example is there. Its end leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn demo_prints_a_link_that_signs_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("127.0.0.1:{}", free_port());
    let environment = [("TMPDIR", text(folder.path())), ("HANDOVER_API__LISTEN", &address)];
    let mut demo = binary(&environment, &["demo", "--console"]).spawn().expect("the binary");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines().map(|line| line.expect("a line"));
    let demo = WorkerProcess::of(demo);
    let start = format!("  http://{address}/login/");
    let link = lines.find_map(|line| Some(line.strip_prefix(&start)?.to_owned())).expect("a link");
    let page = Call::at(&address, "GET", format!("/login/{link}")).answer().await.expect(200).body;
    assert!(page.contains("Sign in as Nicole Hart"), "{page}");
    let signed_in = Call::at(&address, "POST", "/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Sec-Fetch-Site", "same-origin")
        .body(format!("link={link}"))
        .answer()
        .await
        .expect(303);
    let cookie = signed_in.headers["set-cookie"].split(';').next().expect("a cookie");
    let user = Call::at(&address, "GET", "/users/53").header("Cookie", cookie).answer().await.expect(200).body;
    assert!(user.contains("Dana Whitfield") && user.contains("/users/53/deactivate"), "{user}");
    assert_eq!(tokio::task::spawn_blocking(|| demo.stop()).await.expect("an end"), 0);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
