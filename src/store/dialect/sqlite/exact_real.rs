//! Floating-point numbers as text that gives them back exactly.
//!
//! SQLite writes a number as text (`quote`) and reads it again, but it misreads some as their neighbor: most of these are very
//! large or very small. The JSON functions write only 15 digits, and know no infinity. So a number is kept as an object:
//!
//! | number | kept as |
//! |---|---|
//! | infinite | `{"real": "9e999"}`, `{"real": "-9e999"}` |
//! | read back as it was | `{"real": "0.1"}` |
//! | misread, at least 1 | `{"large": ["a", "b"]}`: the number is `(a + b) * SCALE` |
//! | misread, below 1 | `{"small": ["a", "b"]}`: the number is `(a + b) / SCALE` |
//!
//! Worked example. Say that `quote(x)` of `x = 1.7976931348623157e308` is read back as a neighbor of `x`. SCALE is 2^248, about
//! 4.5e74, and `n = x / SCALE` is about 4.0e233: dividing by a power of two changes only the exponent, so nothing is
//! rounded. `a = quote(n)` is read back as a number near `n`, and `b = quote(n - a)` is the difference, which has few
//! digits and is read back exactly. `(a + b) * SCALE` is `x`.
//!
//! Only the sign of a negative zero is lost: SQLite cannot tell it from zero.

/// 2^248. It brings the largest and the smallest numbers into the middle of the range. It is made of integers, because SQLite
/// may misread its decimal form too.
const SCALE: &str = "((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62))";

/// Returns the JSON object of a number.
pub fn encode(value: &str) -> String {
    let scaled = format!(
        "SELECT CASE WHEN abs({value}) < 1 THEN 'small' ELSE 'large' END AS size, \
         CASE WHEN abs({value}) < 1 THEN {value} * {SCALE} ELSE {value} / {SCALE} END AS n"
    );
    format!(
        "CASE WHEN {value} = 9e999 THEN json_object('real', '9e999') \
         WHEN {value} = -9e999 THEN json_object('real', '-9e999') \
         WHEN CAST(quote({value}) AS REAL) = {value} THEN json_object('real', quote({value})) \
         ELSE json((SELECT json_object(near.size, \
           json_array(quote(near.n), quote(near.n - CAST(quote(near.n) AS REAL)))) FROM ({scaled}) near)) END"
    )
}

/// Returns the branches of a `CASE` that read a number from an object; none applies if it holds no number.
pub fn decode(object: &str) -> String {
    let part = |size: &str, index: u8| format!("CAST(({object}) ->> '$.{size}[{index}]' AS REAL)");
    let sum = |size: &str| format!("({} + {})", part(size, 0), part(size, 1));
    format!(
        "WHEN ({object}) ->> 'real' IS NOT NULL THEN CAST(({object}) ->> 'real' AS REAL) \
         WHEN ({object}) -> 'small' IS NOT NULL THEN {small} / {SCALE} \
         WHEN ({object}) -> 'large' IS NOT NULL THEN {large} * {SCALE}",
        small = sum("small"),
        large = sum("large"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_encoded_by_its_text() {
        assert_eq!(
            encode("v"),
            "CASE WHEN v = 9e999 THEN json_object('real', '9e999') \
             WHEN v = -9e999 THEN json_object('real', '-9e999') \
             WHEN CAST(quote(v) AS REAL) = v THEN json_object('real', quote(v)) \
             ELSE json((SELECT json_object(near.size, \
             json_array(quote(near.n), quote(near.n - CAST(quote(near.n) AS REAL)))) FROM \
             (SELECT CASE WHEN abs(v) < 1 THEN 'small' ELSE 'large' END AS size, \
             CASE WHEN abs(v) < 1 THEN v * ((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62)) \
             ELSE v / ((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62)) END AS n) near)) END"
        );
    }

    #[test]
    fn a_number_is_decoded_by_its_form() {
        assert_eq!(
            decode("o"),
            "WHEN (o) ->> 'real' IS NOT NULL THEN CAST((o) ->> 'real' AS REAL) \
             WHEN (o) -> 'small' IS NOT NULL THEN \
             (CAST((o) ->> '$.small[0]' AS REAL) + CAST((o) ->> '$.small[1]' AS REAL)) \
             / ((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62)) \
             WHEN (o) -> 'large' IS NOT NULL THEN \
             (CAST((o) ->> '$.large[0]' AS REAL) + CAST((o) ->> '$.large[1]' AS REAL)) \
             * ((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62))"
        );
    }
}
