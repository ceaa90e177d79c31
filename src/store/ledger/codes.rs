//! Enums in the ledger's columns: stored by their names. An unknown name is an error, never a default.

use std::fmt;
use std::str::FromStr;

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, StringLen, Value, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryGetError, TryGetable};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::catalog::JournalAction;
use crate::contract::{OwnerKind, RequestOutcome, RequestType, SignInKind, SkipReason, State, UnknownName, named_enum};

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

named_enum! {
    /// The destination of an outbox message: the three queues, and the exchange that publishes events. On a broker, a prefix
    /// precedes the name.
    pub enum Channel: "channel" {
        /// Requests from outside: `<prefix>.requests`.
        Requests = "requests",
        /// Handover's own steps (cut, ticket, finalize and so on): `<prefix>.steps`.
        Steps = "steps",
        /// Messages set aside for a person, with the reason: `<prefix>.dead`.
        Dead = "dead",
        /// Events for subscribers: the topic exchange `<prefix>.events`.
        Events = "events",
    }
}

impl Channel {
    /// The channels that are queues.
    pub const QUEUES: [Channel; 3] = [Channel::Requests, Channel::Steps, Channel::Dead];
}

/// The action of a row of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A handover changed the records.
    Handover(JournalAction),
    /// An undo brought them back.
    Restored,
    /// An undo skipped them.
    Skipped(SkipReason),
}

const RESTORED: &str = "restored";

/// The beginning of the name of each [`Action::Skipped`]; the reason follows it.
pub(super) const SKIPPED: &str = "skipped_";

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Handover(action) => f.write_str(action.name()),
            Action::Restored => f.write_str(RESTORED),
            Action::Skipped(reason) => write!(f, "{SKIPPED}{reason}"),
        }
    }
}

impl FromStr for Action {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Action, UnknownName> {
        match name.strip_prefix(SKIPPED) {
            Some(reason) => reason.parse().map(Action::Skipped),
            None if name == RESTORED => Ok(Action::Restored),
            None => name.parse().map(Action::Handover),
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The outcome of a snapshot that an undo has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// The row or the values came back.
    Restored {
        /// The job of the undo.
        by: Uuid,
    },
    /// They were skipped.
    Skipped {
        /// The reason.
        reason: SkipReason,
        /// The job of the undo.
        by: Uuid,
    },
}

impl fmt::Display for SnapshotOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotOutcome::Restored { by } => write!(f, "{RESTORED} {by}"),
            SnapshotOutcome::Skipped { reason, by } => write!(f, "{reason} {by}"),
        }
    }
}

impl FromStr for SnapshotOutcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<SnapshotOutcome, UnknownName> {
        let unknown = || UnknownName { what: "snapshot outcome", name: text.to_owned() };
        let (name, by) = text.split_once(' ').ok_or_else(unknown)?;
        let by = by.parse().map_err(|_| unknown())?;
        match name {
            RESTORED => Ok(SnapshotOutcome::Restored { by }),
            reason => Ok(SnapshotOutcome::Skipped { reason: reason.parse()?, by }),
        }
    }
}

macro_rules! stored_by_name {
    ($($Enum:ty: $tables:literal),+ $(,)?) => { $(
        impl From<$Enum> for Value {
            fn from(value: $Enum) -> Value {
                value.to_string().into()
            }
        }

        impl TryGetable for $Enum {
            fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<$Enum, TryGetError> {
                let name = String::try_get_by(row, column)?;
                name.parse().map_err(|error| unknown($tables, column, &error))
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

// Each with the tables whose rows hold it, for the error.
stored_by_name!(
    Action: "journal",
    Channel: "outbox",
    ChunkState: "chunks",
    OwnerKind: "tokens or uploads",
    SignInKind: "sign_ins",
    RequestOutcome: "requests",
    RequestType: "jobs or requests",
    SnapshotOutcome: "row_snapshots",
    State: "jobs",
);

fn unknown(tables: &str, column: impl ColIdx, error: &UnknownName) -> TryGetError {
    let column = column.as_str().map_or_else(|| format!("{column:?}"), str::to_owned);
    let message = format!(
        "{error} (the column {column} of the ledger's table {tables}): a newer version of Handover may have written it"
    );
    DbErr::Type(message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_outcomes_are_read_back() {
        let handovers = JournalAction::ALL.map(Action::Handover);
        let skipped = SkipReason::ALL.map(Action::Skipped);
        for action in handovers.into_iter().chain(skipped).chain([Action::Restored]) {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        let by = Uuid::from_u128(7);
        let skipped = SkipReason::ALL.map(|reason| SnapshotOutcome::Skipped { reason, by });
        for outcome in skipped.into_iter().chain([SnapshotOutcome::Restored { by }]) {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
        }
        for unknown in ["skipped", "skipped_lunch", "restored 7", ""] {
            assert!(unknown.parse::<Action>().is_err() && unknown.parse::<SnapshotOutcome>().is_err(), "{unknown}");
        }
    }
}
