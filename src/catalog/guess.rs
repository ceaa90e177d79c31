//! Guesses, from names and types, which table of an unknown schema holds users and which columns point at them. A person
//! confirms every guess; no record is ever moved on one.

use super::schema::{Family, Schema, SchemaColumn, Table};

/// The usual names of users' tables, the likeliest first.
const USERS_TABLES: [&str; 12] = [
    "users",
    "user",
    "people",
    "persons",
    "person",
    "employees",
    "employee",
    "staff",
    "agents",
    "members",
    "accounts",
    "profiles",
];

/// Words in the names of columns that hold a user.
const PERSON_WORDS: [&str; 20] = [
    "user",
    "owner",
    "assignee",
    "assigned",
    "author",
    "creator",
    "manager",
    "supervisor",
    "boss",
    "agent",
    "employee",
    "member",
    "person",
    "approver",
    "reviewer",
    "reporter",
    "requester",
    "responsible",
    "holder",
    "follower",
];

/// The last words of columns that hold the user who did something.
const DOER_WORDS: [&str; 3] = ["by", "rep", "to"];

/// A column that probably holds users, although no foreign key says so.
#[derive(Debug, Clone)]
pub struct Candidate<'s> {
    /// The table.
    pub table: &'s Table,
    /// The column.
    pub column: &'s SchemaColumn,
    /// Why it is likely.
    pub why: String,
    /// A column of the same table that may hold the type of what it points at.
    pub type_column: Option<&'s str>,
}

/// Returns the users' table: the named one, or else the likeliest by name, columns and references.
pub fn users_table<'s>(schema: &'s Schema, named: Option<&str>) -> Option<&'s Table> {
    if let Some(named) = named {
        return schema.table(named);
    }
    let score = |table: &&Table| {
        let name = table.name.name.to_lowercase();
        let by_name = USERS_TABLES.iter().position(|likely| *likely == name || name.ends_with(&format!("_{likely}")));
        let by_name = by_name.map_or(0, |place| 20 - place);
        let has_mail = table.columns.iter().any(|column| column.name.to_lowercase().contains("mail"));
        let has_status = status_column(table).is_some();
        let pointed_at = schema.inbound(&table.name).count().min(20);
        by_name + pointed_at + if has_mail { 10 } else { 0 } + if has_status { 5 } else { 0 }
    };
    let likely = schema.tables.iter().filter(|table| key_of(table).is_some_and(|key| key.len() == 1));
    likely.max_by_key(score).filter(|table| score(table) >= 15)
}

/// Returns the key of a table: the fewest unique columns that are never NULL. A text cannot name the values of a column without
/// a type.
pub fn key_of(table: &Table) -> Option<&Vec<String>> {
    let never_null =
        |name: &String| table.column(name).is_some_and(|column| !column.nullable && column.family != Family::Any);
    let keys = table.uniques.iter().filter(|unique| unique.iter().all(never_null));
    keys.min_by_key(|key| (key.len(), key.first().is_none_or(|first| first != "id")))
}

/// Returns the first column with one of these names, or else the first whose name contains one.
pub fn column_like<'t>(table: &'t Table, names: &[&str]) -> Option<&'t SchemaColumn> {
    let folded = |column: &SchemaColumn| column.name.to_lowercase();
    let exact = names.iter().find_map(|name| table.columns.iter().find(|column| folded(column) == *name));
    exact.or_else(|| names.iter().find_map(|name| table.columns.iter().find(|column| folded(column).contains(name))))
}

/// Returns the column that says if a user is active.
pub fn status_column(table: &Table) -> Option<&SchemaColumn> {
    let names =
        ["status", "state", "is_active", "active", "enabled", "disabled", "deactivated", "is_deleted", "deleted"];
    let is_none =
        |family: Family| matches!(family, Family::Time | Family::Any | Family::Other | Family::Opaque | Family::Uuid);
    let fits = |column: &&SchemaColumn| !is_none(column.family);
    let find = |name: &&str| table.columns.iter().find(|column| column.name.to_lowercase() == **name).filter(fits);
    let near = || {
        table.columns.iter().filter(fits).find(|column| {
            let name = column.name.to_lowercase();
            name.ends_with("status") || name.contains("active")
        })
    };
    names.iter().find_map(find).or_else(near).or_else(|| end_column(table))
}

/// Returns the column that takes the time at which a user leaves, and is empty until then.
pub fn end_column(table: &Table) -> Option<&SchemaColumn> {
    const ENDS: [&str; 8] =
        ["deactivated", "disabled", "suspended", "terminated", "archived", "deleted", "locked", "left"];
    let takes_time = |column: &&SchemaColumn| column.family == Family::Time && column.nullable;
    let times = || table.columns.iter().filter(takes_time);
    ENDS.iter().find_map(|end| times().find(|column| words_of(&column.name).first().is_some_and(|first| first == end)))
}

/// Returns the column that probably holds when a row was created.
pub fn creation_column(table: &Table) -> Option<&SchemaColumn> {
    const NAMES: [&str; 8] = [
        "created_at",
        "created_on",
        "created",
        "createdat",
        "inserted_at",
        "creation_date",
        "date_created",
        "createdate",
    ];
    let times = || table.columns.iter().filter(|column| column.family == Family::Time);
    NAMES.iter().find_map(|name| times().find(|column| column.name.eq_ignore_ascii_case(name)))
}

/// Lists columns whose names suggest users, whose types fit users' ids, and that have no foreign key.
pub fn candidates<'s>(schema: &'s Schema, users: &Table, key: &SchemaColumn) -> Vec<Candidate<'s>> {
    let mut found = Vec::new();
    for table in &schema.tables {
        for column in &table.columns {
            let is_key = table.name == users.name && column.name == key.name;
            let explained = table.foreign_keys.iter().any(|foreign| foreign.columns.contains(&column.name));
            let fits = column.family == key.family || column.family == Family::Text;
            if let Some(word) = person_word(&column.name).filter(|_| fits && !is_key && !explained) {
                let type_column = type_column_of(table, &column.name);
                let mut why = format!("`{word}` in its name");
                if column.family != key.family {
                    why.push_str(", ids perhaps stored as text");
                }
                found.push(Candidate { table, column, why, type_column });
            }
        }
    }
    found
}

/// Lists columns of which one value may hold several users: arrays and JSON documents. No foreign key can tell what they hold.
pub fn containers(schema: &Schema) -> Vec<(&Table, &SchemaColumn)> {
    let of_table = |table| Table::many_columns(table).map(move |column| (table, column));
    schema.tables.iter().flat_map(of_table).collect()
}

/// Lists columns of texts that may hold JSON documents, in a database without a type for them.
pub fn possible_documents(schema: &Schema) -> Vec<(&Table, &SchemaColumn)> {
    if schema.traits.checks_types {
        return Vec::new();
    }
    let points = |table: &Table, name: &String| table.foreign_keys.iter().any(|key| key.columns.contains(name));
    let is_open = |table: &Table, column: &SchemaColumn| {
        column.family == Family::Text && !column.holds_many && column.values.is_none() && !points(table, &column.name)
    };
    let all = schema.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    all.filter(|(table, column)| is_open(table, column)).collect()
}

/// True if a name inside a JSON document suggests a user.
pub fn names_a_person(name: &str) -> bool {
    DOER_WORDS.contains(&name) || person_word(name).is_some()
}

/// Returns the word of a column's name that suggests a user.
fn person_word(name: &str) -> Option<&'static str> {
    let words = words_of(name);
    // `user_name`, `owner_type` and `assigned_at` describe a user and do not point at one.
    let about =
        ["name", "email", "mail", "type", "at", "on", "role", "count", "status", "agent_string", "kind", "title"];
    if words.last().is_some_and(|last| about.contains(&last.as_str())) {
        return None;
    }
    let doer = DOER_WORDS.iter().find(|word| words.len() > 1 && words.last().is_some_and(|last| last == *word));
    doer.or_else(|| PERSON_WORDS.iter().find(|word| words.iter().any(|part| part == *word))).copied()
}

/// Splits a name into words: `AssignedTo_id` into assigned, to and id.
pub fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        after_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn type_column_of<'t>(table: &'t Table, name: &str) -> Option<&'t str> {
    let stem = name.strip_suffix("_id").unwrap_or(name);
    table.columns.iter().map(|column| column.name.as_str()).find(|other| *other == format!("{stem}_type"))
}

#[cfg(test)]
mod tests {
    use super::{person_word, words_of};

    #[test]
    fn names_are_split_into_words() {
        assert_eq!(words_of("AssignedTo_id"), ["assigned", "to", "id"]);
        assert_eq!(words_of("owner_id"), ["owner", "id"]);
    }

    #[test]
    fn columns_of_users_are_recognized() {
        for name in ["owner_id", "created_by", "assignedTo", "UserId", "sales_rep", "author"] {
            assert!(person_word(name).is_some(), "{name}");
        }
        for name in ["user_name", "owner_type", "assigned_at", "amount", "to", "company_id", "users_count"] {
            assert_eq!(person_word(name), None, "{name}");
        }
    }
}
