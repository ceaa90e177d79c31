//! The id of a job as an argument.

use uuid::Uuid;

/// Reads the id of a job.
pub fn parse(text: &str) -> Result<Uuid, String> {
    let hint = "a job's id has 32 hexadecimal digits, such as 6b0c2d4e-1a2b-5c3d-8e4f-0123456789ab; `handover jobs` \
                lists all jobs";
    text.parse().map_err(|_| hint.to_owned())
}
