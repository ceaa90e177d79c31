//! The sender of a message, as far as the broker has validated it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::{OrgId, Principal, UserId};

/// The header with the sender of a message that a worker has put off, or that was set aside. It counts only where the broker
/// confirms that Handover itself published the message.
pub const PRINCIPAL: &str = "x-handover-principal";

/// The sender of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// The broker says nothing about principals, or an operator sent the message. The requester is what the body claims.
    Claimed,
    /// A principal, by the account that published the message.
    Principal(Principal),
    /// An account that is no principal, while the settings list some; nothing if the message does not say which.
    Unknown(Option<String>),
}

/// The principal of an account, as the settings write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalEntry {
    user: Option<UserId>,
    service: Option<String>,
    org: Option<OrgId>,
}

/// A sender, as the header writes it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org: Option<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl PrincipalEntry {
    /// Returns the principal, if the entry names exactly one.
    pub fn principal(self) -> Option<Principal> {
        principal(self.user, self.service, self.org)
    }
}

/// Returns true if a value lists accounts with the principal of each.
pub fn are_principals(value: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(_) => Some(value.clone()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let is_principal = |entry: &Value| {
        let fields = entry.as_object()?.iter().map(|(name, value)| Some((name.clone(), text(value)?)));
        let entry = Value::Object(fields.collect::<Option<_>>()?);
        serde_json::from_value::<PrincipalEntry>(entry).ok()?.principal()
    };
    value.as_object().is_some_and(|accounts| accounts.values().all(|entry| is_principal(entry).is_some()))
}

impl Sender {
    /// Returns the header that keeps the sender.
    pub fn header(&self) -> Option<String> {
        let org = |org: &String| OrgId::try_from(org.clone()).ok();
        let written = match self {
            Sender::Claimed | Sender::Principal(Principal::Operator { .. }) => return None,
            Sender::Principal(Principal::Person { org: of, user }) => {
                Written { user: Some(user.clone()), org: org(of), ..Written::default() }
            }
            Sender::Principal(Principal::Service { org: of, name }) => {
                Written { service: Some(name.clone()), org: org(of), ..Written::default() }
            }
            Sender::Unknown(account) => Written { account: account.clone(), ..Written::default() },
        };
        serde_json::to_string(&written).ok()
    }

    /// Reads the header. An account is looked up among the principals again: it may be listed by now.
    pub(super) fn of_header(header: &str, principals: &BTreeMap<String, Principal>) -> Sender {
        let Ok(Written { user, service, org, account }) = serde_json::from_str(header) else {
            return Sender::Unknown(None);
        };
        match principal(user, service, org) {
            Some(principal) => Sender::Principal(principal),
            None => Sender::of_account(account, principals),
        }
    }

    /// Returns the sender who published by an account.
    pub(super) fn of_account(account: Option<String>, principals: &BTreeMap<String, Principal>) -> Sender {
        match account.as_ref().and_then(|account| principals.get(account)) {
            Some(principal) => Sender::Principal(principal.clone()),
            None => Sender::Unknown(account),
        }
    }
}

fn principal(user: Option<UserId>, service: Option<String>, org: Option<OrgId>) -> Option<Principal> {
    let org = org.map(String::from).unwrap_or_default();
    match (user, service) {
        // It would be taken for a service.
        (Some(user), None) if user.service().is_none() => Some(Principal::Person { org, user }),
        (None, Some(name)) if UserId::of_service(&name).is_ok() && !name.is_empty() => {
            Some(Principal::Service { org, name })
        }
        (Some(_), None) | (None, Some(_)) | (Some(_), Some(_)) | (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principals() -> BTreeMap<String, Principal> {
        [("crm-app".to_owned(), Principal::Service { org: "1".into(), name: "crm".into() })].into()
    }

    #[test]
    fn header_keeps_the_sender() {
        let user = UserId::try_from("7".to_owned()).expect("an id");
        for sender in [
            Sender::Principal(Principal::Person { org: String::new(), user }),
            Sender::Principal(Principal::Service { org: "1".into(), name: "gone".into() }),
            Sender::Unknown(Some("mallory".into())),
            Sender::Unknown(None),
        ] {
            let header = sender.header().expect("a header");
            assert_eq!(Sender::of_header(&header, &principals()), sender, "{header}");
        }
        assert_eq!(Sender::Claimed.header(), None);
        let listed = Sender::Unknown(Some("crm-app".into())).header().expect("a header");
        assert!(matches!(Sender::of_header(&listed, &principals()), Sender::Principal(_)));
        assert_eq!(Sender::of_header("{\"admin\":true}", &principals()), Sender::Unknown(None));
    }

    #[test]
    fn an_entry_names_exactly_one_principal() {
        let lists = |text: &str| are_principals(&serde_json::from_str(text).expect("JSON"));
        assert!(lists(r#"{ "a": { "user": 7, "org": "1" }, "b": { "service": "crm" } }"#));
        for wrong in [
            r#"{ "a": {} }"#,
            r#"{ "a": { "org": "1" } }"#,
            r#"{ "a": { "user": "7", "service": "crm" } }"#,
            r#"{ "a": { "user": "service:crm" } }"#,
            r#"{ "a": { "user": "" } }"#,
            r#"{ "a": { "service": "" } }"#,
            r#"{ "a": { "user": "7", "may": "everything" } }"#,
            r#"{ "a": "user:7" }"#,
        ] {
            assert!(!lists(wrong), "{wrong}");
        }
    }
}
