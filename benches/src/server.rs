//! PostgreSQL and RabbitMQ from `deploy/services`, and the databases of a comparison.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectOptions, ConnectionTrait, Database as Connect, DatabaseConnection, DbBackend, Statement};

/// The servers.
pub struct Server {
    postgres: url::Url,
    /// The address of RabbitMQ.
    pub amqp: String,
    connection: DatabaseConnection,
}

impl Server {
    pub async fn from_environment() -> Result<Server> {
        let read = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: run `make bench`"));
        let postgres = url::Url::parse(&read("HANDOVER_TEST_POSTGRES_URL")?)?;
        let connection = connect(postgres.as_str()).await?;
        Ok(Server { postgres, amqp: read("HANDOVER_TEST_AMQP_URL")?, connection })
    }

    /// Fails if durability is off: figures without it are meaningless.
    pub async fn require_durability(&self) -> Result<()> {
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = self.text(&format!("SELECT current_setting('{setting}') AS v")).await?;
            ensure!(value == "on", "{setting} is {value}: figures count only with durability on");
        }
        Ok(())
    }

    pub async fn describe(&self) -> Result<String> {
        let version = self.text("SELECT current_setting('server_version') AS v").await?;
        let buffers = self.text("SELECT current_setting('shared_buffers') AS v").await?;
        let cores = std::thread::available_parallelism()?;
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Ok(format!(
            "{cores} cores, {} GB of memory; PostgreSQL {version} (shared_buffers {buffers}) and RabbitMQ on the same machine",
            kilobytes / 1_000_000
        ))
    }

    async fn text(&self, query: &str) -> Result<String> {
        text(&self.connection, query).await
    }

    /// Creates an empty database.
    pub async fn create(&self, name: &str) -> Result<Database> {
        self.drop_it(name).await?;
        self.connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        Ok(self.database(name))
    }

    /// Copies a database file by file. The original must have no connections.
    pub async fn copy(&self, from: &Database, name: &str) -> Result<Database> {
        self.drop_it(name).await?;
        let create = format!("CREATE DATABASE {name} TEMPLATE {} STRATEGY FILE_COPY", from.name);
        self.connection.execute_unprepared(&create).await?;
        self.connection.execute_unprepared("CHECKPOINT").await?;
        Ok(self.database(name))
    }

    pub async fn drop_it(&self, name: &str) -> Result<()> {
        self.connection.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        Ok(())
    }

    fn database(&self, name: &str) -> Database {
        let mut url = self.postgres.clone();
        url.set_path(name);
        Database { name: name.to_owned(), url: url.to_string() }
    }
}

/// A database of one contestant.
pub struct Database {
    pub name: String,
    pub url: String,
}

impl Database {
    pub async fn connect(&self) -> Result<DatabaseConnection> {
        connect(&self.url).await
    }

    /// Runs statements in order on a new connection.
    pub async fn run(&self, script: &str) -> Result<()> {
        let connection = self.connect().await?;
        connection.execute_unprepared(script).await?;
        Ok(connection.close().await?)
    }

    /// Vacuums, so that every copy starts with the same statistics and hint bits.
    pub async fn vacuum(&self) -> Result<()> {
        self.run("VACUUM (ANALYZE)").await?;
        self.run("CHECKPOINT").await
    }

    pub async fn text(&self, query: &str) -> Result<String> {
        let connection = self.connect().await?;
        let text = text(&connection, query).await?;
        connection.close().await?;
        Ok(text)
    }

    /// Runs one of PostgreSQL's programs against the database, and returns its output.
    pub async fn program(&self, name: &str, arguments: &[String]) -> Result<String> {
        let (name, url, arguments) = (program_path(name), self.url.clone(), arguments.to_vec());
        tokio::task::spawn_blocking(move || {
            let mut command = Command::new(&name);
            let output = command.args(&arguments).arg(&url).stdin(Stdio::null()).output().context(name)?;
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "{error}");
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })
        .await?
    }
}

/// Finds a program of PostgreSQL. Debian installs `pgbench` in the server's folder, not on the path.
fn program_path(name: &str) -> String {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().map_or(name.to_owned(), |path| path.display().to_string())
}

/// Opens one connection.
pub async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(Connect::connect(options).await?)
}

async fn text(connection: &DatabaseConnection, query: &str) -> Result<String> {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await?;
    Ok(row.context("a row")?.try_get("", "v")?)
}
