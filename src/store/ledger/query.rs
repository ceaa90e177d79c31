//! Runs sea-orm's queries on the ledger's tables, under the names that the dialect gives them.
//!
//! An entity's columns are named after its table, without a schema or a prefix. So the table keeps that name as its alias.

use sea_orm::sea_query::{IntoIden, IntoTableRef, LockBehavior, LockType, SelectStatement, TableRef};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DeleteMany, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn,
    QueryFilter, QuerySelect, QueryTrait, Select, StatementBuilder, TryGetableMany, UpdateMany,
};

use super::entity::LedgerEntity;
use crate::store::dialect::{LedgerTable, RowLock, SharedDialect};
use crate::store::{Error, Result, Row, Session};

/// Returns every row that a query finds.
pub(super) async fn all<E: LedgerEntity>(session: &Session, doing: &str, find: Select<E>) -> Result<Vec<E::Model>> {
    rows(session, doing, find).await?.iter().map(|row| row.entity("")).collect()
}

/// Returns the first row that a query finds.
pub(super) async fn one<E: LedgerEntity>(session: &Session, doing: &str, find: Select<E>) -> Result<Option<E::Model>> {
    rows(session, doing, find.limit(1)).await?.first().map(|row| row.entity("")).transpose()
}

/// Returns the selected columns of every row, by their places.
pub(super) async fn tuples<E, T>(session: &Session, doing: &str, find: Select<E>) -> Result<Vec<T>>
where
    E: LedgerEntity,
    T: TryGetableMany,
{
    rows(session, doing, find).await?.iter().map(Row::tuple).collect()
}

/// Returns every row with the columns that a query selects.
pub(super) async fn rows<E: LedgerEntity>(session: &Session, doing: &str, find: Select<E>) -> Result<Vec<Row>> {
    session.all_of(doing, StatementBuilder::build(&subquery(session, find), &session.dialect().backend())).await
}

/// Runs an update and returns how many rows it changed.
pub(super) async fn update<E: LedgerEntity>(session: &Session, doing: &str, mut update: UpdateMany<E>) -> Result<u64> {
    QueryTrait::query(&mut update).table(table(session.dialect(), E::TABLE));
    session.run_statement(doing, update.build(session.dialect().backend())).await
}

/// Writes back every column of a row, which must be there.
pub(super) async fn save<A>(session: &Session, doing: &str, row: A) -> Result<()>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    let mut row = row.reset_all();
    let mut change = A::Entity::update_many();
    for key in <A::Entity as EntityTrait>::PrimaryKey::iter() {
        let key = key.into_column();
        if let ActiveValue::Set(value) = row.take(key) {
            change = change.filter(key.eq(value));
        }
    }
    match update(session, doing, change.set(row)).await? {
        1 => Ok(()),
        count => Err(Error::unexpected(doing, format!("{count} rows changed instead of one"))),
    }
}

/// Runs a delete and returns how many rows it removed.
pub(super) async fn delete<E: LedgerEntity>(session: &Session, doing: &str, mut delete: DeleteMany<E>) -> Result<u64> {
    QueryTrait::query(&mut delete).from_table(table(session.dialect(), E::TABLE));
    session.run_statement(doing, delete.build(session.dialect().backend())).await
}

/// Has a query lock the rows that it finds, where the database locks rows.
pub(super) fn locked<E: LedgerEntity>(session: &Session, find: Select<E>, lock: RowLock) -> Select<E> {
    if !session.capabilities().row_locks {
        return find;
    }
    match lock {
        RowLock::Wait => find.lock(LockType::Update),
        RowLock::SkipLocked => find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked),
        RowLock::SkipChanging => find.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked),
    }
}

/// Returns a query as a part of another.
pub(super) fn subquery<E: LedgerEntity>(session: &Session, find: Select<E>) -> SelectStatement {
    let mut query = find.into_query();
    query.from_clear().from(table(session.dialect(), E::TABLE));
    query
}

/// Returns the columns of an alias, each under its name with a prefix: for [`Row::entity`].
pub(super) fn columns<E: LedgerEntity>(alias: &str, prefix: &str) -> String {
    let named = |column: E::Column| format!("{alias}.{name} AS {prefix}{name}", name = column.as_str());
    E::Column::iter().map(named).collect::<Vec<_>>().join(", ")
}

fn table(dialect: SharedDialect, table: LedgerTable) -> TableRef {
    let (schema, name) = dialect.ledger_table(table);
    let named = match schema {
        Some(schema) => (schema.into_iden(), name.into_iden()).into_table_ref(),
        None => name.into_table_ref(),
    };
    named.alias(table.name())
}
