//! The pages.

mod bulk;
mod certificate;
mod deactivation;
mod inbox;
mod job;
mod jobs;
mod sign_in;
mod user;
mod users;

use super::page::Page;

/// Returns every page.
pub fn all() -> Vec<Page> {
    let all = [
        sign_in::pages(),
        users::pages(),
        user::pages(),
        deactivation::pages(),
        jobs::pages(),
        job::pages(),
        certificate::pages(),
        bulk::pages(),
        inbox::pages(),
    ];
    all.into_iter().flatten().collect()
}
