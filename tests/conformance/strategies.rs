//! Every way to make a change, on a database that can do it in several ways.
//!
//! A database without writable CTEs writes in steps: it locks, journals, changes and verifies. PostgreSQL without that
//! capability runs these steps too, with many writers and row locks, which SQLite has not.

use handover::store::dialect::{Capabilities, POSTGRES_CAPABILITIES, Postgres};

use super::dispositions;
use crate::support::{World, on_postgres};

static IN_STEPS: Postgres = Postgres::with(Capabilities { writable_ctes: false, ..POSTGRES_CAPABILITIES });

/// The owner's store has the dialect too: it grants what the steps need.
async fn write_in_steps(world: &mut World, chunk_rows: Option<u64>) {
    world.store = world.store.clone().with_dialect(&IN_STEPS);
    world.context.store = world.context.store.clone().with_dialect(&IN_STEPS);
    if let Some(rows) = chunk_rows {
        world.use_chunks_of(rows);
    }
}

#[on_postgres]
async fn transfer_in_steps(world: &mut World) {
    write_in_steps(world, None).await;
    dispositions::transfer_moves_and_returns(world).await;
}

#[on_postgres]
async fn transfer_of_chunks_in_steps(world: &mut World) {
    write_in_steps(world, Some(2)).await;
    dispositions::transfer_moves_and_returns(world).await;
}

#[on_postgres]
async fn detach_in_steps(world: &mut World) {
    write_in_steps(world, Some(2)).await;
    dispositions::detach_removes_and_restores(world).await;
}

#[on_postgres]
async fn detach_with_children_in_steps(world: &mut World) {
    write_in_steps(world, None).await;
    dispositions::detach_takes_children_along(world).await;
}

#[on_postgres]
async fn purge_in_steps(world: &mut World) {
    write_in_steps(world, None).await;
    dispositions::purge_removes_and_restores(world).await;
}

#[on_postgres]
async fn set_in_steps(world: &mut World) {
    write_in_steps(world, Some(2)).await;
    dispositions::set_changes_and_restores(world).await;
}
