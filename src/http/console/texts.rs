//! The texts of the console, in English. A translation replaces this file.

use std::borrow::Borrow;

use axum::http::StatusCode;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::contract::{Reason, ReasonCode, ReferenceResult, RequestType};

pub const PRODUCT: &str = "Handover";
pub const SKIP: &str = "Skip to the content";
pub const NAVIGATION: &str = "Main";
pub const USERS: &str = "Users";
pub const JOBS: &str = "Jobs";
pub const SIGNED_IN_AS: &str = "Signed in as";
pub const SIGN_OUT: &str = "Sign out";
pub const REASONS: &str = "Reasons";

// Signing in.
pub const SIGN_IN: &str = "Sign in";
pub const SIGN_IN_AS: &str = "Sign in as";
pub const SIGN_IN_ABOUT: &str = "You are about to sign in to the Handover console. The link works once.";
pub const NOT_YOU: &str = "If this is not you, close this page and tell the person who sent you the link.";
pub const NOT_SIGNED_IN: &str = "You are not signed in.";
pub const HOW_TO_SIGN_IN: &str =
    "Ask your administrator for a new link. They make one with: handover console login --user ID";
pub const LINK_USED_UP: &str = "This link is not valid any more: it was used before, or it is older than five minutes.";
pub const SIGNED_OUT: &str = "You are signed out";
pub const SIGNED_OUT_ABOUT: &str = "The session has ended. You can close this page.";

// What goes wrong.
pub const NO_SUCH_PAGE: &str = "There is no such page.";
pub const NO_SUCH_STATUS: &str = "there is no such list of users";
pub const NO_FORM: &str = "The server expects a form.";
pub const TOO_OFTEN: &str = "Too many requests in a short time. Wait a moment, then load the page again.";
pub const CROSS_SITE: &str = "This form was not sent by a page of the console, so nothing was done.";
pub const CROSS_SITE_HINT: &str = "Open the console in a current browser, and use its own buttons.";

// Jobs.
pub const NO_SUCH_JOB: &str = "There is no such job in your organization.";
pub const NO_SUCH_COMMAND: &str = "there is no such command";
pub const NO_JOBS: &str = "No job matches.";
pub const JOB: &str = "Job";
pub const REQUEST: &str = "Request";
pub const REQUESTED_AT: &str = "Requested";
pub const REQUESTED_BY: &str = "Requested by";
pub const STATE: &str = "State";
pub const ANY_STATE: &str = "Any";
pub const USER: &str = "User";
pub const USER_ID: &str = "Id of the user";
pub const STARTS_AT: &str = "Starts";
pub const RETURNS_AT: &str = "Returns";
pub const ENDED_AT: &str = "Ended";
pub const ACCESS_ENDED_AT: &str = "Access ended";
pub const REASON: &str = "Reason";
pub const PROGRESS: &str = "Progress";
pub const DONE: &str = "Done";
pub const FAILED_CHUNKS: &str = "parts failed";
pub const WAITS_BECAUSE: &str = "Why the job stopped";
pub const REFRESH: &str = "Refresh";
pub const CERTIFICATE: &str = "Certificate";
pub const AS_JSON: &str = "As JSON";
pub const NO_CERTIFICATE: &str = "The job has no certificate yet.";
pub const LEFT: &str = "Left with the user";
pub const NOTHING_LEFT: &str = "Nothing that had to move";
pub const OUTCOME: &str = "Outcome";
pub const SUCCESSORS: &str = "Successors";
pub const REVERT: &str = "Revert";
pub const REVERT_FOR: &str = "Give everything back to";
pub const WOULD_COME_BACK: &str = "What comes back, and what does not";
pub const NOT_POSSIBLE: &str = "This is not possible now";
pub const LICENSE_NOT_NEEDED: &str = "No license is needed.";
pub const LICENSE_FREE: &str = "A license is free for the user.";
pub const LICENSE_NONE_FREE: &str = "No license is free for the user.";
pub const BACK: &str = "Back";
pub const REJECTED: &str = "The request was rejected. Nothing was changed.";
pub const CONFLICT: &str = "This form was used for another request. Open the page again.";
pub const OUTDATED: &str = "The job has changed since this page was loaded, so nothing was done.";
pub const OUTDATED_HINT: &str = "Open the job again, and decide anew.";
pub const BUSY: &str = "The database is busy. Send the form again.";
pub const FAILED: &str = "The database refuses the request. The log of the server says why.";

// Files with many leavers.
pub const BULK: &str = "Bulk";
pub const BULK_ABOUT: &str = "Choose a spreadsheet with one leaver per row. Every row is checked first, and nothing is sent before you submit the good ones.";
pub const FILE: &str = "File";
pub const FILE_ABOUT: &str = "CSV or XLSX, at most 10 MB and 2,000 rows. The guide to spreadsheets lists the columns.";
pub const NO_FILE: &str = "Choose a file.";
pub const SHEET: &str = "Sheet";
pub const SHEET_ABOUT: &str = "Needed only if several sheets have a table.";
pub const TIME_ZONE: &str = "Time zone";
pub const TIME_ZONE_ABOUT: &str = "Of dates and times in the file that name none.";
pub const CHECK_ROWS: &str = "Check the rows";
pub const KEPT_ABOUT: &str = "The address of this page works for seven days, for you alone.";
pub const ROW: &str = "Row";
pub const AT_ONCE: &str = "at once";
pub const REPORT: &str = "Download the report";
pub const ANOTHER_FILE: &str = "Another file";
pub const NO_SUCH_UPLOAD: &str = "There is no such file of yours. Files are deleted after seven days.";

// What waits for a person.
pub const INBOX: &str = "Inbox";
pub const NEED_A_PERSON: &str = "Jobs that need a person";
pub const NOTHING_WAITS: &str = "Nothing waits for a person.";
pub const HELD_WAVES: &str = "Held deprovisionings";
pub const HELD_WAVES_ABOUT: &str = "An identity provider has ended the access of unusually many users. Access has ended, and the records wait for your decision.";
pub const NO_SUCH_CONNECTION: &str = "there is no such connection";
pub const SCHEDULED: &str = "Due later";
pub const NOTHING_SCHEDULED: &str = "Nobody leaves later.";

// Successors that are named later.
pub const NAME_SUCCESSORS: &str = "Name successors";
pub const AMEND_ABOUT: &str = "Say who receives what the user owns. What has moved already stays where it is. The job goes on when nothing is missing.";
pub const ASSIGN: &str = "Assign and go on";

// The deactivation.
pub const DEACTIVATE: &str = "Deactivate";
pub const OBSTACLES: &str = "Fix these first";
pub const FORM_ABOUT: &str =
    "Assign what the user owns to other users. Nothing changes before you confirm the plan on the next page.";
pub const LOCK_OUT: &str = "Lock out now";
pub const LOCK_OUT_ABOUT: &str = "Ends all access at once: sign-in, sessions and tokens. What the user owns waits until successors are named. You can undo it on the \
     page of the job. What you have entered below is not kept.";
pub const ASSIGNED: &str = "assigned";
pub const ALL_ASSIGNED: &str = "✓ all assigned";
pub const LOGIC: &str = "Reassign logic";
pub const RATIO: &str = "Ratio: each user gets up to the number; the process repeats for extras";
pub const HARDCODED: &str = "Hardcoded: each user gets up to the number; extras are not reassigned at all";
pub const SUCCESSOR: &str = "Successor";
pub const OWNS_NOW: &str = "Owns now";
pub const AMOUNT: &str = "Number";
pub const RECEIVES: &str = "Receives";
pub const ROUND_ROBIN: &str = "Round robin";
pub const NEXT_TURN: &str = "next:";
pub const MORE_CANDIDATES: &str = "Only the first 200 users are listed. Use the API or a spreadsheet for others.";
pub const MAY_NOT_RECEIVE: &str = "Users who may not receive these records";
pub const HAPPENS_TO_OTHERS: &str = "What happens to everything else";
pub const RECALCULATE: &str = "Recalculate";
pub const TO_REVIEW: &str = "Review the plan";
pub const REVIEW: &str = "Review: deactivate";
pub const REVIEW_ABOUT: &str = "Access ends as soon as you confirm.";
pub const REVIEW_LATER: &str = "Access ends at";
pub const REVIEW_RETURNS: &str = "Everything comes back at";
pub const THEN_MOVES: &str = "Then the records move, and the license is freed. Estimated time:";
pub const WHEN: &str = "When";
pub const STARTS_ABOUT: &str = "Empty: at once";
pub const RETURNS_ABOUT: &str = "Empty: the user does not return";
pub const ZONE_ABOUT: &str = "Europe/Berlin, or +02:00";
pub const EVEN: &str = "Share evenly";
pub const FILL_REST: &str = "Fill the rest";
pub const FILL_ABOUT: &str = "Among the users with a number, or among all if nobody has one.";
pub const WAITS_FOR_JOB: &str = "The records wait for another job that gives this user records.";
pub const MOVES: &str = "What moves";
pub const ASSIGNED_OF: &str = "Assigned";
pub const PROCESS: &str = "Deactivate";
pub const CHANGE: &str = "Change the form";
pub const PLAN_CHANGED: &str = "The plan has changed";
pub const PLAN_CHANGED_HINT: &str = "Nothing was done. The plan below is the current one: check it, and confirm again.";
pub const NO_NUMBER: &str = "it must be a whole number, 0 or more";

// Users.
pub const NO_SUCH_USER: &str = "There is no such user in your organization.";
pub const OWNS: &str = "Owns";
pub const OWNS_NOTHING: &str = "No records.";
pub const KIND: &str = "Kind";
pub const RECORDS: &str = "Records";
pub const SHOW: &str = "Show";
pub const STATUS: &str = "Status";
pub const SEARCH: &str = "Name or email";
pub const NAME: &str = "Name";
pub const EMAIL: &str = "Email";
pub const ID: &str = "Id";
pub const LICENSE: &str = "License";
pub const HOLDS_LICENSE: &str = "Yes";
pub const HOLDS_NO_LICENSE: &str = "No";
pub const NO_USERS: &str = "No user matches.";
pub const FIRST_PAGE: &str = "First page";
pub const NEXT_PAGE: &str = "Next page";
pub const PAGES: &str = "Pages";

/// Returns the label of a list of users.
pub fn status_filter(name: &str) -> &'static str {
    match name {
        "active" => "Active",
        "invited" => "Invited",
        "inactive" => "Inactive",
        "all" => "All",
        _ => "Active or invited",
    }
}

/// Returns the title of the page of a problem.
pub fn title_of(status: StatusCode) -> String {
    let title = match status {
        StatusCode::UNAUTHORIZED => SIGN_IN,
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::GONE => "Link used up",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "Try again in a moment",
        StatusCode::PRECONDITION_FAILED => "Changed since",
        status if status.is_client_error() => "That did not work",
        _ => "Something went wrong",
    };
    title.to_owned()
}

/// Returns a name of the catalog or the contract as words: `direct_report` is "Direct report".
pub fn words(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns a text as a sentence: the first letter is large, a full stop ends it, and no mark of code is in it.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars().filter(|letter| *letter != '`');
    let begun: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    match begun.ends_with(['.', '?', '!', ':']) || begun.is_empty() {
        true => begun,
        false => format!("{begun}."),
    }
}

/// Returns the fix for a reason, in the words of the pages.
pub fn hint(reason: &Reason) -> String {
    match reason.code == ReasonCode::AllotmentMissing {
        true => "Enter a number for at least one user or group.".to_owned(),
        false => sentence(&reason.hint),
    }
}

/// Returns the label of an outcome of a row.
pub fn row_outcome(name: &str) -> String {
    match name {
        "ok" => "Good".to_owned(),
        other => words(other),
    }
}

/// Returns the label of the button that submits rows.
pub fn submit_rows(rows: impl Borrow<usize>) -> String {
    match *rows.borrow() {
        1 => "Submit 1 row".to_owned(),
        rows => format!("Submit {} rows", number(rows)),
    }
}

/// Returns a number of records.
pub fn records(count: impl Borrow<u64>) -> String {
    match *count.borrow() {
        1 => "1 record".to_owned(),
        count => format!("{} records", number(count)),
    }
}

/// Returns how many users wait, before the time since when.
pub fn held_since(users: impl Borrow<usize>) -> String {
    match *users.borrow() {
        1 => "the records of 1 user wait since".to_owned(),
        users => format!("the records of {} users wait since", number(users)),
    }
}

/// Returns the label of the button that lets a wave go on.
pub fn release(users: impl Borrow<usize>) -> String {
    match *users.borrow() {
        1 => "Hand over the records of 1 user".to_owned(),
        users => format!("Hand over the records of {} users", number(users)),
    }
}

/// Returns the label of a command about a job.
pub fn command(kind: RequestType) -> &'static str {
    match kind {
        RequestType::Pause => "Pause",
        RequestType::Resume => "Resume",
        RequestType::Cancel => "Cancel and undo",
        RequestType::Revert => "Revert…",
        RequestType::Amend => NAME_SUCCESSORS,
        RequestType::Deactivate => DEACTIVATE,
        RequestType::Reassign => "Reassign",
        RequestType::Reactivate => "Reactivate",
        RequestType::Invite => "Invite",
        RequestType::ResendInvitation => "Resend invitation",
        RequestType::AcceptInvitation => "Accept invitation",
        RequestType::CancelInvitation => "Cancel invitation",
    }
}

/// Returns what a disposition does.
pub fn disposition(name: &str) -> &str {
    match name {
        "detach" => "is removed; a revert brings it back where the catalog allows it",
        "purge" => "is deleted; a revert brings it back while copies are kept",
        "set" => "gets new values",
        "keep" => "stays as it is",
        "block" => "blocks the deactivation",
        "transfer" => "moves to successors",
        other => other,
    }
}

/// Returns a number with separators: 1,234.
pub fn number(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// Returns a count that may be a lower bound: 1,000+.
pub fn at_least(count: u64, is_exact: bool) -> String {
    format!("{}{}", number(count), if is_exact { "" } else { "+" })
}

/// Returns what a successor receives: "52 = 50 + 2 extras", if the share alone explains it.
pub fn receives(count: u64, share: Option<u64>) -> String {
    match share {
        Some(share) if share < count => {
            format!("{} = {} + {} extras", number(count), number(share), number(count - share))
        }
        Some(_) | None => number(count),
    }
}

/// Returns how many rows are left against the catalog.
pub fn left(orphans: &u64) -> String {
    if *orphans == 0 { NOTHING_LEFT.to_owned() } else { number(orphans) }
}

/// Returns how many records have no successor yet.
pub fn to_assign(found: u64, assigned: u64) -> String {
    match found.saturating_sub(assigned) {
        0 => ALL_ASSIGNED.to_owned(),
        open => format!("{} to assign", number(open)),
    }
}

/// Returns how many records stay with the leaver.
pub fn stay(count: u64) -> String {
    format!("{} stay with the user", number(count))
}

/// Returns a rough duration.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..=1_999 => "a moment.".to_owned(),
        2_000..=119_999 => format!("about {} seconds.", milliseconds.div_ceil(1_000)),
        _ => format!("about {} minutes.", number(milliseconds.div_ceil(60_000))),
    }
}

/// Writes a time as an element. The script writes it in the viewer's zone.
pub fn time(at: &OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let machine = at.format(&Rfc3339).unwrap_or_default();
    let people =
        at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC")).unwrap_or_default();
    format!("<time datetime=\"{machine}\">{people}</time>")
}

/// Returns the counts of a reference in words.
pub fn outcome(reference: &ReferenceResult) -> Vec<String> {
    let counts = [
        (reference.moved, "moved"),
        (reference.merged, "merged"),
        (reference.dropped, "dropped, because the successor had it"),
        (reference.removed, "removed"),
        (reference.purged, "deleted"),
        (reference.set, "changed"),
        (reference.kept, "kept"),
        (reference.left_behind, "left with the user"),
        (reference.changed_meanwhile, "changed by the application meanwhile"),
        (reference.restored, "brought back"),
        (reference.impossible, "cannot be brought back"),
    ];
    let counted = counts.into_iter().filter_map(|(count, what)| Some((count.filter(|count| *count > 0)?, what)));
    let skipped =
        reference.skipped.iter().map(|(reason, count)| format!("{} skipped: {}", number(*count), words(reason.name())));
    let mut lines: Vec<String> =
        counted.map(|(count, what)| format!("{} {what}", number(count))).chain(skipped).collect();
    if lines.is_empty() {
        lines.push("none".to_owned());
    }
    lines
}
