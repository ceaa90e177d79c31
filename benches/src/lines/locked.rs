//! How long rows are locked during a big move.
//!
//! Measured by the ages of the transactions that write, looked at from outside every few milliseconds: no row is locked for
//! longer than the transaction that moves it. A probe that updates rows of the leaver at random would seldom meet one of the
//! thousand that are locked of a million, and its 99th percentile would say nothing.

use anyhow::Result;

use super::Scale;
use super::big::{chunks_by_hand, handed_over_in};
use crate::data;
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};

/// Beside hand-written chunks; and beside a transaction that somebody has left open, so that no dead row can be removed.
pub async fn during_a_big_move(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let records = 1_000_000 / scale.divide;
    let base = data::host(server, "bench_locked").await?;
    data::fill_contacts(&base, records * 3, 3).await?;
    let (mut ours, mut by_hand, mut held_back) = (Samples::default(), Samples::default(), Samples::default());
    let (mut alone, mut beside_open) = (Samples::default(), Samples::default());
    for round in 0..scale.rounds {
        let database = server.copy(&base, "bench_locked_ours").await?;
        let run = handed_over_in(server, &database, data::big_request(), records, round).await?;
        alone.push_time(run.took);
        ours.0.extend(run.held);
        by_hand.0.extend(chunks_by_hand(server, &base, records).await?.held);
        let database = server.copy(&base, "bench_locked_open").await?;
        let open = left_open(&database).await?;
        let run = handed_over_in(server, &database, data::big_request(), records, round).await?;
        drop(open);
        beside_open.push_time(run.took);
        held_back.0.extend(run.held);
    }
    server.drop_it(&base.name).await?;
    report.add(longest("rows locked during a big move", &ours, &format!("chunks by hand: {}", told(&by_hand))));
    report.add(longest("the same, a transaction left open beside it", &held_back, ""));
    let note = "beside: without the open transaction".to_owned();
    report.add(Row::times("a big move beside a transaction left open", "s", &beside_open, &alone, None, note));
    Ok(())
}

fn longest(what: &str, held: &Samples, beside: &str) -> Row {
    let note = format!("99th percentile; worst {:.0} ms; {beside}", held.range().1);
    Row::time(what, "ms", &Samples(vec![held.quantile(0.99)]), Some(50.0), note)
}

fn told(held: &Samples) -> String {
    format!("99th percentile {:.0} ms, worst {:.0} ms", held.quantile(0.99), held.range().1)
}

/// A transaction that has read something, once, and goes on holding its snapshot. It has written nothing and locks no row.
async fn left_open(database: &Database) -> Result<sea_orm::DatabaseTransaction> {
    use sea_orm::{ConnectionTrait, IsolationLevel, TransactionTrait};
    let connection = database.connect().await?;
    let open = connection.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?;
    open.execute_unprepared("SELECT count(*) FROM users").await?;
    Ok(open)
}
