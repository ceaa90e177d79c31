//! The codes of dead letters: why a message is set aside.

use super::named::named_enum;

named_enum! {
    /// Why a message is set aside: one word for programs.
    pub enum DeadLetterCode: "dead-letter code" {
        /// The body is not JSON.
        NotJson = "not_json",
        /// The body is JSON, but not an object.
        NotAnObject = "not_an_object",
        /// The body, a list or a map exceeds its limit.
        TooLarge = "too_large",
        /// The request type is unknown.
        UnknownType = "unknown_type",
        /// The routing key names another type than the body, or none.
        TypeMismatch = "type_mismatch",
        /// A required field is missing.
        MissingField = "missing_field",
        /// The request type does not have this field.
        UnknownField = "unknown_field",
        /// A field occurs twice.
        DuplicateField = "duplicate_field",
        /// A field has a value of the wrong type or range.
        InvalidField = "invalid_field",
        /// An id is empty, too long or of the wrong type.
        InvalidId = "invalid_id",
        /// An amount is not a whole number in range.
        InvalidAmount = "invalid_amount",
        /// An allotment names nobody.
        EmptyShares = "empty_shares",
        /// The catalog does not have this kind.
        UnknownKind = "unknown_kind",
        /// The account that sent the message is not one of `broker.principals`.
        UnknownSender = "unknown_sender",
        /// The request names another organization or requester than its sender's.
        OtherPrincipal = "other_principal",
        /// The request id belongs to another request.
        Conflict = "conflict",
        /// The message has more faults than are listed.
        MoreFaults = "more_faults",
        /// The message is not a step.
        NotAStep = "not_a_step",
        /// The work failed in every attempt.
        Failed = "failed",
    }
}
