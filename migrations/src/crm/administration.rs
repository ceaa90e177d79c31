//! Duties and choices of users: the references that block a deactivation.

use super::table::{CrmTable, numbered, table};

/// The tables of this subject, parents first.
pub(super) fn tables() -> Vec<CrmTable> {
    vec![
        portals(),
        delegated_administrators(),
        custom_hierarchy_fields(),
        custom_hierarchy_values(),
        workflow_alerts(),
        workflow_alert_recipients(),
    ]
}

fn portals() -> CrmTable {
    numbered("portals")
        .refers("org_id", "organizations")
        .text("name")
        .refers("administrator_id", "users")
        .index(&["org_id"])
        .index(&["administrator_id", "id"])
}

/// The users who manage a portal's external users without being administrators of the organization.
fn delegated_administrators() -> CrmTable {
    table("delegated_administrators")
        .refers("portal_id", "portals")
        .refers("user_id", "users")
        .key(&["portal_id", "user_id"])
        .index(&["user_id", "portal_id"])
}

/// A field that an organization defines for its users, whose values are other users ("mentor"). Deleting a field only sets
/// `deleted_at`. Erasing it sets `erased_at` and empties its values.
fn custom_hierarchy_fields() -> CrmTable {
    numbered("custom_hierarchy_fields")
        .refers("org_id", "organizations")
        .text("name")
        .time_null("deleted_at")
        .time_null("erased_at")
        .index(&["org_id"])
}

/// The value of the field for `user_id` is `chosen_user_id`; NULL is an empty or an erased value.
fn custom_hierarchy_values() -> CrmTable {
    table("custom_hierarchy_values")
        .refers("field_id", "custom_hierarchy_fields")
        .refers("user_id", "users")
        .may_refer("chosen_user_id", "users")
        .key(&["field_id", "user_id"])
        .index(&["user_id", "field_id"])
        .index(&["chosen_user_id", "field_id", "user_id"])
}

fn workflow_alerts() -> CrmTable {
    numbered("workflow_alerts").refers("org_id", "organizations").text("name").flag("active", true).index(&["org_id"])
}

fn workflow_alert_recipients() -> CrmTable {
    table("workflow_alert_recipients")
        .refers("alert_id", "workflow_alerts")
        .refers("user_id", "users")
        .key(&["alert_id", "user_id"])
        .index(&["user_id", "alert_id"])
}
