//! Setting columns, with a snapshot of the old values. The user stays: only the columns change.

use super::change::{Effect, RowChange};
use crate::catalog::{Column, JournalAction, Reference, Retention, SetValue, TableName};
use crate::store::dialect::sql::{Sql, quoted};
use crate::store::host::item::WorkItem;
use crate::store::host::predicates::raise_version;
use crate::store::host::present::present_time;
use crate::store::host::selection::Selected;

/// Describes the setting of the items' rows that still lack a value.
pub fn changes<'a>(
    reference: &'a Reference,
    items: &'a [&'a WorkItem],
    values: &'a [(Column, SetValue)],
) -> Vec<RowChange<'a>> {
    let effect = Effect::Set(values);
    vec![RowChange {
        reference,
        items,
        rows: Selected::All,
        effect,
        action: JournalAction::Set,
        retention: Some(Retention::Journal),
    }]
}

/// Returns the columns that a snapshot of a row that is set holds: its key, and the columns that take values.
pub fn set_columns<'r>(reference: &'r Reference, values: &'r [(Column, SetValue)]) -> Vec<&'r Column> {
    reference.key.iter().filter(|_| !reference.keyless).chain(values.iter().map(|(column, _)| column)).collect()
}

/// Returns the new value of a column of a table.
pub fn new_value(sql: &mut Sql, host: &TableName, column: &Column, value: &SetValue) -> String {
    match value {
        SetValue::Text(text) => sql.host(column, text),
        SetValue::Null => "NULL".to_owned(),
        SetValue::Now => present_time(sql.dialect(), host, None, column),
    }
}

/// Returns the columns whose new values the catalog does not know: a snapshot keeps what they were set to.
pub fn timed_columns(values: &[(Column, SetValue)]) -> Vec<&Column> {
    let is_timed = |(_, value): &&(Column, SetValue)| match value {
        SetValue::Now => true,
        SetValue::Text(_) | SetValue::Null => false,
    };
    values.iter().filter(is_timed).map(|(column, _)| column).collect()
}

/// Returns the assignments of an UPDATE of `t`. A time that is set already stays.
pub fn assignments(sql: &mut Sql, reference: &Reference, values: &[(Column, SetValue)]) -> String {
    let assign = values.iter().map(|(column, value)| {
        let name = quoted(&column.name);
        let value = match value {
            SetValue::Text(_) | SetValue::Null => new_value(sql, &reference.table, column, value),
            // Without the alias, a column of the ledger could be meant.
            SetValue::Now => {
                format!("COALESCE(t.{name}, {})", new_value(sql, &reference.table, column, value))
            }
        };
        format!("{name} = {value}")
    });
    assign.collect::<Vec<_>>().join(", ") + &raise_version(reference, "t")
}
