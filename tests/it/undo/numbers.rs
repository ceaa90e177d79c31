//! Numbers that are hard to print and parse are restored bit by bit.

use serde_json::json;

use crate::property::dice::Dice;
use crate::support::people::{leave, reference, reverted, start};
use crate::support::world::certificate_of;
use crate::support::{World, every_engine};

const TABLES: [&str; 5] = ["gone", "done", "frozen", "loose", "cold"];

/// The smallest and largest numbers, neighbors of powers of two and ten, halfway cases, and random bit patterns.
/// SQLite stores no negative zero in numeric columns.
fn hardest() -> Vec<f64> {
    let mut dice = Dice::new(7);
    let mut numbers =
        vec![f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, 0.1 + 0.2, 5e-324];
    // Numbers that parsers are known to round to a neighbor.
    let known = [
        "2.2250738585072011e-308",
        "8.5e-323",
        "9007199254740993e22",
        "1.7976931348623157e308",
        "6.631236846766476e-316",
    ];
    numbers.extend(known.iter().map(|text| text.parse::<f64>().expect("a number")));
    let neighbors = |number: f64| [number.next_down(), number, number.next_up()];
    numbers.extend((0..63).map(|bit| f64::from_bits(1 << bit)));
    numbers.extend((-1070..1020).step_by(37).flat_map(|power| neighbors(2f64.powi(power))));
    numbers.extend((-320..308).step_by(7).flat_map(|power| neighbors(10f64.powi(power))));
    // Subnormal numbers, the largest, common ones, and everything between.
    let any = |dice: &mut Dice| (dice.below(1 << 32) << 32) | dice.below(1 << 32);
    let sign_and_fraction = 0x800f_ffff_ffff_ffff;
    for exponents in [0..3, 2043..2047, 1003..1043, 0..2047] {
        let width = exponents.end - exponents.start;
        numbers.extend((0..100).map(|_| {
            let exponent = exponents.start + any(&mut dice) % width;
            f64::from_bits(any(&mut dice) & sign_and_fraction | exponent << 52)
        }));
    }
    numbers
}

/// Fills every table with rows of the leaver.
async fn fill(world: &World, numbers: &[f64]) {
    let session = world.store.begin("test").await.expect("a transaction");
    for table in TABLES {
        for (n, some) in numbers.chunks(500).enumerate() {
            let mut sql = session.sql("");
            let rows: Vec<String> = (some.iter().enumerate())
                .map(|(id, number)| format!("({}, 9, {})", n * 500 + id, sql.bind(*number)))
                .collect();
            sql.add(&format!("INSERT INTO {table} (id, owner, measure) VALUES {}", rows.join(", ")));
            session.run("filling", sql).await.expect("rows");
        }
    }
    session.commit().await.expect("committed");
}

/// Returns the bits of every number of a table.
async fn bits(world: &World, table: &str) -> Vec<String> {
    let session = world.store.reader();
    let sql = session.sql(&format!("SELECT measure FROM {table} WHERE owner = 9 ORDER BY id"));
    let rows = session.all("reading", sql).await.expect("rows");
    rows.iter().map(|row| format!("{:016x}", row.get::<f64>("measure").expect("a number").to_bits())).collect()
}

const NONE: [(&String, &String); 0] = [];

/// Returns the differences from the expected bits.
fn others<'b>(found: &'b [String], expected: &'b [String]) -> Vec<(&'b String, &'b String)> {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).filter(|(found, expected)| found != expected).collect()
}

#[every_engine]
async fn hardest_numbers_are_restored_exactly(world: &mut World) {
    let keyed = "(id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, measure DOUBLE PRECISION);";
    let keyless = "(id BIGINT, owner BIGINT, measure DOUBLE PRECISION);";
    let tables = TABLES
        .map(|name| format!("CREATE TABLE {name} {}", if ["loose", "cold"].contains(&name) { keyless } else { keyed }));
    let without_key = |kind: &str, rest: &str| reference(kind, kind, rest).replace("key = \"id\"", "key = []");
    let references = [
        reference("gone", "gone", "disposition = \"detach\""),
        reference("done", "done", "disposition = \"purge\"\nkeep_copy = \"30d\""),
        reference("frozen", "frozen", "disposition = \"set\"\nset = { measure = 1 }"),
        without_key("loose", "disposition = \"transfer\""),
        without_key("cold", "disposition = \"set\"\nset = { measure = 1 }"),
    ];
    start(world, &tables.concat(), &references.concat()).await;
    let numbers = hardest();
    fill(world, &numbers).await;
    let expected: Vec<String> = numbers.iter().map(|number| format!("{:016x}", number.to_bits())).collect();
    assert_eq!(others(&bits(world, "gone").await, &expected), NONE, "as they were written");
    let job = world.hand_over(&leave("9", json!({ "loose": { "user": "2" } }))).await;
    certificate_of(&job);
    assert_ne!(bits(world, "frozen").await, expected);
    let certificate = reverted(world, &job).await;
    for table in TABLES {
        let skipped = certificate.references.iter().find(|result| result.kind == table).map(|result| &result.skipped);
        assert!(skipped.is_some_and(|skipped| skipped.is_empty()), "{table}: {skipped:?}");
        assert_eq!(others(&bits(world, table).await, &expected), NONE, "{table}");
    }
}
