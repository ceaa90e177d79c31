//! Enums in the ledger's columns: stored by their names. An unknown name is an error, never a default.

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, StringLen, Value, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryGetError, TryGetable};

use crate::contract::named_enum;

named_enum! {
    /// The state of a chunk.
    pub enum ChunkState: "chunk state" {
        /// It waits to be worked on.
        Open = "open",
        /// Its work is done and journaled.
        Closed = "closed",
        /// It failed at every attempt.
        Failed = "failed",
    }
}

macro_rules! stored_by_name {
    ($($Enum:ty),+) => { $(
        impl From<$Enum> for Value {
            fn from(value: $Enum) -> Value {
                value.name().into()
            }
        }

        impl TryGetable for $Enum {
            fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<$Enum, TryGetError> {
                let name = String::try_get_by(row, column)?;
                name.parse().map_err(|error: crate::contract::UnknownName| DbErr::Type(error.to_string()).into())
            }
        }

        impl ValueType for $Enum {
            fn try_from(value: Value) -> Result<$Enum, ValueTypeErr> {
                let name = <String as ValueType>::try_from(value)?;
                name.parse().map_err(|_| ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($Enum).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::String
            }

            fn column_type() -> ColumnType {
                ColumnType::String(StringLen::None)
            }
        }

        impl Nullable for $Enum {
            fn null() -> Value {
                Value::String(None)
            }
        }
    )+ };
}

stored_by_name!(ChunkState);
