//! The process that drives a browser, and the protocol to it.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use super::Scripts;
use crate::support::process::text;
use crate::support::server::{Process, free_port, until};

const CHROMIUM: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// A ChromeDriver, and the folder of everything that it and its browser write.
pub struct Driver {
    address: String,
    _process: Process,
    folder: TempDir,
}

impl Driver {
    /// Starts a driver. Returns nothing, after a message, if Chromium or its driver is not installed. In CI that is an error.
    pub fn start() -> Option<Driver> {
        if ![CHROMIUM, DRIVER].iter().all(|program| Path::new(program).exists()) {
            assert!(std::env::var_os("CI").is_none(), "Chromium or its driver is not installed");
            eprintln!("skipped: Chromium or its driver is not installed, so pages were not tested in a browser");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        // Should the tests be killed, the kernel ends the driver, and its browser ends with the pipe between them.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig=KILL", DRIVER]).arg(format!("--port={port}"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command, "TERM");
        let address = format!("127.0.0.1:{port}");
        // It answers as soon as it listens. It would not close a plain connection after an answer.
        until("the driver listens", || TcpStream::connect(&address).is_ok());
        Some(Driver { address, _process: process, folder })
    }

    /// Starts a browser.
    pub async fn session(&self, scripts: Scripts) -> Client {
        let profile = format!("--user-data-dir={}", text(&self.folder.path().join("profile")));
        // Without the network, sandbox and graphics card of a desktop, which a container does not have.
        let arguments = [
            "--headless",
            "--hide-scrollbars",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-pipe",
            &profile,
        ];
        let allowed = match scripts {
            Scripts::On => 1,
            Scripts::Off => 2,
        };
        let capabilities = [
            ("browserName", json!("chrome")),
            ("goog:loggingPrefs", json!({ "browser": "ALL" })),
            (
                "goog:chromeOptions",
                json!({
                    "binary": CHROMIUM,
                    "args": arguments,
                    "prefs": { "profile.default_content_setting_values.javascript": allowed },
                }),
            ),
        ];
        let capabilities = capabilities.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut session = ClientBuilder::new(HttpConnector::new());
        session.capabilities(capabilities);
        session.connect(&format!("http://{}", self.address)).await.expect("a browser")
    }
}

/// A command that only this driver has, with a name in its path.
#[derive(Debug)]
pub struct Extension {
    pub name: &'static str,
    pub parameters: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.name))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.parameters.to_string()))
    }
}
