//! A file as it arrives, and the row of the ledger that keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::app::access::Principal;
use crate::app::bulk::times::Zone;
use crate::app::error::{Error, Result};
use crate::contract::{JOB_NAMESPACE, OwnerKind, hex};
use crate::store::ledger::uploads::Upload;

/// The time for which an upload is kept.
const KEPT_FOR: Duration = Duration::days(7);

/// A file as it arrives.
#[derive(Debug)]
pub struct NewUpload {
    /// The name of the file, for messages.
    pub name: String,
    /// The sheet to read; if there is none, the only one with a table.
    pub sheet: Option<String>,
    /// The columns to ignore.
    pub ignore_columns: Vec<String>,
    /// The time zone of dates and times that name none.
    pub time_zone: Option<Zone>,
    /// The file.
    pub content: Vec<u8>,
}

/// The options with which an upload is read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// The sheet to read.
    pub sheet: Option<String>,
    /// The columns to ignore.
    pub ignore_columns: Vec<String>,
    /// The time zone of dates and times that name none.
    pub time_zone: Option<String>,
}

/// Returns the row of the ledger for a file that arrives.
pub fn upload(principal: &Principal, new: NewUpload, now: OffsetDateTime) -> Result<Upload> {
    let NewUpload { name, sheet, ignore_columns, time_zone, content } = new;
    let options = Options { sheet, ignore_columns, time_zone: time_zone.map(|zone| zone.name) };
    let options = serde_json::to_value(options).map_err(Error::json("the options of an upload"))?;
    let (kind, org, of) = owner(principal);
    Ok(Upload {
        id: id_of((kind, org, of), &name, &options, &content),
        org: org.to_owned(),
        owner_kind: kind,
        owner: of.to_owned(),
        name,
        content,
        options,
        uploaded_at: now,
        expires_at: now + KEPT_FOR,
        sent: json!({}),
    })
}

/// Returns the principal as the ledger names the owner of an upload.
pub fn owner(principal: &Principal) -> (OwnerKind, &str, &str) {
    match principal {
        Principal::Person { org, user } => (OwnerKind::Person, org, user.as_str()),
        Principal::Service { org, name } => (OwnerKind::Service, org, name),
        Principal::Operator { name } => (OwnerKind::Operator, "", name),
    }
}

/// Returns the id of an upload: the same for the same file and options of the same uploader.
fn id_of(owner: (OwnerKind, &str, &str), name: &str, options: &Value, content: &[u8]) -> Uuid {
    let (kind, org, owner) = owner;
    let digest = hex(&Sha256::digest(content));
    let made_of = json!(["upload", kind.name(), org, owner, name, options, digest]).to_string();
    Uuid::new_v5(&JOB_NAMESPACE, made_of.as_bytes())
}
