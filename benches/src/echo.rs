//! The floor of a job's latency: a consumer that runs the hand-written transaction and publishes one event, with quorum queues on
//! both sides.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};

use crate::data::SUCCESSOR;
use crate::server::Database;

/// The hand-written transaction, as pgbench runs it.
const SCRIPT: &str = include_str!("../crm/leaver.sql");

/// A running echo. Dropping it stops it.
pub struct Echo(tokio::task::JoinHandle<Result<()>>);

impl Echo {
    /// Starts it on the queue of requests, which the application has declared.
    pub async fn start(database: &Database, amqp: &str, prefix: &str) -> Result<Echo> {
        let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(16, BasicQosOptions::default()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let requests =
            channel.basic_consume(format!("{prefix}.requests").into(), "".into(), options, arguments).await?;
        let database = database.connect().await?;
        let exchange = format!("{prefix}.events");
        Ok(Echo(tokio::spawn(async move {
            let result = serve(requests, &channel, &database, &exchange).await;
            drop(connection);
            result
        })))
    }

    /// Stops it, and returns the fault that ended it before.
    pub async fn stop(self) -> Result<()> {
        if self.0.is_finished() {
            return self.0.await?;
        }
        self.0.abort();
        Ok(())
    }
}

async fn serve(mut requests: Consumer, channel: &Channel, database: &DatabaseConnection, exchange: &str) -> Result<()> {
    let statements = statements();
    while let Some(delivery) = requests.next().await {
        let delivery = delivery?;
        let request: Value = serde_json::from_slice(&delivery.data)?;
        let leaver: i64 = request["user_id"].as_str().context("a user")?.parse()?;
        run(database, &statements, leaver).await?;
        let event = serde_json::to_vec(&json!({ "data": { "request_id": request["request_id"] } }))?;
        let (key, properties) = ("handover.deactivation.completed", BasicProperties::default().with_delivery_mode(2));
        let options = BasicPublishOptions::default();
        channel.basic_publish(exchange.into(), key.into(), options, &event, properties).await?.await?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn run(database: &DatabaseConnection, statements: &[String], leaver: i64) -> Result<()> {
    let transaction = database.begin().await?;
    for statement in statements {
        let mut values = vec![leaver.into()];
        if statement.contains("$2") {
            values.push((SUCCESSOR as i64).into());
        }
        transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, statement, values)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns the statements of the script between its BEGIN and COMMIT, with the leaver as `$1` and the successor as `$2`.
fn statements() -> Vec<String> {
    let lines = SCRIPT.lines().filter(|line| !line.starts_with('\\') && !line.starts_with("--"));
    let script =
        lines.collect::<Vec<_>>().join("\n").replace(":successor + id % :successors", "$2").replace(":leaver", "$1");
    let statements = script.split(';').map(str::trim);
    statements.filter(|statement| !["", "BEGIN", "COMMIT"].contains(statement)).map(str::to_owned).collect()
}
