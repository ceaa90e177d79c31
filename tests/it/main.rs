//! The tests that talk to real servers and go through the public doors: the queue, the binary, the file.
//!
//! Each test has a database and a queue prefix of its own, and says in its name which promise it proves.

mod agent_connect;
mod allotments;
mod apto;
mod bad_input;
mod broker_faults;
mod bulk;
mod catalog;
mod cli;
mod concurrency;
mod database_faults;
mod forget;
mod grants;
mod hostile;
mod keap;
mod late;
mod layers;
mod load;
mod operations;
mod organizations;
mod pooled;
mod previewed;
mod property;
mod recovery;
mod rules;
mod rules_requests;
mod scheduled;
mod secrets;
mod steps;
mod support;
mod tls;
mod undo_conflicts;
mod undo_parents;
mod undo_values;
mod untidy_columns;
mod untidy_keyless;
mod untidy_last;
mod untidy_memberships;
mod untidy_parents;
mod untidy_refused;
mod untidy_tenants;
mod untidy_unknown;
mod way_back;
