//! An identity provider: a connection, and a plain client of it.

use std::ops::Deref;

use handover::app::scim::connections;
use handover::app::scim::policy::Policy;
use serde_json::Value;

use crate::support::World;
use crate::support::api::{Answer, ApiServer};

/// An identity provider with a connection of the seed's organization.
pub struct Provider {
    pub server: ApiServer,
    pub token: String,
}

/// An answer of SCIM.
#[derive(Debug)]
pub struct Scim(pub Answer);

impl Provider {
    /// Serves the world, and adds a connection whose records go to the leaver's manager.
    pub async fn start(world: &World) -> Provider {
        Provider::with_policy(world, "okta", "manager").await
    }

    /// Serves the world, and adds a connection with a policy.
    pub async fn with_policy(world: &World, name: &str, policy: &str) -> Provider {
        let org = Some("1".to_owned().try_into().expect("an id"));
        let policy = Policy::of(vec![policy.parse().expect("a policy")]).expect("a policy");
        let created = connections::add(&world.context, org, name, policy).await.expect("a connection");
        Provider { server: ApiServer::start(world).await, token: created.token }
    }

    pub async fn get(&self, path: &str) -> Scim {
        self.call("GET", path).await
    }

    pub async fn call(&self, method: &str, path: &str) -> Scim {
        Scim(self.server.call(method, format!("/scim/v2{path}")).token(&self.token).answer().await)
    }

    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Scim {
        let call = self.server.call(method, format!("/scim/v2{path}")).token(&self.token);
        Scim(call.header("Content-Type", "application/scim+json; charset=utf-8").body(body.to_string()).answer().await)
    }

    /// Lists the users whom a filter finds.
    pub async fn search(&self, filter: &str) -> Scim {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("filter", filter);
        self.get(&format!("/Users?{}", query.finish())).await
    }
}

impl Scim {
    /// Checks the status and the media type, and returns the body.
    pub fn scim(&self, status: u16) -> Value {
        assert_eq!((self.status, self.headers["content-type"].as_str()), (status, "application/scim+json"), "{self:?}");
        self.json()
    }

    /// Checks that the answer is an error of SCIM with this status and keyword.
    pub fn failure(&self, status: u16, scim_type: Option<&str>) {
        let body = self.scim(status);
        assert_eq!(body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{self:?}");
        assert_eq!(body["status"], status.to_string(), "{self:?}");
        assert_eq!(body["scimType"].as_str(), scim_type, "{self:?}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
    }
}

impl Deref for Scim {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}
