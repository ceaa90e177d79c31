//! Finds out from a column's values whether it holds user ids.

use super::contained::{Contents, users_inside};
use crate::app::error::Result;
use crate::catalog::guess::Candidate;
use crate::catalog::{Family, Table};
use crate::store::{Session, host};

/// Describes why a candidate column may hold user ids. Returns `None` if its values are no users.
pub async fn evidence(
    session: &Session,
    users: &Table,
    key: &str,
    candidate: &Candidate<'_>,
) -> Result<Option<String>> {
    let place = (&candidate.table.name, candidate.column.name.as_str());
    let (seen, known) = match host::count_known_values(session, (&users.name, key), place).await {
        // This role may not read the column: only its name counts.
        Err(error) if error.is_refused() => (0, 0),
        counted => counted?,
    };
    let type_column = candidate.type_column;
    let type_column = type_column.map_or(String::new(), |column| format!("; `{column}` may say what it points at"));
    if let (Family::Text, true, 0, Some(key)) = (candidate.column.family, seen > 0, known, users.column(key)) {
        let inside =
            users_inside(session, (users, key), (candidate.table, candidate.column), Contents::ListsAndDocuments)
                .await?;
        return Ok(inside.map(|inside| format!("{}, {inside}{type_column}", candidate.why)));
    }
    Ok(match (seen, known) {
        (0, _) => Some(format!("{}, no values yet{type_column}", candidate.why)),
        (_, 0) => None,
        (seen, known) => Some(format!("{}, {known} of {seen} values are users{type_column}", candidate.why)),
    })
}
