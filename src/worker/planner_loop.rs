//! The planner's loop.

use super::settings::Role;
use super::shared::{Worker, acknowledge, count_received};
use super::{replies, spans};
use crate::broker::{Consumer, Incoming};
use crate::metrics;
use crate::stages::{Outcome, intake};
use crate::trace::Span;

impl Worker {
    /// Plans groups of requests until the worker stops.
    pub(super) async fn run_planner(self, mut consumer: Box<dyn Consumer>) {
        while let Some(first) = self.receive(&mut consumer).await {
            let incoming = self.group(first, &mut consumer);
            let _busy = metrics::busy(Role::Planner.label());
            self.plan(incoming).await;
        }
        consumer.stop().await;
    }

    /// Takes the messages that have already arrived, up to a group, without waiting for more.
    fn group(&self, first: Incoming, consumer: &mut Box<dyn Consumer>) -> Vec<Incoming> {
        let mut incoming = vec![first];
        while incoming.len() < self.context.limits.group
            && let Some(more) = consumer.try_next()
        {
            incoming.push(more);
        }
        incoming.iter().for_each(count_received);
        incoming
    }

    async fn plan(&self, incoming: Vec<Incoming>) {
        let spans: Vec<Span> =
            incoming.iter().map(|incoming| spans::of_request(self.broker.as_ref(), incoming)).collect();
        let traceparents: Vec<Option<String>> =
            incoming.iter().zip(&spans).map(|(incoming, span)| spans::context(span, incoming)).collect();
        let messages: Vec<intake::Message<'_>> = (incoming.iter().zip(&traceparents))
            .map(|(incoming, traceparent)| intake::Message {
                routing_key: incoming.routing_key.as_str().into(),
                body: incoming.body.as_slice().into(),
                traceparent: traceparent.as_deref(),
            })
            .collect();
        let outcomes = intake::take(&self.context, &messages).await;
        for ((incoming, outcome), mut span) in incoming.iter().zip(&outcomes).zip(spans) {
            if let Outcome::Answered(answer) = outcome {
                span.set_job(answer.job);
            }
            self.dead_letter_if_refused(incoming, outcome, span).await;
        }
        replies::send(&self.context, self.broker.as_ref(), &incoming, &outcomes).await;
        for incoming in incoming {
            acknowledge(incoming).await;
        }
    }
}
