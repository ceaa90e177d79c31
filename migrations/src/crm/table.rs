//! Builds the CRM's tables: the columns in order, and the indexes that queries need.

use sea_orm_migration::{prelude::*, schema};

/// A table in the making, with its indexes, which are created by statements of their own.
pub(super) struct CrmTable {
    name: &'static str,
    table: TableCreateStatement,
    indexes: Vec<IndexCreateStatement>,
}

/// Begins a table without a key: add one with [`CrmTable::key`].
pub(super) fn table(name: &'static str) -> CrmTable {
    CrmTable { name, table: Table::create().table(name).take(), indexes: Vec::new() }
}

/// Begins a table whose rows the database numbers in the column `id`.
pub(super) fn numbered(name: &'static str) -> CrmTable {
    table(name).col(schema::big_pk_auto("id"))
}

impl CrmTable {
    /// Adds a column of any type.
    pub(super) fn col(mut self, column: ColumnDef) -> Self {
        self.table.col(column);
        self
    }

    /// Adds a text that is never NULL.
    pub(super) fn text(self, column: &'static str) -> Self {
        self.col(schema::text(column))
    }

    /// Adds a text that may be NULL.
    pub(super) fn text_null(self, column: &'static str) -> Self {
        self.col(schema::text_null(column))
    }

    /// Adds a flag with a default.
    pub(super) fn flag(self, column: &'static str, default: bool) -> Self {
        self.col(schema::boolean(column).default(default).take())
    }

    /// Adds a time that defaults to the present.
    pub(super) fn now(self, column: &'static str) -> Self {
        let time = schema::timestamp_with_time_zone(column).default(Expr::current_timestamp()).take();
        self.col(time)
    }

    /// Adds a time that may be NULL.
    pub(super) fn time_null(self, column: &'static str) -> Self {
        self.col(schema::timestamp_with_time_zone_null(column))
    }

    /// Adds a sum of money that may be NULL.
    pub(super) fn money_null(self, column: &'static str) -> Self {
        self.col(schema::decimal_len_null(column, 14, 2))
    }

    /// Adds a text of a closed list, whose first value is the default.
    pub(super) fn one_of(self, column: &'static str, values: &[&str]) -> Self {
        self.col(schema::text(column).default(values[0]).take()).check(Expr::col(column).is_in(values.iter().copied()))
    }

    /// Adds a condition on every row.
    pub(super) fn check(mut self, condition: Expr) -> Self {
        self.table.check(condition);
        self
    }

    /// Adds a column with the `id` of a row of `parent`, which cannot be deleted while a row points at it.
    pub(super) fn refers(self, column: &'static str, parent: &'static str) -> Self {
        self.col(schema::big_integer(column)).foreign(&[column], parent, &["id"])
    }

    /// Adds a column like [`Self::refers`] that may be NULL.
    pub(super) fn may_refer(self, column: &'static str, parent: &'static str) -> Self {
        self.col(schema::big_integer_null(column)).foreign(&[column], parent, &["id"])
    }

    /// Adds a foreign key over columns that exist already.
    pub(super) fn foreign(
        mut self,
        columns: &[&'static str],
        parent: &'static str,
        parent_columns: &[&'static str],
    ) -> Self {
        let mut foreign = ForeignKey::create();
        for column in columns {
            foreign.from(self.name, *column);
        }
        for column in parent_columns {
            foreign.to(parent, *column);
        }
        self.table.foreign_key(&mut foreign);
        self
    }

    /// Sets the primary key of a table that is not [`numbered`].
    pub(super) fn key(mut self, columns: &[&'static str]) -> Self {
        let mut key = Index::create();
        for column in columns {
            key.col(*column);
        }
        self.table.primary_key(&mut key);
        self
    }

    /// Adds an index.
    pub(super) fn index(mut self, columns: &[&'static str]) -> Self {
        self.indexes.push(self.index_on(columns));
        self
    }

    /// Adds a unique index.
    pub(super) fn unique(mut self, columns: &[&'static str]) -> Self {
        let mut index = self.index_on(columns);
        index.unique();
        self.indexes.push(index);
        self
    }

    /// Names an index after its table too: SQLite has one name space for the indexes of all tables.
    fn index_on(&self, columns: &[&'static str]) -> IndexCreateStatement {
        let mut index = Index::create();
        index.name(format!("idx_{}_{}", self.name, columns.join("_"))).table(self.name);
        for column in columns {
            index.col(*column);
        }
        index
    }

    pub(super) async fn create(self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        manager.create_table(self.table).await?;
        for index in self.indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    pub(super) async fn drop(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(self.name).take()).await
    }
}
