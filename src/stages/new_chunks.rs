//! The chunks that a step cuts: numbered one after the other, and only so many.

use uuid::Uuid;

use crate::store::ledger::chunks::Chunk;

/// The chunks that a step has cut so far.
pub struct NewChunks {
    job: Uuid,
    most: u64,
    next_number: i32,
    chunks: Vec<Chunk>,
}

impl NewChunks {
    /// Begins without chunks. A step may cut `most`; the first gets this number.
    pub fn new(job: Uuid, most: u64, next_number: i32) -> NewChunks {
        NewChunks { job, most, next_number, chunks: Vec::new() }
    }

    /// Returns how many more chunks this step may cut.
    pub fn room(&self) -> u64 {
        self.most.saturating_sub(self.chunks.len() as u64)
    }

    /// Adds a chunk of a reference.
    pub fn add(&mut self, position: usize, records: i64, fill: impl FnOnce(&mut Chunk)) {
        let mut chunk = Chunk::open(self.job, self.next_number, position, records);
        fill(&mut chunk);
        self.chunks.push(chunk);
        self.next_number += 1;
    }

    /// Returns the chunks.
    pub fn into_chunks(self) -> Vec<Chunk> {
        self.chunks
    }
}
