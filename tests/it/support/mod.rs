//! A world for each test: an application with its database, a broker, and a worker that can be started.

pub mod broker;
pub mod collector;
pub mod database;
pub mod snapshot;
pub mod disturb;
pub mod gate;
pub mod http;
pub mod ledger;
pub mod people;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod secrets;
pub mod server;
pub mod silence;
pub mod world;

pub use world::{World, run};

/// The two settings that every rule is proved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// SQLite, and the outbox as the queue.
    Embedded,
    /// PostgreSQL and RabbitMQ.
    Servers,
}

/// Writes a test for both settings: `on_both!(name, |world| { … })`, with a `&mut World`.
macro_rules! on_both {
    ($(#[$doc:meta])* $name:ident, |$world:ident| $body:block) => {
        pub(crate) mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// The story itself, to be told in another world too.
            pub(crate) async fn body($world: &mut $crate::support::World) $body

            $(#[$doc])*
            #[test]
            fn embedded() {
                $crate::support::run($crate::support::Setting::Embedded, async |world| body(world).await);
            }

            $(#[$doc])*
            #[test]
            fn servers() {
                $crate::support::run($crate::support::Setting::Servers, async |world| body(world).await);
            }
        }
    };
}

pub(crate) use on_both;

/// Writes a test for both settings and both ways through the stages: `small`, done at once in the planner's
/// transaction, and `large`, cut into chunks of so few rows: `on_every_path!(name, 10, |world| { … })`.
macro_rules! on_every_path {
    ($(#[$doc:meta])* $name:ident, $rows:literal, |$world:ident| $body:block) => {
        pub(crate) mod $name {
            #[allow(unused_imports)]
            use super::*;

            pub(crate) async fn story($world: &mut $crate::support::World) $body

            $crate::support::on_both!($(#[$doc])* small, |world| { story(world).await });

            $crate::support::on_both!($(#[$doc])* large, |world| {
                world.use_chunks_of($rows);
                story(world).await
            });
        }
    };
}

pub(crate) use on_every_path;
