//! Reads allotments.

use std::collections::BTreeMap;

use super::fields::{amount, boolean, id, one_of, text};
use super::json::Json;
use super::object::{Object, entries};
use super::path::Path;
use crate::contract::allotment::{LONGEST_GROUP, Logic, MOST_NAMED, MOST_SHARES};
use crate::contract::{Allotment, DeadLetterCode, Extras, Faults, Recipient, Share, UserId};

/// Reads the allotment of each kind.
pub fn reassign(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<BTreeMap<String, Allotment>> {
    let Json::Object(kinds) = json else {
        let detail = format!("it must be an object with an allotment for each kind, and this is {json}");
        let hint = "write it like {\"contact\": {\"user\": \"11\"}}";
        return faults.add(DeadLetterCode::InvalidField, path, detail, hint);
    };
    let kinds = entries(kinds, path, faults).into_iter();
    let read: Vec<_> = kinds.map(|(kind, json)| (kind, allotment(json, &path.field(kind), faults))).collect();
    read.into_iter().map(|(kind, allotment)| Some((kind.to_owned(), allotment?))).collect()
}

/// Reads an allotment.
fn allotment(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<Allotment> {
    let code = DeadLetterCode::InvalidField;
    let Json::Object(object) = json else {
        let hint = match json {
            Json::Text(user) => format!("write {{\"user\": \"{user}\"}}"),
            Json::Number(user) => format!("write {{\"user\": \"{user}\"}}"),
            Json::Null => "name a successor, such as {\"user\": \"11\"}, or leave the kind out".to_owned(),
            Json::List(_) => "write {\"logic\": \"ratio\", \"shares\": [{\"user\": \"11\", \"amount\": 1}]}".to_owned(),
            Json::Bool(_) | Json::Object(_) => "write {\"user\": \"11\"}, or {\"manager\": true}".to_owned(),
        };
        return faults.add(code, path, format!("an allotment is an object, and this is {json}"), hint);
    };
    let mut object = Object::open(object, path, faults);
    let logic = object.optional("logic", faults, |json, path, faults| one_of(&Logic::ALL, json, path, faults));
    let shares = object.optional("shares", faults, shares);
    let extras = object.optional("extras", faults, |json, path, faults| one_of(&Extras::ALL, json, path, faults));
    let user = object.optional("user", faults, id::<UserId>);
    let manager = object.optional("manager", faults, manager);
    let each = object.optional("each", faults, each);
    let rest = object.optional("rest", faults, rest);
    let ways = ["logic", "user", "manager", "each"].map(|way| object.has(way));
    let (has_shares, has_extras, has_rest) = (object.has("shares"), object.has("extras"), object.has("rest"));
    object.close("an allotment", faults);
    let [has_logic, _, _, has_each] = ways;
    if ways.into_iter().filter(|way| *way).count() != 1 {
        let detail = "an allotment needs exactly one of `logic`, `user`, `manager` and `each`";
        return faults.add(code, path, detail, "write {\"user\": \"11\"}, or one of the others");
    }
    let is_hardcoded = logic == Some(Logic::Hardcoded);
    for (field, is_misplaced, with) in [
        ("shares", has_shares && !has_logic, "`logic`"),
        ("extras", has_extras && !(is_hardcoded || has_logic && logic.is_none()), "`\"logic\": \"hardcoded\"`"),
        ("rest", has_rest && !has_each, "`each`"),
    ] {
        if is_misplaced {
            let detail = format!("`{field}` is valid only with {with}");
            faults.add::<()>(code, path.field(field), detail, format!("remove `{field}`, or add {with}"));
        }
    }
    if has_logic && !has_shares {
        let hint = "add \"shares\": [{\"user\": \"11\", \"amount\": 1}]";
        return faults.add(DeadLetterCode::EmptyShares, path, "`logic` needs `shares`, and there are none", hint);
    }
    match (logic, user, manager, each) {
        (Some(Logic::Ratio), ..) => Some(Allotment::Ratio(shares?)),
        (Some(Logic::Hardcoded), ..) => Some(Allotment::Hardcoded(shares?, extras.unwrap_or_default())),
        (None, Some(user), ..) => Some(Allotment::User(user)),
        (None, None, Some(()), _) => Some(Allotment::Manager),
        (None, None, None, each) => Some(Allotment::Each(each?, rest.map(Box::new))),
    }
}

fn manager(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<()> {
    match boolean(json, path, faults)? {
        true => Some(()),
        false => {
            let hint = "write true, or name a successor in another way";
            faults.add(DeadLetterCode::InvalidField, path, "`manager` must be true or absent", hint)
        }
    }
}

fn each(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<BTreeMap<String, UserId>> {
    let Json::Object(records) = json else {
        let detail = format!("it must be an object with a user for each record, and this is {json}");
        return faults.add(DeadLetterCode::InvalidField, path, detail, "write it like {\"31\": \"11\"}");
    };
    if records.is_empty() {
        let hint = "name a record and its user, such as {\"31\": \"11\"}";
        return faults.add(DeadLetterCode::EmptyShares, path, "`each` names no record", hint);
    }
    if records.len() > MOST_NAMED {
        let detail = format!("`each` names {} records; the maximum is {MOST_NAMED}", records.len());
        let hint = "name fewer records one by one: `rest` takes all others";
        return faults.add(DeadLetterCode::TooLarge, path, detail, hint);
    }
    let records = entries(records, path, faults).into_iter();
    let read: Vec<_> = records.map(|(record, json)| (record, record_user(record, json, path, faults))).collect();
    read.into_iter().map(|(record, user)| Some((record.to_owned(), user?))).collect()
}

fn record_user(record: &str, json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<UserId> {
    let path = path.field(record);
    if record.contains('\0') {
        let detail = "the record's key contains the character NUL";
        return faults.add(DeadLetterCode::InvalidField, path, detail, "remove it");
    }
    id::<UserId>(json, &path, faults)
}

fn rest(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<Allotment> {
    if let Json::Object(object) = json
        && object.iter().any(|(name, _)| name == "each")
    {
        let hint = "name its records in the first `each`";
        return faults.add(DeadLetterCode::InvalidField, path, "`rest` cannot be another `each`", hint);
    }
    allotment(json, path, faults)
}

fn shares(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<Vec<Share>> {
    const EXAMPLE: &str = "write it like [{\"user\": \"11\", \"amount\": 1}]";
    let Json::List(items) = json else {
        let detail = format!("it must be a list of shares, and this is {json}");
        return faults.add(DeadLetterCode::InvalidField, path, detail, EXAMPLE);
    };
    if items.is_empty() {
        return faults.add(DeadLetterCode::EmptyShares, path, "`shares` is empty", EXAMPLE);
    }
    if items.len() > MOST_SHARES {
        let detail = format!("there are {} shares; the maximum is {MOST_SHARES}", items.len());
        return faults.add(DeadLetterCode::TooLarge, path, detail, "name fewer users, or a round-robin group");
    }
    let items = items.iter().enumerate();
    let shares: Vec<Option<Share>> = items.map(|(index, item)| share(item, &path.item(index), faults)).collect();
    let shares: Vec<Share> = shares.into_iter().collect::<Option<_>>()?;
    // Ranks and amounts are stored in signed 64-bit columns.
    let total = shares.iter().try_fold(0_u64, |total, share| total.checked_add(share.amount));
    match total.filter(|total| i64::try_from(*total).is_ok()) {
        Some(0) => {
            let hint = "give at least one share an amount";
            faults.add(DeadLetterCode::InvalidAmount, path, "the amounts add up to zero", hint)
        }
        Some(_) => Some(shares),
        None => {
            let detail = format!("the amounts add up to more than {}", i64::MAX);
            faults.add(DeadLetterCode::InvalidAmount, path, detail, "write smaller amounts: a ratio repeats")
        }
    }
}

fn share(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<Share> {
    const EXAMPLE: &str = "write it like {\"user\": \"11\", \"amount\": 1}";
    let Json::Object(object) = json else {
        let detail = format!("a share is an object, and this is {json}");
        return faults.add(DeadLetterCode::InvalidField, path, detail, EXAMPLE);
    };
    let mut object = Object::open(object, path, faults);
    let user = object.optional("user", faults, id::<UserId>);
    let group = object.optional("round_robin", faults, group);
    let amount = object.required("amount", "1", faults, amount);
    let recipients = ["user", "round_robin"].into_iter().filter(|name| object.has(name)).count();
    object.close("a share", faults);
    if recipients != 1 {
        let detail = "a share needs exactly one of `user` and `round_robin`";
        return faults.add(DeadLetterCode::InvalidField, path, detail, EXAMPLE);
    }
    let to = user.map(Recipient::User).or(group.map(Recipient::RoundRobin))?;
    Some(Share { to, amount: amount? })
}

fn group(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let name = text(json, LONGEST_GROUP, path, faults)?;
    match name.is_empty() {
        false => Some(name),
        true => {
            let hint = "write the name of a round-robin group";
            faults.add(DeadLetterCode::InvalidField, path, "the name of the group is empty", hint)
        }
    }
}
