//! The examples in documents, read by the program's parser of requests or validated by its schema of catalogs.

use std::path::PathBuf;

use handover::contract::read_request;
use jsonschema::Validator;
use serde_json::Value;

use super::documents;
use crate::support::process::run;

/// The sections that an example of another section needs around it.
const USERS: &str = r#"
[users]
table = "users"
key = "id"
name = "name"
email = "email"
status = { column = "status", active = "active", inactive = "inactive" }
"#;
const LICENSE: &str = r#"
[license]
table = "licenses"
user = "user_id"
"#;
const REFERENCE: [(&str, &str); 5] = [
    ("kind", "\"ticket\""),
    ("table", "\"tickets\""),
    ("key", "\"id\""),
    ("user", "\"assignee_id\""),
    ("disposition", "\"transfer\""),
];

/// Returns the blocks of code in a language, with the documents that they are in.
fn blocks(language: &str) -> Vec<(PathBuf, String)> {
    let start = format!("```{language}\n");
    let of_one = |(file, text): (PathBuf, String)| -> Vec<(PathBuf, String)> {
        let blocks = text.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned());
        blocks.map(|block| (file.clone(), block)).collect()
    };
    documents().into_iter().flat_map(of_one).collect()
}

#[test]
fn documented_requests_are_valid() {
    let mut seen = 0;
    for (file, block) in blocks("json") {
        let json: Value = serde_json::from_str(&block).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if json.get("request_id").is_some() && json.get("outcome").is_none() {
            seen += 1;
            read_request(block.as_bytes()).unwrap_or_else(|faults| panic!("{}: {faults}", file.display()));
        }
    }
    assert!(seen >= 3, "only {seen} were found");
}

#[test]
fn documented_catalogs_are_valid() {
    let schema = run(&[], &["schema", "catalog"]).expect(0).json();
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for (file, block) in blocks("toml") {
        let whole = if block.contains("[users]") { block } else { format!("{USERS}{block}") };
        check(&schema, &whole).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let mut seen = 0;
    for (file, text) in documents() {
        if !file.ends_with("reference/catalog.md") && !file.ends_with("guides/your-database.md") {
            continue;
        }
        // Entries in prose: `sole_in = "alert_id"`.
        let prose: String = text.split("```").step_by(2).collect();
        for entry in prose
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.contains(" = ") && !code.contains('…') && !code.starts_with('{'))
        {
            seen += 1;
            let name = entry.split(' ').next().unwrap_or_default();
            let others = REFERENCE.iter().filter(|(other, _)| *other != name);
            let others: Vec<String> = others.map(|(name, value)| format!("{name} = {value}")).collect();
            let users: String =
                USERS.split_inclusive('\n').filter(|line| !line.starts_with(&format!("{name} ="))).collect();
            let places = [
                format!("{USERS}[[reference]]\n{}\n{entry}", others.join("\n")),
                format!("{users}{entry}"),
                format!("{USERS}{LICENSE}{entry}"),
            ];
            let results = places.map(|place| check(&schema, &place));
            assert!(results.iter().any(Result::is_ok), "{}: {entry}: {:?}", file.display(), results[0]);
        }
    }
    assert!(seen > 20, "only {seen} were found");
}

/// Returns the first fault of a catalog's text.
fn check(schema: &Validator, text: &str) -> Result<(), String> {
    let catalog: Value = toml::from_str(text).map_err(|error| error.to_string())?;
    schema.validate(&catalog).map_err(|fault| format!("{}: {fault}", fault.instance_path()))
}
