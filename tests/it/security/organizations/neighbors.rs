//! Organization 2, the neighbor of the demo's organization. It has users of every status, a row for every reference of
//! every catalog, groups with the same names, a finished job and a waiting one.

use handover::job::State;
use std::collections::BTreeMap;

use handover::contract::JobId;
use serde_json::json;

use crate::support::World;
use crate::support::world::certificate_of;

/// The users of organization 2.
const THEIRS: &str = "(SELECT id FROM users WHERE org_id = 2)";

const USERS: &str = "\
    INSERT INTO users (id, org_id, name, username, email, status, role, manager_id, is_partner, can_manage_team) VALUES \
      (202, 2, 'Sven Olsen', 'sven', 'sven@example.org', 'active', 'member', 201, FALSE, TRUE), \
      (203, 2, 'Ida Holm', 'ida', 'ida@example.org', 'invited', 'member', 201, FALSE, FALSE), \
      (204, 2, 'Per Lund', 'per', 'per@example.org', 'inactive', 'member', 201, FALSE, FALSE), \
      (205, 2, 'Eva Dahl', 'eva', 'eva@example.org', 'active', 'member', 202, FALSE, FALSE), \
      (206, 2, 'Jon Berg', 'jon', 'jon@example.org', 'active', 'member', 202, FALSE, FALSE);\n\
    INSERT INTO licenses (org_id, user_id) VALUES (2, 202), (2, 205), (2, 206), (2, NULL), (2, NULL);\n\
    INSERT INTO invitations (org_id, user_id, invited_by, email, status) VALUES \
      (2, 203, 202, 'ida@example.org', 'open'), (2, 202, 201, 'sven@example.org', 'accepted');\n\
    INSERT INTO sessions (id, user_id) VALUES ('of-202', 202);\n\
    INSERT INTO api_tokens (user_id, name, token_hash) VALUES (202, 'export', 'sha256:202');\n\
    INSERT INTO groups (org_id, name) VALUES (2, 'Sales Rep'), (2, 'West team'), (2, 'East team');\n\
    INSERT INTO group_members (org_id, group_name, user_id) VALUES \
      (2, 'Sales Rep', 202), (2, 'Sales Rep', 206), (2, 'West team', 202), (2, 'West team', 206), (2, 'East team', 202);\n\
    INSERT INTO follows (follower_id, followed_id) VALUES (202, 201), (201, 202);\n";

const RECORDS: &str = "\
    INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES \
      (90001, 2, 202, 202, 'Theirs'), (90002, 2, 205, 202, 'Theirs'), (90003, 2, 206, 202, 'Theirs');\n\
    INSERT INTO accounts (id, org_id, owner_id, created_by, name) VALUES (90001, 2, 202, 202, 'Theirs');\n\
    INSERT INTO opportunities (id, org_id, owner_id, created_by, contact_id, name) VALUES (90001, 2, 202, 202, 90001, 'Theirs');\n\
    INSERT INTO tasks (id, org_id, owner_id, created_by, title, status) VALUES \
      (90001, 2, 202, 202, 'Call', 'pending'), (90002, 2, 202, 202, 'Called', 'completed');\n\
    INSERT INTO notes (org_id, user_id, contact_id, body) VALUES (2, 202, 90001, 'Met');\n\
    INSERT INTO record_shares (org_id, record_type, record_id, user_id, granted_by, access, reason) VALUES \
      (2, 'account', 90001, 202, 201, 'read_only', 'manual'), (2, 'contact', 90001, 201, 202, 'read_only', 'manual');\n\
    INSERT INTO forecast_overrides (org_id, owner_id, subject_id, kind, period, frozen_at) VALUES \
      (2, 202, 202, 'adjusted_total', '2026-Q4', NULL), (2, 202, 201, 'managers_choice', '2026-Q3', CURRENT_TIMESTAMP);\n\
    INSERT INTO portals (id, org_id, name, administrator_id) VALUES (90001, 2, 'Portal', 202);\n\
    INSERT INTO delegated_administrators (portal_id, user_id) VALUES (90001, 202);\n\
    INSERT INTO custom_hierarchy_fields (id, org_id, name) VALUES (90001, 2, 'Mentor');\n\
    INSERT INTO custom_hierarchy_values (field_id, user_id, chosen_user_id) VALUES (90001, 202, 201), (90001, 201, 202);\n\
    INSERT INTO workflow_alerts (id, org_id, name) VALUES (90001, 2, 'Large lead won');\n\
    INSERT INTO workflow_alert_recipients (alert_id, user_id) VALUES (90001, 202);\n\
    INSERT INTO opportunity_team_members (opportunity_id, user_id, split_percentage) VALUES (90001, 202, 40), (90001, 201, NULL);\n\
    INSERT INTO account_team_members (account_id, user_id) VALUES (90001, 202);\n\
    INSERT INTO default_account_teams (user_id, member_id) VALUES (202, 201), (201, 202);\n\
    INSERT INTO default_opportunity_teams (user_id, member_id) VALUES (202, 201), (201, 202);\n\
    INSERT INTO territories (id, org_id, name) VALUES (90001, 2, 'North');\n\
    INSERT INTO territory_members (territory_id, user_id) VALUES (90001, 202);\n";

/// The records of organization 2 that others might try to reach.
pub struct Neighbors {
    /// A task.
    pub task: &'static str,
    jobs: Vec<(JobId, State)>,
}

/// Creates organization 2.
pub async fn create_organization(world: &World) -> Neighbors {
    world.store.run_script("settling in", USERS).await.expect("users");
    world.store.run_script("settling in", RECORDS).await.expect("records");
    Neighbors { task: "90001", jobs: Vec::new() }
}

/// Gives organization 2 a finished job and a waiting one. Needs a worker.
pub async fn start_handing_over(world: &World, mut neighbors: Neighbors) -> Neighbors {
    let request = |id: &str, user: &str| {
        json!({ "type": "deactivate", "request_id": id, "org_id": "2", "user_id": user, "requested_by": "201",
            "reassign": { "contact": { "user": "202" } } })
    };
    let ended = world.hand_over(&request("theirs", "205")).await;
    certificate_of(&ended);
    let mut later = request("theirs, later", "206");
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    let waiting = world.send(&later).await;
    world.until("the job is scheduled", async || world.job(waiting).await).await;
    for id in [JobId(ended.id), waiting] {
        let state = world.job(id).await.expect("a job").state;
        neighbors.jobs.push((id, state));
    }
    neighbors
}

impl Neighbors {
    /// Returns the neighbors' ids that can replace the content of a request's field.
    pub fn in_place_of(&self, field: &str) -> Vec<String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match field {
            "org_id" => texts(&["2"]),
            "user_id" | "requested_by" | "user" => texts(&["201", "202", "203", "204", "206"]),
            "round_robin" => texts(&["East team"]),
            "job_id" => self.jobs.iter().map(|(id, _)| id.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// Asserts that their jobs have not changed.
    pub async fn assert_jobs_unchanged(&self, world: &World) {
        for (id, state) in &self.jobs {
            assert_eq!(world.job(*id).await.expect("a job").state, *state);
        }
    }

    /// Asserts that every reference of the catalog has rows of theirs; otherwise the test would prove nothing.
    pub async fn have_rows_of_every_reference(&self, world: &World) {
        for reference in &world.context.catalogs.current().references {
            let (table, user) = (&reference.table, &reference.user.name);
            let rows = world.number(&format!("SELECT count(*) FROM {table} WHERE {user} IN {THEIRS}")).await;
            assert!(rows > 0, "no row of {} belongs to them", reference.kind);
        }
    }

    /// Returns every row of theirs, in every column.
    pub async fn rows(&self, world: &World) -> BTreeMap<String, Vec<String>> {
        let mut rows = BTreeMap::new();
        for table in ["users", "licenses", "invitations", "group_members"] {
            rows.insert(table.to_owned(), world.rows_where(table, "org_id = 2").await);
        }
        for reference in &world.context.catalogs.current().references {
            let (table, user) = (&reference.table.name, &reference.user.name);
            let theirs = world.rows_where(table, &format!("{user} IN {THEIRS}")).await;
            rows.insert(format!("{table} by {user}"), theirs);
        }
        rows
    }
}
