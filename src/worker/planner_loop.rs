//! The planner's loop.

use std::time::Duration;

use super::put_off::{put_off, restored};
use super::settings::Role;
use super::shared::{Worker, acknowledge, count_received};
use super::waiting::{After, Request, Waiting, after};
use super::{replies, spans};
use crate::broker::Consumer;
use crate::metrics;
use crate::stages::{Outcome, intake};
use crate::trace::Span;

impl Worker {
    /// Plans groups of requests until the worker stops.
    pub(super) async fn run_planner(self, mut consumer: Box<dyn Consumer>) {
        let mut waiting = Waiting::default();
        while let Some(group) = self.next_group(&mut consumer, &mut waiting).await {
            let _busy = metrics::busy(Role::Planner.label());
            self.plan(group, &mut waiting).await;
        }
        waiting.give_back().await;
        consumer.stop().await;
    }

    /// Waits for a request that is due or arrives. Takes those that are due or have arrived, up to a group, without waiting for
    /// more. Returns `None` once the worker is stopped.
    async fn next_group(&self, consumer: &mut Box<dyn Consumer>, waiting: &mut Waiting) -> Option<Vec<Request>> {
        let first = tokio::select! {
            first = self.receive(consumer) => Some(first?),
            () = waiting.due() => None,
        };
        let mut group = waiting.take_due(self.context.limits.group.saturating_sub(usize::from(first.is_some())));
        let mut arrived = Vec::from_iter(first);
        while group.len() + arrived.len() < self.context.limits.group
            && let Some(more) = consumer.try_next()
        {
            arrived.push(more);
        }
        arrived.iter().for_each(count_received);
        group.extend(arrived.into_iter().map(restored));
        Some(group)
    }

    async fn plan(&self, group: Vec<Request>, waiting: &mut Waiting) {
        let incoming = || group.iter().map(|request| &request.incoming);
        let spans: Vec<Span> = incoming().map(|incoming| spans::of_request(self.broker.as_ref(), incoming)).collect();
        let traceparents: Vec<Option<String>> =
            incoming().zip(&spans).map(|(incoming, span)| spans::context(span, incoming)).collect();
        let messages: Vec<intake::Message<'_>> = (incoming().zip(&traceparents))
            .map(|(incoming, traceparent)| intake::Message {
                routing_key: incoming.routing_key.as_str().into(),
                body: incoming.body.as_slice().into(),
                sender: &incoming.sender,
                traceparent: traceparent.as_deref(),
            })
            .collect();
        let outcomes = intake::take(&self.context, &messages).await;
        drop(messages);
        let (mut ended, mut ended_outcomes, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
        for ((request, outcome), mut span) in group.into_iter().zip(outcomes).zip(spans) {
            match after(outcome, request.deferrals, &self.context.limits) {
                After::Next => waiting.keep(request, Duration::ZERO).await,
                After::Blocked(pause) => blocked.push((request, pause)),
                After::Ended(outcome) => {
                    if let Outcome::Answered(answer) = &outcome {
                        span.set_job(answer.job);
                    }
                    self.dead_letter_if_refused(&request.incoming, &outcome, span).await;
                    ended.push(request.incoming);
                    ended_outcomes.push(outcome);
                }
            }
        }
        self.put_off(blocked, waiting).await;
        replies::send(&self.context, self.broker.as_ref(), &ended, &ended_outcomes).await;
        for incoming in ended {
            acknowledge(incoming).await;
        }
    }

    /// Stores blocked requests until they are due, and acknowledges them. If that fails, the planner keeps them.
    async fn put_off(&self, blocked: Vec<(Request, Duration)>, waiting: &mut Waiting) {
        let stored = put_off(&self.context, &blocked).await;
        if let Err(error) = &stored {
            tracing::warn!(requests = blocked.len(), %error, "blocked requests could not be stored; the planner keeps them");
        }
        for (request, pause) in blocked {
            match stored {
                Ok(()) => acknowledge(request.incoming).await,
                Err(_) => waiting.keep(request, pause).await,
            }
        }
    }
}
