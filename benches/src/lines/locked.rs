//! The time that rows are locked during a big move.

use anyhow::Result;

use super::Scale;
use super::big::{chunks_by_hand, handed_over_in};
use crate::data;
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::watch::Held;

/// Compares a big move with hand-written chunks, and with a move while an open transaction prevents the removal of dead rows.
pub async fn during_a_big_move(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let records = 1_000_000 / scale.divide;
    let base = data::host(server, "bench_locked").await?;
    data::fill_contacts(&base, records * 3, 3).await?;
    let (mut ours, mut by_hand, mut held_back) = (Held::default(), Held::default(), Held::default());
    let (mut alone, mut with_open) = (Samples::default(), Samples::default());
    for round in 0..scale.rounds {
        let database = server.copy(&base, "bench_locked_ours").await?;
        let run = handed_over_in(server, &database, data::big_request(), records, round).await?;
        alone.push_time(run.took);
        ours.add(run.held);
        by_hand.add(chunks_by_hand(server, &base, records).await?.held);
        let database = server.copy(&base, "bench_locked_open").await?;
        let open = left_open(&database).await?;
        let run = handed_over_in(server, &database, data::big_request(), records, round).await?;
        drop(open);
        with_open.push_time(run.took);
        held_back.add(run.held);
    }
    server.drop_it(&base.name).await?;
    report.add(longest("rows locked during a big move", &ours, &format!("chunks by hand: {}", summary(&by_hand))));
    report.add(longest("rows locked during a big move, with an open transaction", &held_back, ""));
    let note = "baseline: without the open transaction".to_owned();
    report.add(Row::times("a big move with an open transaction", "s", &with_open, &alone, None, note));
    Ok(())
}

fn longest(what: &str, held: &Held, more: &str) -> Row {
    let note = format!("99th percentile; {}; {more}", held.worst());
    Row::time(what, "ms", &Samples(vec![held.longest()]), Some(50.0), note)
}

fn summary(held: &Held) -> String {
    format!("99th percentile {:.0} ms, {}", held.longest(), held.worst())
}

/// Opens a transaction that holds a snapshot. It writes nothing and locks no row.
async fn left_open(database: &Database) -> Result<sea_orm::DatabaseTransaction> {
    use sea_orm::{ConnectionTrait, IsolationLevel, TransactionTrait};
    let connection = database.connect().await?;
    let open = connection.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?;
    open.execute_unprepared("SELECT count(*) FROM users").await?;
    Ok(open)
}
