//! Routing keys of requests: `request.` and the request's type.

use super::{DeadLetterCode, Fault, RequestType};

/// The first word of a request's routing key.
const FIRST_WORD: &str = "request.";

/// Returns the routing key of a request of this type.
pub fn routing_key(kind: RequestType) -> String {
    format!("{FIRST_WORD}{kind}")
}

/// Checks that a message came with the routing key of its type. The two contradict each other only by mistake, and what the
/// sender meant cannot be told: a `reassign` must not end anybody's access.
pub fn check_routing_key(key: &str, kind: RequestType) -> Result<(), Fault> {
    let expected = routing_key(kind);
    if key == expected {
        return Ok(());
    }
    let named = key.strip_prefix(FIRST_WORD).and_then(|name| name.parse::<RequestType>().ok());
    let detail = format!("the routing key is `{key}`, and the body's type is `{kind}`");
    let hint = match named {
        Some(named) => {
            format!("publish it with the routing key `{expected}`, or write \"type\": \"{named}\" if that is meant")
        }
        None => format!("publish it with the routing key `{expected}`"),
    };
    Err(Fault::new(DeadLetterCode::TypeMismatch, "type", detail, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_of_the_type_fits() {
        for kind in RequestType::ALL {
            for named in RequestType::ALL {
                assert_eq!(check_routing_key(&routing_key(named), kind).is_ok(), named == kind, "{named} {kind}");
            }
        }
        for key in
            ["", "request", "request.", "request.fire", "request.deactivate.now", "Request.deactivate", "step.cut"]
        {
            let fault = check_routing_key(key, RequestType::Deactivate).expect_err(key);
            assert!(fault.hint.contains("`request.deactivate`"), "{fault}");
        }
    }
}
