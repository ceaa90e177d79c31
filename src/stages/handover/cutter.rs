//! The cutter, the planner's second half: cuts a large job's references into chunks, a bounded number a step.
//!
//! Its transaction holds the job's lock, reads the stored cursor and next rank, adds chunks, and moves both on. Run twice,
//! it cuts on from where it was; killed, nothing of it happened.

use std::collections::BTreeMap;
use std::ops::Bound;

use time::OffsetDateTime;

use crate::catalog::{Catalog, Reference};
use crate::contract::{JobId, UserId};
use crate::job::{State, StepKind, Transition};
use crate::stages::handover::start::transition;
use crate::stages::undo::work;
use crate::stages::{Context, messages, now};
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{jobs, outbox, references};
use crate::store::{Error, Result, Session, host};

/// The transaction of a cut.
pub const CUT: &str = "cut";

/// Cuts on in a job.
pub async fn cut(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(CUT).await?;
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    if job.state()? != State::Cutting {
        return Ok(());
    }
    // By the index alone: a job may have hundreds of thousands of chunks by now.
    let open = chunks::open_up_to(&session, job.id, context.limits.window).await?;
    let next_number = chunks::next_number(&session, job.id).await?;
    let (added_chunks, is_all) = match job.undoes() {
        true => work::cut(&session, context, &job, next_number).await?,
        false => cut_references(&session, context, &job, next_number).await?,
    };
    let added = added_chunks.len() as u64;
    chunks::insert(&session, added_chunks).await?;
    // Tickets on the queue are no more than open chunks, so this many may be added without passing the window.
    let tickets = context.limits.window.saturating_sub(open).min(added);
    let mut left: Vec<_> = (0..tickets).map(|_| messages::step(StepKind::Ticket, &job, now)).collect();
    if !is_all {
        left.push(messages::step(StepKind::Cut, &job, now));
    } else {
        job.state = transition(&job, Transition::CutAll)?;
        if open + added == 0 {
            left.push(messages::step(StepKind::Ticket, &job, now));
        }
    }
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Cutting, job).await?;
    session.commit().await
}

/// Cuts on in the references: the next chunks, and whether everything is cut by now.
async fn cut_references(
    session: &Session,
    context: &Context,
    job: &Job,
    next_number: i32,
) -> Result<(Vec<Chunk>, bool)> {
    let catalog = context.enter(session, job).await?;
    let mut courses = references::of_jobs(session, &[job.id]).await?;
    let mut cutting = Cutting { context, job, chunks: Vec::new(), next_number };
    for course in courses.iter_mut().filter(|course| !course.cut) {
        cutting.course(session, &catalog, course).await?;
        references::update(session, course.clone()).await?;
        if cutting.room() == 0 {
            break;
        }
    }
    Ok((cutting.chunks, courses.iter().all(|course| course.cut)))
}

/// A step's chunks so far.
struct Cutting<'c> {
    context: &'c Context,
    job: &'c Job,
    chunks: Vec<Chunk>,
    next_number: i32,
}

impl Cutting<'_> {
    /// How many more chunks this step may cut.
    fn room(&self) -> u64 {
        self.context.limits.chunks_per_cut.saturating_sub(self.chunks.len() as u64)
    }

    /// As many rows as are allowed, or as few as a chunk should have just now.
    fn rows_of_a_chunk(&self, course: &ReferenceProgress) -> u64 {
        let Context { limits, throughput, .. } = self.context;
        let rows = throughput.rows_of_a_chunk(&self.job.catalog_hash, course.position, limits);
        limits.chunk_rows.min(rows.unwrap_or(u64::MAX)).max(1)
    }

    async fn course(&mut self, session: &Session, catalog: &Catalog, course: &mut ReferenceProgress) -> Result<()> {
        let reference = &catalog.references[course.position];
        let leaver =
            UserId::try_from(self.job.user_id.clone()).map_err(|what| Error::unexpected("cutting a job", what))?;
        if course.cursor.is_none() && !course.named.is_empty() {
            self.named(session, reference, course, &leaver).await?;
        }
        if reference.keyless {
            return self.counted(session, reference, course, &leaver).await;
        }
        let rows = self.rows_of_a_chunk(course);
        let except: Vec<String> = course.named.keys().cloned().collect();
        let asked = self.room().max(1);
        let cuts = host::cut(session, reference, leaver.as_str(), course.cursor.as_ref(), &except, asked, rows).await?;
        course.cut = (cuts.len() as u64) < asked || cuts.last().is_some_and(|cut| cut.records < rows);
        for cut in cuts {
            self.add(course, false, Some((&cut.first, &cut.last)), course.next_rank, cut.records);
            course.next_rank += cut.records;
            course.cursor = Some(cut.last);
        }
        Ok(())
    }

    /// Rows without a key are counted when a pass begins; the cursor says how many are still to be cut. A chunk of them has
    /// no bounds: it takes the next so many.
    async fn counted(
        &mut self,
        session: &Session,
        reference: &Reference,
        course: &mut ReferenceProgress,
        leaver: &UserId,
    ) -> Result<()> {
        let rows = self.rows_of_a_chunk(course);
        let mut left = match course.cursor.as_ref().and_then(|cursor| cursor.first()?.parse().ok()) {
            Some(left) => left,
            None => host::count_next(session, reference, leaver.as_str(), u64::MAX).await?,
        };
        while left > 0 && self.room() > 0 {
            let records = left.min(rows);
            self.add(course, false, None, course.next_rank, records);
            course.next_rank += records;
            left -= records;
        }
        course.cut = left == 0;
        course.cursor = Some(vec![left.to_string()]);
        Ok(())
    }

    /// Records that go to successors of their own: they take no rank, and come first.
    async fn named(
        &mut self,
        session: &Session,
        reference: &Reference,
        course: &ReferenceProgress,
        leaver: &UserId,
    ) -> Result<()> {
        let keys: Vec<&str> = course.named.keys().map(String::as_str).collect();
        let rows = self.context.limits.chunk_rows.max(1) as usize;
        for (index, slice) in keys.chunks(rows).enumerate() {
            let gone = host::not_owned(session, reference, leaver, slice.iter().copied()).await?;
            let theirs = (slice.len() - gone.len()) as u64;
            let ends = slice
                .first()
                .zip(slice.last())
                .map(|(first, last)| (vec![(*first).to_owned()], vec![(*last).to_owned()]));
            let ends = ends.as_ref().map(|(first, last)| (first, last));
            self.add(course, true, ends, (index * rows) as u64, theirs);
        }
        Ok(())
    }

    fn add(
        &mut self,
        course: &ReferenceProgress,
        named: bool,
        range: Option<(&Vec<String>, &Vec<String>)>,
        first_rank: u64,
        records: u64,
    ) {
        let mut chunk = Chunk::open(self.job.id, self.next_number, course.position, records as i64);
        chunk.named = named;
        chunk.first_key = range.map(|(first, _)| first.clone().into());
        chunk.last_key = range.map(|(_, last)| last.clone().into());
        chunk.first_rank = first_rank as i64;
        self.chunks.push(chunk);
        self.next_number += 1;
    }
}

/// Of the records that the request names, those of a chunk and who receives them: from its first key to its last, in the
/// order of their texts.
pub fn named_slice(course: &ReferenceProgress, first: &str, last: &str) -> BTreeMap<String, UserId> {
    let slice = course.named.range::<str, _>((Bound::Included(first), Bound::Included(last)));
    slice.map(|(key, user)| (key.clone(), user.clone())).collect()
}

/// Begins one more pass over references where records arrived late; the next ranks are theirs.
pub async fn cut_again(
    session: &Session,
    job: &mut Job,
    mut courses: Vec<ReferenceProgress>,
    is_late: impl Fn(usize) -> bool,
    now: OffsetDateTime,
) -> Result<Vec<outbox::OutboxMessage>> {
    job.state = transition(job, Transition::FoundMore)?;
    job.late_passes += 1;
    for course in courses.iter_mut().filter(|course| is_late(course.position)) {
        course.cut = false;
        course.cursor = None;
        references::update(session, course.clone()).await?;
    }
    Ok(vec![messages::step(StepKind::Cut, job, now)])
}
