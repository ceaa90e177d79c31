//! Checks every page: accessibility, the console, loaded files, and that nothing is cut off. Takes its pictures.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Browser;

/// The width of a page on a screen.
const WIDE: u32 = 1280;
/// The width of a page on a telephone.
const NARROW: u32 = 390;
/// The width of a page on a screen at 400 % (WCAG 2.2, 1.4.10).
const REFLOW: u32 = 320;

impl Browser {
    /// Checks the page, light and dark, and writes its pictures to `target/screenshots` under a name.
    pub async fn inspect(&self, name: &str) {
        assert_eq!(self.faults(name).await, Vec::<String>::new(), "{name}");
    }

    /// Returns what is wrong with the page, after writing its pictures.
    pub async fn faults(&self, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for (scheme, width) in [("light", WIDE), ("light", NARROW), ("dark", WIDE), ("dark", NARROW)] {
            self.prefer(scheme).await;
            self.resize(width).await;
            let picture = self.picture().await;
            let folder = Path::new("target/screenshots");
            std::fs::create_dir_all(folder).expect("a folder");
            std::fs::write(folder.join(format!("{name}-{width}-{scheme}.png")), picture).expect("a picture");
            // Each scheme and each width once: colors do not depend on the width, nor what is cut off on colors.
            if matches!((scheme, width), ("light", WIDE) | ("dark", NARROW)) {
                let barriers = self.barriers().await.into_iter();
                faults.extend(barriers.map(|fault| format!("{scheme}, {width} pixels: {fault}")));
            }
        }
        self.resize(REFLOW).await;
        let width = self.evaluate("return document.documentElement.scrollWidth").await;
        if width.as_u64().is_none_or(|width| width > u64::from(REFLOW)) {
            faults.push(format!("the page is {width} pixels wide where {REFLOW} are visible"));
        }
        self.prefer("light").await;
        self.resize(WIDE).await;
        faults.extend(self.missing_files().await);
        faults
    }

    /// Returns what axe-core finds on the page.
    async fn barriers(&self) -> Vec<String> {
        let Some(axe) = &self.axe else { return Vec::new() };
        let script = format!(
            "{axe}; const done = arguments[0];
             axe.run(document, {{ preload: false, resultTypes: ['violations'] }}).then(
                 result => done(result.violations.flatMap(rule =>
                     rule.nodes.map(node => `${{rule.id}}: ${{node.html}}: ${{node.failureSummary}}`))),
                 error => done([String(error)]));"
        );
        let found = self.client.execute_async(&script, Vec::new()).await.expect("axe-core runs");
        strings(&found)
    }

    /// Returns the errors and the breaches of the policy that the browser wrote to its console since the last call. A status of
    /// a page is no error: pages of refusals have one, and [`Browser::inspect`] checks the files.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.extension("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] != "INFO");
        let messages = entries.map(|entry| entry["message"].as_str().expect("a message"));
        let is_status = |text: &str| text.contains("the server responded with a status of 4");
        messages.filter(|message| !is_status(message)).map(str::to_owned).collect()
    }

    /// Returns the files of the page that did not load.
    async fn missing_files(&self) -> Vec<String> {
        let script = "return performance.getEntriesByType('resource')
            .filter(file => file.responseStatus >= 400).map(file => `${file.name} is missing`)";
        strings(&self.evaluate(script).await)
    }

    async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    async fn resize(&self, width: u32) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Returns a picture of the whole page.
    async fn picture(&self) -> Vec<u8> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", parameters).await;
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }
}

fn strings(values: &Value) -> Vec<String> {
    let values = values.as_array().unwrap_or_else(|| panic!("no list: {values}"));
    values.iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
}
