//! How the CRM's tables are written down: a table, its columns in order, and the indexes that its queries need.

use sea_orm_migration::{prelude::*, schema};

/// A table in the making, with its indexes, which both engines create by statements of their own.
pub(super) struct CrmTable {
    name: &'static str,
    table: TableCreateStatement,
    indexes: Vec<IndexCreateStatement>,
}

/// A table without a key as yet: give it [`CrmTable::key`].
pub(super) fn table(name: &'static str) -> CrmTable {
    CrmTable { name, table: Table::create().table(name).take(), indexes: Vec::new() }
}

/// A table whose rows are numbered by the database in the column `id`.
pub(super) fn numbered(name: &'static str) -> CrmTable {
    table(name).col(schema::big_pk_auto("id"))
}

impl CrmTable {
    /// A column of any type.
    pub(super) fn col(mut self, column: ColumnDef) -> Self {
        self.table.col(column);
        self
    }

    /// A text that is always there.
    pub(super) fn text(self, column: &'static str) -> Self {
        self.col(schema::text(column))
    }

    /// A text that may be missing.
    pub(super) fn text_null(self, column: &'static str) -> Self {
        self.col(schema::text_null(column))
    }

    /// A flag, and what it is unless somebody says otherwise.
    pub(super) fn flag(self, column: &'static str, default: bool) -> Self {
        self.col(schema::boolean(column).default(default).take())
    }

    /// A time that is now unless somebody says otherwise.
    pub(super) fn now(self, column: &'static str) -> Self {
        let time = schema::timestamp_with_time_zone(column).default(Expr::current_timestamp()).take();
        self.col(time)
    }

    /// A time that may not have come.
    pub(super) fn time_null(self, column: &'static str) -> Self {
        self.col(schema::timestamp_with_time_zone_null(column))
    }

    /// A sum of money that may be unknown.
    pub(super) fn money_null(self, column: &'static str) -> Self {
        self.col(schema::decimal_len_null(column, 14, 2))
    }

    /// A text out of a closed list, whose first is the default.
    pub(super) fn one_of(self, column: &'static str, values: &[&str]) -> Self {
        self.col(schema::text(column).default(values[0]).take()).check(Expr::col(column).is_in(values.iter().copied()))
    }

    /// A condition on every row.
    pub(super) fn check(mut self, condition: Expr) -> Self {
        self.table.check(condition);
        self
    }

    /// A column with the `id` of a row of `parent`, which cannot be deleted while it is pointed at.
    pub(super) fn refers(self, column: &'static str, parent: &'static str) -> Self {
        self.col(schema::big_integer(column)).foreign(&[column], parent, &["id"])
    }

    /// As [`Self::refers`], or nothing.
    pub(super) fn may_refer(self, column: &'static str, parent: &'static str) -> Self {
        self.col(schema::big_integer_null(column)).foreign(&[column], parent, &["id"])
    }

    /// A foreign key over columns that are there already.
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

    /// The primary key of a table that is not [`numbered`].
    pub(super) fn key(mut self, columns: &[&'static str]) -> Self {
        let mut key = Index::create();
        for column in columns {
            key.col(*column);
        }
        self.table.primary_key(&mut key);
        self
    }

    /// An index.
    pub(super) fn index(mut self, columns: &[&'static str]) -> Self {
        self.indexes.push(self.index_on(columns));
        self
    }

    /// An index over values that come once.
    pub(super) fn unique(mut self, columns: &[&'static str]) -> Self {
        let mut index = self.index_on(columns);
        index.unique();
        self.indexes.push(index);
        self
    }

    /// SQLite has one name space for all tables' indexes, hence the table's name in it.
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
