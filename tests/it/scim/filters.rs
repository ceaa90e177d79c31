//! Filters, as data: the whole grammar is read, and what cannot be run is refused.

use handover::scim::{Attribute, Condition, Filter, Mapped, ScimType, parse_filter};
use proptest::prelude::*;

const MAPPED: Mapped = Mapped { name_columns: true, title: true, manager: true };

fn condition(text: &str) -> Condition {
    let filter = parse_filter(text).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
    Condition::of(&filter, MAPPED).unwrap_or_else(|failure| panic!("{text}: {failure:?}"))
}

fn equals(attribute: Attribute, text: &str) -> Condition {
    Condition::Equals(attribute, text.to_owned())
}

/// Promise: names and operators in any case, with schemas and brackets, and texts by JSON's rules, are understood.
#[test]
fn filters_of_providers_become_conditions() {
    let user_name = equals(Attribute::UserName, "x@y");
    for text in [
        "userName eq \"x@y\"",
        "USERNAME Eq \"x@y\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"x@y\"",
        "(userName eq \"x\\u0040y\")",
    ] {
        assert_eq!(condition(text), user_name, "{text}");
    }
    assert_eq!(condition("externalId eq \"a \\\"b\\\" \\\\ c\""), equals(Attribute::ExternalId, "a \"b\" \\ c"));
    assert_eq!(
        condition("emails[type eq \"work\"].value eq \"a@b\""),
        Condition::All(vec![Condition::Constant(true), equals(Attribute::Email, "a@b")])
    );
    assert_eq!(
        condition("emails[type eq \"home\"].value eq \"a@b\""),
        Condition::All(vec![Condition::Constant(false), equals(Attribute::Email, "a@b")])
    );
    assert_eq!(condition("active eq \"False\""), Condition::Active(false));
    let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq \"7\"";
    assert_eq!(condition(manager), equals(Attribute::Manager, "7"));
}

/// Promise: `and` binds tighter than `or`, and parentheses group.
#[test]
fn filters_group_by_precedence() {
    let [a, b, c] = ["a", "b", "c"].map(|text| equals(Attribute::Title, text));
    let (any, all) = (Condition::Any, Condition::All);
    let grouped = condition("title eq \"a\" or title eq \"b\" and title eq \"c\"");
    assert_eq!(grouped, any(vec![a.clone(), all(vec![b.clone(), c.clone()])]));
    let grouped = condition("(title eq \"a\" or title eq \"b\") AND title eq \"c\"");
    assert_eq!(grouped, all(vec![any(vec![a, b]), c]));
}

/// Promise: a malformed, hostile or unsupported filter is an `invalidFilter`, and never a wider search.
#[test]
fn unsupported_filters_are_refused() {
    let deep = "(".repeat(200) + "title pr" + &")".repeat(200);
    let many = vec!["title pr"; 17].join(" and ");
    let long = format!("title eq \"{}\"", "x".repeat(5_000));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName eq 'x'",
        "userName eq \"x",
        "userName eq x",
        "userName xx \"x\"",
        "userName eq \"x\" or",
        "(userName pr",
        "userName pr)",
        "not (userName pr)",
        "userName co \"x\"",
        "userName ne \"x\"",
        "userName gt \"x\"",
        "password eq \"x\"",
        "groups pr",
        "meta.lastModified gt \"2020\"",
        "title eq null",
        "title eq 5",
        "active eq 1",
        "id sw \"1\"",
        "emails[type eq",
        "emails[display pr]",
        "addresses[type eq \"work\"]",
        "userName eq \"x\\q\"",
        "userName eq \"x\"; DROP TABLE users",
        "1 eq 1",
        "emails[value eq \"a\"].type eq \"work\"",
        deep.as_str(),
        many.as_str(),
        long.as_str(),
    ] {
        let condition = parse_filter(text).and_then(|filter| Condition::of(&filter, MAPPED));
        let failure = condition.expect_err(text);
        assert_eq!((failure.status, failure.scim_type), (400, Some(ScimType::InvalidFilter)), "{text}");
    }
    let split = parse_filter("name.givenName eq \"x\"").expect("a filter");
    assert!(Condition::of(&split, Mapped::default()).is_err(), "a part of a column cannot be searched");
}

fn filters() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-zA-Z][a-zA-Z0-9.:$_-]{0,12}", Just("emails".to_owned()), Just("userName".to_owned())];
    let value = prop_oneof![
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        any::<i32>().prop_map(|number| number.to_string()),
        prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned),
    ];
    let operator = prop_oneof![Just("eq"), Just("sw"), Just("co"), Just("GE")];
    let one = prop_oneof![
        (name.clone(), operator, value).prop_map(|(name, operator, value)| format!("{name} {operator} {value}")),
        name.clone().prop_map(|name| format!("{name} pr")),
    ];
    one.prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} and ({right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) or {right}")),
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            (name.clone(), inner).prop_map(|(name, inner)| format!("{name}[{inner}]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise: a filter that is written again means the same.
    #[test]
    fn filters_survive_writing_and_reading(text in filters()) {
        if let Ok(filter) = parse_filter(&text) {
            let again: Filter = parse_filter(&filter.to_string()).expect("a filter that was read before");
            prop_assert_eq!(again, filter);
        }
    }

    /// Promise: any text is a filter or an error with a keyword; nothing panics.
    #[test]
    fn any_text_is_filter_or_error(text in any::<String>()) {
        if let Err(failure) = parse_filter(&text) {
            prop_assert_eq!(failure.scim_type, Some(ScimType::InvalidFilter));
        }
    }
}
