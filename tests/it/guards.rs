//! Guards: who may ask, who may receive, and who may not leave.

mod last_administrator;
mod requests;
