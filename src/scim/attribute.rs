//! The closed set of attributes, and how requests name them.

use super::schema_ids::{ENTERPRISE, HANDOVER, USER};

/// An attribute that can be read, and mostly written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// `id`: the host's key of the user.
    Id,
    /// `externalId`: the provider's key of the user.
    ExternalId,
    /// `userName`
    UserName,
    /// `name.givenName`
    GivenName,
    /// `name.familyName`
    FamilyName,
    /// `emails`, of which there is one.
    Email,
    /// `title`
    Title,
    /// `manager` of the enterprise extension.
    Manager,
    /// `active`
    Active,
}

/// The attributes that a catalog maps, besides those that every catalog does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mapped {
    /// True if given and family name have columns of their own. Otherwise they are parts of one, and cannot be searched.
    pub name_columns: bool,
    /// True if `title` is mapped.
    pub title: bool,
    /// True if the manager is mapped.
    pub manager: bool,
}

impl Mapped {
    /// True if the attribute can be read.
    pub fn has(self, attribute: Attribute) -> bool {
        match attribute {
            Attribute::Id
            | Attribute::ExternalId
            | Attribute::UserName
            | Attribute::GivenName
            | Attribute::FamilyName
            | Attribute::Email
            | Attribute::Active => true,
            Attribute::Title => self.title,
            Attribute::Manager => self.manager,
        }
    }

    /// True if a filter may name the attribute.
    pub fn can_search(self, attribute: Attribute) -> bool {
        match attribute {
            Attribute::GivenName | Attribute::FamilyName => self.name_columns,
            Attribute::Id
            | Attribute::ExternalId
            | Attribute::UserName
            | Attribute::Email
            | Attribute::Title
            | Attribute::Manager
            | Attribute::Active => self.has(attribute),
        }
    }
}

/// What a name in a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An attribute of the closed set.
    Attribute(Attribute),
    /// `name`, an object.
    Name,
    /// A part of an email address's entry that is fixed, in lower case: `type`, `primary` or `display`.
    EmailPart(String),
    /// A whole schema, whose attributes its value names: the prefix for their names.
    Schema(&'static str),
    /// An attribute that only the server writes.
    ReadOnly(&'static str),
    /// An attribute that no client may change, and that requests repeat without harm.
    Repeated,
    /// A part of `active`, which has none.
    PartOfActive,
    /// An attribute that is not known here.
    Unknown,
}

/// Returns what a name means: with or without its schema, in any case (RFC 7643, section 2.1).
pub fn place(name: &str) -> Place {
    let lower = name.to_ascii_lowercase();
    let (core, enterprise, handover) =
        (USER.to_ascii_lowercase(), ENTERPRISE.to_ascii_lowercase(), HANDOVER.to_ascii_lowercase());
    if lower == core {
        return Place::Schema("");
    }
    if lower == enterprise {
        return Place::Schema(ENTERPRISE);
    }
    if lower.starts_with(&handover) {
        return Place::Repeated;
    }
    if let Some(rest) = lower.strip_prefix(&enterprise).and_then(|rest| rest.strip_prefix([':', '.'])) {
        return if is_manager(rest) { Place::Attribute(Attribute::Manager) } else { Place::Unknown };
    }
    let bare = lower.strip_prefix(&core).and_then(|rest| rest.strip_prefix([':', '.'])).unwrap_or(&lower);
    match bare {
        "id" => Place::ReadOnly("id"),
        "schemas" | "groups" => Place::Repeated,
        "externalid" => Place::Attribute(Attribute::ExternalId),
        "username" => Place::Attribute(Attribute::UserName),
        "name" => Place::Name,
        "name.givenname" => Place::Attribute(Attribute::GivenName),
        "name.familyname" => Place::Attribute(Attribute::FamilyName),
        "emails" | "emails.value" => Place::Attribute(Attribute::Email),
        "title" => Place::Attribute(Attribute::Title),
        "active" => Place::Attribute(Attribute::Active),
        manager if is_manager(manager) => Place::Attribute(Attribute::Manager),
        other => match other.split_once('.') {
            None if other == "meta" => Place::ReadOnly("meta"),
            Some(("meta", _)) => Place::ReadOnly("meta"),
            Some(("active", _)) => Place::PartOfActive,
            Some(("emails", part @ ("type" | "primary" | "display"))) => Place::EmailPart(part.to_owned()),
            Some(_) | None => Place::Unknown,
        },
    }
}

/// True for the manager's id. Other parts of a manager are not kept.
fn is_manager(name: &str) -> bool {
    matches!(name, "manager" | "manager.value")
}
