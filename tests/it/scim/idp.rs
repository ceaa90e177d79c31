//! A connection of a test, and what it asks for.

use handover::app::scim::connections::{self, Connection};
use handover::app::scim::policy::Policy;
use handover::app::scim::status::{StatusOutcome, set_active};
use handover::contract::{JobId, UserId};

use crate::support::World;

/// The connection of an identity provider.
pub struct Idp(pub Connection);

impl Idp {
    /// Adds a connection of the seed's organization.
    pub async fn add(world: &World, name: &str, policy: &[&str]) -> Idp {
        Idp::add_to(world, Some("1"), name, policy).await
    }

    pub async fn add_to(world: &World, org: Option<&str>, name: &str, policy: &[&str]) -> Idp {
        let org = org.map(|org| org.to_owned().try_into().expect("an id"));
        let parts = policy.iter().map(|part| part.parse().expect("a part")).collect();
        let policy = Policy::of(parts).expect("a policy");
        let token = connections::add(&world.context, org, name, policy).await.expect("a connection").token;
        Idp(connections::authenticate(&world.context, &token).await.expect("an answer").expect("a connection"))
    }

    pub async fn set(&self, world: &World, user: &str, active: bool) -> StatusOutcome {
        let user = UserId::try_from(user.to_owned()).expect("an id");
        set_active(&world.context, &self.0, &user, active, None).await.expect("an outcome")
    }

    pub async fn deprovision(&self, world: &World, user: &str) -> JobId {
        self.done(world, user, false).await
    }

    pub async fn provision(&self, world: &World, user: &str) -> JobId {
        self.done(world, user, true).await
    }

    async fn done(&self, world: &World, user: &str, active: bool) -> JobId {
        match self.set(world, user, active).await {
            StatusOutcome::Done(job) => job,
            other => panic!("user {user}, active {active}: {other:?}"),
        }
    }
}
