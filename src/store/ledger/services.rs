//! Services: applications that may send requests of some types in one organization.

use std::collections::BTreeSet;

use sea_orm::IntoActiveModel;

use super::bulk_insert::add;
use super::entity::services::{Entity, Model};
use super::query;
use crate::contract::{RequestType, UnknownName, UserId};
use crate::plan::Services;
use crate::store::dialect::sql::ColumnArray;
use crate::store::dialect::{SERVICES, Type};
use crate::store::{Error, Result, Row, Session};

/// Returns the grants of the services among requesters, each with the organization of its request. Asks nothing if there is none.
pub async fn granted<'r>(
    session: &Session,
    requesters: impl IntoIterator<Item = (&'r str, &'r UserId)>,
) -> Result<Services> {
    let doing = "reading the grants of services";
    let services: BTreeSet<(&str, &str)> =
        requesters.into_iter().filter_map(|(org, requester)| Some((org, requester.service()?))).collect();
    if services.is_empty() {
        return Ok(Services::new());
    }
    let mut sql = session.sql("");
    let (orgs, names): (Vec<&str>, Vec<&str>) = services.into_iter().unzip();
    let array = |name, values: Vec<&str>| ColumnArray::new(Type::Text, name, values.into_iter().map(Some));
    let asked = sql.small_table("a", vec![array("org", orgs), array("name", names)]);
    let columns = query::columns::<Entity>("s", "");
    sql.add(&format!("SELECT {columns} FROM {asked} JOIN {SERVICES} s ON s.org = a.org AND s.name = a.name"));
    let found = session.all(doing, sql).await?;
    let read = |row: &Row| {
        let model: Model = row.entity("")?;
        let types = model.request_types.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
        let types = types.map_err(|unknown: UnknownName| Error::unexpected(doing, unknown.to_string()))?;
        Ok(((model.org, model.name), types))
    };
    found.iter().map(read).collect()
}

/// Grants a service these request types, in place of those that it had.
pub async fn grant(session: &Session, org: &str, name: &str, types: &BTreeSet<RequestType>) -> Result<()> {
    let doing = "granting request types to a service";
    let request_types = types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ");
    let model = Model { org: org.to_owned(), name: name.to_owned(), request_types };
    let once = session.dialect().on_conflict_do_nothing(&["org", "name"]);
    match add(session, doing, vec![model.clone().into_active_model()], &once).await? {
        0 => query::save(session, doing, model.into_active_model()).await,
        _ => Ok(()),
    }
}
