//! A user as a resource (RFC 7643, section 4).

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::projection::Projection;
use super::schema_ids::{ENTERPRISE, HANDOVER, USER};
use crate::contract::hex;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The host's key.
    pub id: String,
    /// The provider's key.
    pub external_id: Option<String>,
    /// The name with which the user signs in.
    pub user_name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
    /// The email address.
    pub email: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The id of the manager.
    pub manager: Option<String>,
    /// True if the user has access, or will have it once they accept their invitation.
    pub active: bool,
    /// The state of their last job; nothing if there is none.
    pub handover: Option<HandoverState>,
}

/// The state of a user's last job, for the extension schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverState {
    /// The job.
    pub job_id: String,
    /// The type of its request.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// The records that its chunks hold.
    pub records: u64,
    /// Those of them that are done.
    pub done: u64,
}

impl User {
    /// Returns the ETag. Progress of a job does not change it: it tells whether what a provider writes has changed.
    pub fn version(&self) -> String {
        let User { id, external_id, user_name, given_name, family_name, email, title, manager, active, .. } = self;
        let of = json!([id, external_id, user_name, given_name, family_name, email, title, manager, active]);
        let digest: String = hex(&Sha256::digest(of.to_string())).chars().take(16).collect();
        format!("W/\"{digest}\"")
    }

    /// True if a list of ETags has the user's version. Weak and strong ones are compared alike.
    pub fn has_version(&self, tags: &str) -> bool {
        let version = self.version();
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        tags.trim() == "*" || tags.split(',').any(|tag| bare(tag) == bare(&version))
    }

    /// Returns the resource. `base`: the URL of all resources.
    pub fn to_json(&self, base: &str, projection: &Projection) -> Value {
        let mut schemas = vec![USER];
        let mut resource = Map::new();
        let mut texts = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                resource.insert(name.to_owned(), value.as_str().into());
            }
        };
        texts("id", &Some(self.id.clone()));
        texts("externalId", &self.external_id);
        texts("userName", &self.user_name);
        texts("title", &self.title);
        resource.insert("active".into(), self.active.into());
        let name = self.name();
        if !name.is_empty() {
            resource.insert("name".into(), name.into());
        }
        if let Some(email) = &self.email {
            resource.insert("emails".into(), json!([{ "value": email, "type": "work", "primary": true }]));
        }
        if let Some(manager) = &self.manager {
            schemas.push(ENTERPRISE);
            let manager = json!({ "value": manager, "$ref": format!("{base}/Users/{}", escaped(manager)) });
            resource.insert(ENTERPRISE.into(), json!({ "manager": manager }));
        }
        if let Some(HandoverState { job_id, kind, state, records, done }) = &self.handover {
            schemas.push(HANDOVER);
            let state = json!({ "jobId": job_id, "type": kind, "state": state, "records": records, "done": done });
            resource.insert(HANDOVER.into(), state);
        }
        resource.insert("schemas".into(), json!(schemas));
        resource.insert(
            "meta".into(),
            json!({ "resourceType": "User", "location": self.location(base), "version": self.version() }),
        );
        projection.apply(&mut resource);
        Value::Object(resource)
    }

    /// Returns the URL of the resource.
    pub fn location(&self, base: &str) -> String {
        format!("{base}/Users/{}", escaped(&self.id))
    }

    fn name(&self) -> Map<String, Value> {
        let parts = [("givenName", &self.given_name), ("familyName", &self.family_name)];
        parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))).collect()
    }
}

/// Escapes an id for a path.
fn escaped(id: &str) -> String {
    id.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
